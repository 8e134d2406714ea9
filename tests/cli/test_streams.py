"""``drift-bus streams``: size, span, rate and limits of real streams."""

from __future__ import annotations

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_bus.streams import StreamState
from drift_schemas import KINDS, Topology
from tests.cli.support import Bus, drift_bus, drift_bus_anew, funding, price


async def test_it_lists_the_stream_its_history_and_its_buckets(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:
        for number in range(5):
            await bus.publish(price(mark_twap=number))
        done = await drift_bus("streams", "--json", "--nats-url", nats_server.url)
        table = await drift_bus_anew("streams", "--nats-url", nats_server.url)

    topology = Topology()
    names = [topology.stream, topology.funding_history, *(topology.bucket_stream(kind) for kind in KINDS)]
    assert [one["stream"] for one in done.objects] == names
    stream, history = done.objects[:2]
    assert stream["messages"] == 5
    assert stream["bytes"] > 0
    assert stream["max_age_s"] == 7 * 24 * 3600
    assert 6.9 < stream["days_until_age"] <= 7
    assert stream["messages_per_s"] == pytest.approx(5 / stream["span_s"], rel=0.01)
    assert (history["messages"], history["first"], history["days_until_bytes"]) == (0, None, None)
    assert "7.0 days" in table.stdout
    assert "4.0 GiB" in table.stdout


async def test_all_shows_the_other_prefixes_too(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url), Bus.on(nats_server.url, "other") as other:
        await other.publish(funding())
        done = await drift_bus("streams", "--all", "--json", "--nats-url", nats_server.url)

    assert {"DRIFT", "OTHER", "OTHER_FUNDING_HISTORY"} <= {one["stream"] for one in done.objects}


async def test_a_server_without_a_stream_is_told(nats_server: LocalNatsServer) -> None:
    done = await drift_bus("streams", "--nats-url", nats_server.url)
    everything = await drift_bus("streams", "--all", "--nats-url", nats_server.url)

    assert (done.status, everything.status) == (1, 1)
    assert "there is no stream DRIFT on this server" in done.complaint
    assert "no stream of drift-bus on this server" in everything.complaint


def info(*, messages: int, size: int, span_s: int, max_age_s: int, max_bytes: int) -> dict[str, object]:
    """An answer of the JetStream API about a stream that began ``span_s`` before now, 1970-01-02."""
    hours, rest = divmod(86_400 - span_s, 3600)
    first = f"1970-01-01T{hours:02}:{rest // 60:02}:{rest % 60:02}Z"
    return {
        "ts": "1970-01-02T00:00:00Z",
        "config": {"name": "S", "max_age": max_age_s * 10**9, "max_bytes": max_bytes},
        "state": {"messages": messages, "bytes": size, "first_ts": first, "last_ts": "1970-01-02T00:00:00Z"},
    }


def test_days_until_the_limits_are_by_the_rate_so_far() -> None:
    state = StreamState.of(info(messages=86_400, size=864_000, span_s=43_200, max_age_s=86_400, max_bytes=8_640_000))
    assert (state.messages_per_s, state.bytes_per_s) == (2, 20)
    assert state.days_until_age == pytest.approx(0.5)
    assert state.days_until_bytes == pytest.approx((8_640_000 - 864_000) / 20 / 86_400)


def test_a_limit_that_is_reached_or_that_there_is_not() -> None:
    state = StreamState.of(info(messages=10, size=1000, span_s=60, max_age_s=60, max_bytes=-1))
    assert (state.days_until_age, state.days_until_bytes) == (0, None)
