"""A replay onto a bus of its own, and a feed that reads it with unchanged code."""

from __future__ import annotations

import asyncio

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import REASSERTION_HEADER, REPLAY_HEADER, STORED_AT_HEADER, Topology, encode
from drift_subscribers import DriftFeed, Lossless
from drift_subscribers.history import EmptyHistory, StoredMessage
from drift_subscribers.replay import (
    BadReplayName,
    BusReplay,
    Replay,
    ReplayClock,
    ReplayExists,
    ReplayTaken,
    Speed,
    replay_topology,
)
from tests.subscribers.replay.support import confirm, expire, settled_bucket, stored, stored_at
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until

TOPOLOGY = Topology()
X = replay_topology("x")


async def fill(bus: BusWriter, count: int = 20, pause_s: float = 0.01) -> None:
    """Two prices that change, one that is only confirmed."""
    await bus.raw(TOPOLOGY.subjects.epoch, b"1", {"Nats-TTL": "never"})
    quiet = price_event("BTC-PERP", 7)
    await bus.change(quiet)
    for number in range(count):
        await bus.change(price_event("SOL-PERP", 100 + number))
        await bus.change(funding_event("SOL-PERP", number))
        if number % 5 == 4:
            await expire(bus, *await confirm(bus, quiet.model_copy(update={"slot": 300_000_000 + number})))
        await asyncio.sleep(pause_s)


def told(message: StoredMessage) -> tuple[object, ...]:
    return (message.subject.removeprefix("drift.").removeprefix("replay.x."), message.payload, message.stored_at_ns)


async def replayed(bus: BusWriter, url: str, speed: Speed) -> list[tuple[object, ...]]:
    async with BusReplay(url, "x", speed=speed, replace=True) as replay:
        assert await replay.run()
    return [(one.sequence, *told(one), one.headers[STORED_AT_HEADER]) for one in await stored(bus.client, X)]


async def test_the_same_stream_at_any_speed(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus)
    wanted = [told(one) for one in await stored(bus.client, TOPOLOGY) if one.kind]

    at_once = await replayed(bus, nats_server.url, "max")

    assert await replayed(bus, nats_server.url, 1) == at_once
    assert await replayed(bus, nats_server.url, 7.5) == at_once
    changes = [one for one in await stored(bus.client, X) if not one.is_reassertion]
    assert [told(one) for one in changes] == wanted
    assert all(one.headers[REPLAY_HEADER] == "x" for one in changes)
    assert sum(one.is_reassertion for one in await stored(bus.client, X)) == 4


async def test_paused_and_stepped_it_is_the_same_stream(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus)
    at_once = await replayed(bus, nats_server.url, "max")

    async with BusReplay(nats_server.url, "x", speed=1, replace=True) as replay:
        assert await replay.step(3) == 3
        assert replay.changes == 3
        running = asyncio.create_task(replay.run())
        replay.resume()
        await wait_until(lambda: replay.changes > 6)
        replay.pause()
        replay.speed = "max"
        replay.resume()
        assert await running

    assert [(one.sequence, *told(one), one.headers[STORED_AT_HEADER]) for one in await stored(bus.client, X)] == at_once


async def test_a_feed_reads_it_as_of_the_replayed_time(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus)
    async with Replay(nats_server.url, kinds=["funding"]) as replay:
        wanted = [encode(event) async for event in replay]

    async with BusReplay(nats_server.url, "x", speed=2) as playing:
        clock = ReplayClock()
        async with DriftFeed(nats_server.url, prefix="replay.x", clock=clock) as feed:
            stream = feed.stream("funding", policy=Lossless(), since=1)
            await playing.run()
            seen = [encode(event) for event in await collect(stream, 20)]
            await wait_until(lambda: (status := feed.status()) and status.source_state == "stopped")

            assert seen == wanted
            status = feed.status()
            assert status is not None
            assert status.cluster == "simulated"
            assert clock.now_ns == status.published_at_ns == playing.now_ns
            price = feed.require_price("SOL-PERP", max_age_s=1)
            assert price.oracle_price == 119
            assert feed.price("BTC-PERP") is not None
            async with DriftFeed(nats_server.url) as live:
                assert live.statistics().refused == {}


async def test_ttls_run_by_replayed_time(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    """Twelve seconds without a confirmation are over in no time; the price is gone, the funding is not."""
    await bus.change(funding := funding_event("SOL-PERP", 5))
    await bus.change(price := price_event("SOL-PERP", 5))
    first_ns = await stored_at(bus.client, TOPOLOGY, 2)
    await bus.raw("drift.price.BTC-PERP", encode(last := price_event("BTC-PERP", 9)), {
        STORED_AT_HEADER: str(first_ns + 12_000_000_000), "Drift-Schema": "price/1",
    })  # fmt: skip

    async with (
        BusReplay(nats_server.url, "x", speed="max") as playing,
        DriftFeed(nats_server.url, prefix="replay.x", clock=ReplayClock()) as feed,
    ):
        await playing.step(2)
        await settled_bucket(bus.client, X, "price", {"SOL-PERP": encode(price)})
        await wait_until(lambda: feed.price("SOL-PERP"))
        playing.resume()
        await playing.run()
        await wait_until(lambda: feed.price("BTC-PERP"))

        assert feed.price("SOL-PERP") is None
        assert feed.age_s("price", "SOL-PERP") == pytest.approx(12, abs=0.001)
        assert feed.funding("SOL-PERP") is not None
        await settled_bucket(bus.client, X, "price", {"BTC-PERP": encode(last)})
        await settled_bucket(bus.client, X, "funding", {"SOL-PERP": encode(funding)})


async def test_it_begins_with_what_was_present(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus)
    middle = [one for one in await stored(bus.client, TOPOLOGY) if one.kind == "funding"][10]

    async with (
        BusReplay(nats_server.url, "x", since=middle.stored_at_ns, speed="max") as playing,
        DriftFeed(nats_server.url, prefix="replay.x", clock=ReplayClock()) as feed,
    ):
        found = await stored(bus.client, X)
        assert sorted(one.subject for one in found) == [
            "replay.x.funding.SOL-PERP", "replay.x.price.BTC-PERP", "replay.x.price.SOL-PERP",
        ]  # fmt: skip
        assert all(REASSERTION_HEADER in one.headers and one.stored_at_ns < middle.stored_at_ns for one in found)
        price = feed.price("SOL-PERP")
        assert price is not None
        assert price.oracle_price == 110
        assert await playing.run()
        assert playing.changes == 1 + 9 * 2


async def test_a_range_ends_where_it_should(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus)
    prices = [one for one in await stored(bus.client, TOPOLOGY) if one.subject == "drift.price.SOL-PERP"]
    end = prices[12]

    for bounds in ({"until": end.stored_at_ns}, {"last_sequence": end.sequence - 1}):
        async with BusReplay(bus.client, "x", speed="max", kinds=["price"], replace=True, **bounds) as playing:  # type: ignore[arg-type]
            assert await playing.run()
            assert playing.changes == 13


async def test_a_name_is_taken_once(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus, 3)
    async with BusReplay(bus.client, "x", speed="max") as playing:
        await playing.run()

    with pytest.raises(ReplayExists, match="complete at 20"):
        async with BusReplay(bus.client, "x"):
            pass
    async with BusReplay(bus.client, "x", replace=True) as playing:
        playing.stop()
        assert not await playing.run()
    with pytest.raises(ReplayExists, match="interrupted at 20"):
        async with BusReplay(bus.client, "x"):
            pass
    async with BusWriter(nats_server.url, prefix="replay_y"):
        with pytest.raises(ReplayExists, match="is no replay"):
            async with BusReplay(bus.client, "y", replace=True):
                pass


@pytest.mark.parametrize("name", ["", "A", "a.b", "a b", "*", ">", "x" * 25])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(BadReplayName, match="a-z"):
        BusReplay("nats://127.0.0.1:1", name)


async def test_nothing_to_replay_makes_nothing(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    with pytest.raises(EmptyHistory):
        async with BusReplay(bus.client, "x"):
            pass
    answer = await bus.client.request("$JS.API.STREAM.INFO.REPLAY_X", b"", timeout=30)
    assert b"stream not found" in answer.data


async def test_somebody_else_who_writes_is_noticed(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus, 3)

    async with BusReplay(bus.client, "x") as playing:
        await playing.step(2)
        await bus.raw("replay.x.price.SOL-PERP", encode(price_event("SOL-PERP", 1)))
        playing.speed = "max"
        playing.resume()
        with pytest.raises(ReplayTaken, match="somebody else"):
            await playing.run()
