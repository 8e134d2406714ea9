"""``drift-bus snapshot`` against the buckets of a real server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import EVENT_TYPES
from tests.cli.support import Bus, Finished, drift_bus, funding, market, price, spot
from tests.support.wait import wait_until


@asynccontextmanager
async def filled(server: LocalNatsServer) -> AsyncIterator[Bus]:
    """A bus with two perp markets and a spot market in its buckets."""
    async with Bus.on(server.url) as bus:
        events = [price("SOL", 1, "spot"), spot()]
        events += [make(*of) for of in (("SOL-PERP", 0), ("BTC-PERP", 1)) for make in (funding, price, market)]
        for event in events:
            await bus.publish(event)

        async def in_step() -> bool:
            streams = bus.client.jetstream(timeout=30)
            counts = [(await streams.stream_info(bus.topology.bucket_stream(k))).state.messages for k in EVENT_TYPES]
            return sum(counts) == len(events)

        await wait_until(in_step, what="the buckets follow the stream")
        yield bus


async def snapshot(server: LocalNatsServer, *arguments: str) -> Finished:
    return await drift_bus("snapshot", *arguments, "--nats-url", server.url)


async def test_json_has_the_fields_of_the_event_and_its_place(nats_server: LocalNatsServer) -> None:
    async with filled(nats_server):
        done = await snapshot(nats_server, "--json")

    assert (done.status, done.stderr) == (0, "")
    assert len(done.objects) == 8
    for one in done.objects:
        model = EVENT_TYPES[one["bucket"].removeprefix("drift_")]
        assert set(one) == {*model.model_fields, "bucket", "revision", "age_s"}
        assert one["revision"] > 0
        assert 0 <= one["age_s"] < 10


async def test_kind_and_market_choose(nats_server: LocalNatsServer) -> None:
    async with filled(nats_server):
        of_kind = await snapshot(nats_server, "price", "--json")
        of_market = await snapshot(nats_server, "market", "BTC-PERP", "--json")  # prices may have run out by now

    assert [one["market"] for one in of_kind.objects] == ["SOL-PERP", "BTC-PERP", "SOL"]
    assert [one["market"] for one in of_market.objects] == ["BTC-PERP"]


async def test_tables_name_every_market(nats_server: LocalNatsServer) -> None:
    async with filled(nats_server):
        done = await snapshot(nats_server)

    assert (done.status, done.stderr) == (0, "")
    for text in (
        "funding  2 markets of drift-v2,",
        "price  3 markets of drift-v2,",
        "market  2 markets of drift-v2,",
        "spot  1 market of drift-v2,",
        "SIMULATED",
    ):
        assert text in done.stdout
    for figure in ("+0.01000", "150.1500", "123k", "5.40"):
        assert figure in done.stdout


async def test_an_unknown_market_is_told_with_those_that_are_there(nats_server: LocalNatsServer) -> None:
    async with filled(nats_server):
        done = await snapshot(nats_server, "funding", "DOGE-PERP")

    assert done.status == 1
    assert "no fresh funding of market 'DOGE-PERP': there are SOL-PERP, BTC-PERP" in done.complaint


@pytest.mark.parametrize(
    ("kind", "hint"), [("fundings", "funding, price, market, spot"), ("SOL-PERP", "price SOL-PERP")]
)
async def test_an_unknown_kind_is_told_with_those_that_there_are(
    kind: str, hint: str, nats_server: LocalNatsServer
) -> None:
    done = await snapshot(nats_server, kind)

    assert done.status == 1
    assert f"unknown kind '{kind}'" in done.complaint
    assert hint in done.complaint


async def test_a_server_without_buckets_is_told(nats_server: LocalNatsServer) -> None:
    done = await snapshot(nats_server, "price")

    assert done.status == 1
    assert "no bucket drift_price on this server" in done.complaint


async def test_empty_buckets_are_told_and_no_error(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url):
        done = await snapshot(nats_server, "--json")

    assert (done.status, done.stdout) == (0, "")
    assert "the buckets are empty" in done.complaint


async def test_what_outlived_its_ttl_is_not_shown(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:
        # A server that forgot to expire: the same bucket, without its limit.
        name = bus.topology.bucket_stream("price")
        streams = bus.client.jetstream(timeout=30)
        config = (await streams.stream_info(name)).config
        await streams.update_stream(config.evolve(max_age=0, duplicate_window=10))
        await bus.publish(price())
        await wait_until(lambda: _count(bus, name), what="the bucket follows the stream")
        fresh = await snapshot(nats_server, "price", "--json")
        await wait_until(lambda: _older_than_ttl(fresh), every_s=0.1)
        done = await snapshot(nats_server, "price", "--json")

    assert len(fresh.objects) == 1
    assert done.stdout == ""


async def test_a_malformed_value_is_told_and_the_others_are_shown(nats_server: LocalNatsServer) -> None:
    async with filled(nats_server) as bus:
        await bus.client.jetstream(timeout=30).publish("in.drift.price.BAD", b"\xc1")
        await wait_until(lambda: _count(bus, bus.topology.bucket_stream("price"), 4))
        done = await snapshot(nats_server, "price", "--json")

    assert done.status == 0
    assert len(done.objects) == 3
    assert "refused drift_price key BAD" in done.complaint


async def _count(bus: Bus, stream: str, wanted: int = 1) -> bool:
    return (await bus.client.jetstream(timeout=30).stream_info(stream)).state.messages >= wanted


def _older_than_ttl(fresh: Finished) -> bool:
    return time.time_ns() > fresh.objects[0]["published_at_ns"] + 10.2e9
