"""Messages that are not believed: refused, counted, logged once a cause, and harmless."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgpack
import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import MAX_MESSAGE_BYTES, SCHEMA_HEADER, encode
from drift_subscribers import DriftFeed, Lossless
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until

GOOD = price_event("SOL-PERP", 1)

BAD: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "garbage": ("malformed", "price.SOL-PERP", b"\xc1\xff garbage", {}),
    "empty": ("malformed", "price.SOL-PERP", b"", {}),
    "no map": ("malformed", "price.SOL-PERP", msgpack.packb([1, 2, 3]), {}),
    "half a map": ("malformed", "price.SOL-PERP", encode(GOOD)[:-7], {}),
    "a float where an integer belongs": (
        "malformed",
        "price.SOL-PERP",
        msgpack.packb({**GOOD.__dict__, "oracle_price": 1.5}),
        {},
    ),
    "too large": ("too large", "price.SOL-PERP", b"\x00" * (MAX_MESSAGE_BYTES + 1), {}),
    "another market's": ("wrong subject", "price.SOL-PERP", encode(price_event("BTC-PERP")), {}),
    "another kind's": ("malformed", "price.SOL-PERP", encode(funding_event()), {}),
    "another kind's header": ("malformed", "price.SOL-PERP", encode(GOOD), {SCHEMA_HEADER: "funding/1"}),
    "a later major": ("unknown schema", "price.SOL-PERP", encode(GOOD), {SCHEMA_HEADER: "price/2"}),
    "a later major inside": (
        "unknown schema",
        "price.SOL-PERP",
        msgpack.packb({**GOOD.__dict__, "schema_version": 2}),
        {},
    ),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_message_is_refused_and_the_next_one_taken(
    what: str, bus: BusWriter, nats_server: LocalNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    cause, subject, payload, headers = BAD[what]
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(GOOD)
        for _ in range(3):
            await bus.raw(f"drift.{subject}", payload, headers)
        await bus.change(price_event("SOL-PERP", 2))
        assert [event.oracle_price for event in await collect(stream, 2)] == [1, 2]
        told = feed.statistics()
        assert told.refused == {cause: 3}
        assert told.gaps == 0
    assert len([record for record in caplog.records if record.message.startswith(cause)]) == 1


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_message_in_the_snapshot_is_refused_too(
    what: str, bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    cause, subject, payload, headers = BAD[what]
    await bus.change(price_event("BTC-PERP"))
    await bus.raw(f"drift.{subject}", payload, headers)
    async with DriftFeed(nats_server.url) as feed:
        assert feed.price("BTC-PERP") is not None
        assert feed.price("SOL-PERP") is None
        assert feed.statistics().refused == {cause: 1}
        await bus.change(GOOD)
        await wait_until(lambda: feed.price("SOL-PERP"))


async def test_what_did_not_pass_the_stream_is_refused(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed:
        await bus.client.publish("drift.price.SOL-PERP", encode(GOOD))
        await bus.client.publish(
            "drift.price.SOL-PERP", encode(GOOD), headers={"Nats-Stream": "DRIFT", "Nats-Sequence": "many"}
        )
        await wait_until(lambda: feed.statistics().refused == {"not stored": 2})
        assert feed.price("SOL-PERP") is None


async def test_an_answer_of_the_stream_on_another_markets_subject_is_refused(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    """Taken for its place in the stream, it would hide what comes after on that subject."""
    await bus.change(GOOD)
    async with DriftFeed(nats_server.url) as feed:
        await bus.change(price_event("BTC-PERP", 9))
        wish = b'{"last_by_subj":"drift.price.BTC-PERP"}'
        await bus.client.publish("$JS.API.DIRECT.GET.DRIFT", wish, reply="drift.price.SOL-PERP")
        await wait_until(lambda: feed.statistics().refused == {"wrong subject": 1})
        await bus.change(price_event("SOL-PERP", 2))
        await wait_until(lambda: (price := feed.price("SOL-PERP")) and price.oracle_price == 2)


async def test_a_forged_place_far_ahead_stops_a_market_only_for_a_moment(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    await bus.change(GOOD)
    forged = {
        "Nats-Stream": "DRIFT",
        "Nats-Sequence": "1000000",
        "Nats-Last-Sequence": "1",
        "Nats-Time-Stamp": "2020-01-01T00:00:00Z",
    }
    async with DriftFeed(nats_server.url) as feed:
        await bus.client.publish("drift.price.SOL-PERP", encode(price_event("SOL-PERP", 666)), headers=forged)
        await wait_until(lambda: (price := feed.price("SOL-PERP")) is None or price.oracle_price == 666)
        await bus.change(price_event("SOL-PERP", 2))
        await wait_until(lambda: (price := feed.price("SOL-PERP")) and price.oracle_price == 2)


async def test_an_older_epoch_is_refused(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("SOL-PERP", 1, epoch=3))
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless(1)) as stream:
        await bus.change(price_event("SOL-PERP", 2, epoch=2))
        await bus.change(price_event("SOL-PERP", 3, epoch=3))
        await bus.change(price_event("SOL-PERP", 4, epoch=2))
        await bus.change(price_event("SOL-PERP", 5, epoch=4))
        assert [event.oracle_price for event in await collect(stream, 2)] == [3, 5]
        assert feed.statistics().refused["old epoch"] >= 2


@pytest.mark.parametrize(
    "send",
    [
        lambda bus: bus.client.publish("drift.status", b"\xc1"),
        lambda bus: bus.client.publish("drift.status", encode(GOOD)),
        lambda bus: bus.client.publish("drift.status", b"\x00" * (MAX_MESSAGE_BYTES + 1)),
    ],
)
async def test_a_bad_heartbeat_is_refused(
    send: Callable[[BusWriter], Awaitable[None]], bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed:
        await send(bus)
        await bus.beat()
        await wait_until(feed.status)
        assert feed.statistics().refused == {"status": 1}


async def test_other_subjects_of_the_stream_do_no_harm(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.raw("drift.ctl.epoch", b"7")
    await bus.change(GOOD)
    await bus.raw("drift.ctl.epoch", b"8")
    async with DriftFeed(nats_server.url) as feed:
        await bus.raw("drift.ctl.epoch", b"9")
        await bus.change(price_event("SOL-PERP", 2))
        await wait_until(lambda: (price := feed.price("SOL-PERP")) and price.oracle_price == 2)
        assert feed.statistics().refused == {}
