"""Streams: what each policy passes on, and that one consumer is no other's problem."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import PriceEvent
from drift_subscribers import Conflate, DriftFeed, DropOldest, Lossless
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until


async def _prices(bus: BusWriter, feed: DriftFeed, first: int, last: int, market: str = "SOL-PERP") -> None:
    """Stores prices first…last and waits until the feed has them."""
    for price in range(first, last + 1):
        await bus.change(price_event(market, price))
    await wait_until(lambda: (event := feed.price(market)) and event.oracle_price == last)


async def test_lossless_passes_on_every_change_in_order(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("SOL-PERP", 1))
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", "SOL-PERP", policy=Lossless()) as stream:
        await _prices(bus, feed, 2, 30)
        assert [event.oracle_price for event in await collect(stream, 29)] == list(range(2, 31))
        assert stream.statistics().repaired == 0
        assert stream.sequence == bus.stored["drift.price.SOL-PERP"][-1][0]


async def test_reassertions_are_not_streamed(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(price_event("SOL-PERP", 1))
        for _ in range(3):
            await bus.reassert(price_event("SOL-PERP", 1))
        await bus.change(price_event("SOL-PERP", 2))
        assert [event.oracle_price for event in await collect(stream, 2)] == [1, 2]
        assert feed.statistics().reassertions == 3


async def test_conflate_keeps_the_latest_of_each_market(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price") as stream:
        await _prices(bus, feed, 1, 10)
        await _prices(bus, feed, 1, 5, "BTC-PERP")
        assert [(event.market, event.oracle_price) for event in await collect(stream, 2)] == [
            ("SOL-PERP", 10),
            ("BTC-PERP", 5),
        ]
        assert stream.statistics().conflated == 13
        assert stream.statistics().depth == 0


async def test_a_lossless_stream_of_several_markets_reads_what_it_missed_of_them_alone(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed:
        stream = feed.stream("price", ["SOL-PERP", "ETH-PERP"], policy=Lossless(2))
        for market in ("SOL-PERP", "BTC-PERP", "ETH-PERP"):
            await _prices(bus, feed, 1, 15, market)
        assert stream.statistics().behind
        seen = await collect(stream, 30)
        assert {event.market for event in seen} == {"SOL-PERP", "ETH-PERP"}
        for market in ("SOL-PERP", "ETH-PERP"):
            assert [event.oracle_price for event in seen if event.market == market] == list(range(1, 16))
        places = [event.sequence or 0 for event in seen]
        assert places == sorted(set(places))
        assert stream.sequence == places[-1]


async def test_a_feed_of_some_markets_streams_those_alone(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url, markets=["SOL-PERP", "ETH-PERP"]) as feed:
        assert feed.stream("price", ["ETH-PERP"]).sequence == 0
        with pytest.raises(ValueError, match="follows SOL-PERP, ETH-PERP, not 'BTC-PERP'"):
            feed.stream("price", ["SOL-PERP", "BTC-PERP"])


async def test_drop_oldest_keeps_the_last_ones(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=DropOldest(3)) as stream:
        await _prices(bus, feed, 1, 10)
        assert [event.oracle_price for event in await collect(stream, 3)] == [8, 9, 10]
        assert stream.statistics().dropped == 7


async def test_a_lossless_consumer_that_falls_behind_reads_from_the_stream(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed:
        stream, other = feed.stream("price", policy=Lossless(4)), feed.stream("price")
        await _prices(bus, feed, 1, 40)
        await _prices(bus, feed, 1, 40, "BTC-PERP")
        told = stream.statistics()
        assert (told.depth, told.behind) == (4, True)
        seen = await collect(stream, 80)
        for market in ("SOL-PERP", "BTC-PERP"):
            assert [event.oracle_price for event in seen if event.market == market] == list(range(1, 41))
        assert stream.statistics().repaired == 76
        assert len(await collect(other, 2)) == 2
        await _prices(bus, feed, 41, 43)  # live again
        assert [event.oracle_price for event in await collect(stream, 3)] == [41, 42, 43]
        await wait_until(lambda: not stream.statistics().behind or stream.statistics().depth == 0)


async def test_falling_behind_and_catching_up_while_the_bus_is_busy(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless(8)) as stream:

        async def write() -> None:
            for price in range(1, 401):
                await bus.change(price_event("SOL-PERP" if price % 3 else "BTC-PERP", price))

        writing = asyncio.create_task(write())
        seen: list[PriceEvent] = []
        async with asyncio.timeout(60):
            while len(seen) < 400:
                seen.append(await anext(stream))
                if len(seen) % 5 == 0:
                    await asyncio.sleep(0.004)  # a consumer that works
        await writing
        for market in ("SOL-PERP", "BTC-PERP"):
            prices = [event.oracle_price for event in seen if event.market == market]
            assert prices == sorted(set(prices))  # type: ignore[type-var]
        assert {event.oracle_price for event in seen} == set(range(1, 401))


async def test_since_a_sequence_or_a_moment_runs_into_live_without_a_seam(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    await bus.change(price_event("SOL-PERP", 1))
    second = await bus.change(price_event("SOL-PERP", 2))
    moment = datetime.now(UTC)
    await bus.change(price_event("SOL-PERP", 3))
    async with DriftFeed(nats_server.url) as feed:
        by_sequence = feed.stream("price", since=second)
        by_moment = feed.stream("price", "SOL-PERP", since=moment)
        await bus.change(price_event("SOL-PERP", 4))
        assert [event.oracle_price for event in await collect(by_sequence, 3)] == [2, 3, 4]
        assert [event.oracle_price for event in await collect(by_moment, 2)] == [3, 4]
        with pytest.raises(ValueError, match="Lossless"):
            feed.stream("price", policy=Conflate(), since=1)


async def test_current_values_come_first_when_asked_for(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(funding_event("SOL-PERP", 1))
    async with DriftFeed(nats_server.url) as feed:
        for policy in (Conflate(), DropOldest(5), Lossless()):
            async with feed.stream("funding", policy=policy, current=True) as stream:
                assert (await collect(stream, 1))[0].funding_rate == 1


async def test_a_cancelled_wait_loses_nothing(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless(2)) as stream:
        seen: list[int | None] = []
        async with asyncio.timeout(60):
            for price in range(1, 31):
                await bus.change(price_event("SOL-PERP", price))
                try:
                    async with asyncio.timeout(0.001):
                        seen.append((await anext(stream)).oracle_price)
                except TimeoutError:
                    continue
        seen += [event.oracle_price for event in await collect(stream, 30 - len(seen))]
        assert seen == list(range(1, 31))


async def test_closing_the_feed_ends_every_iteration(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    ended: list[str] = []

    async def read(feed: DriftFeed, name: str) -> None:
        async for _ in feed.stream("price", policy=Lossless()):
            pass
        ended.append(name)

    async with asyncio.TaskGroup() as readers, DriftFeed(nats_server.url) as feed:
        for name in ("a", "b"):
            readers.create_task(read(feed, name))
        await wait_until(lambda: feed.statistics().streams == 2)
    assert sorted(ended) == ["a", "b"]


async def test_a_stream_that_nobody_holds_is_forgotten(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed:
        await bus.change(price_event("SOL-PERP", 1))
        async for event in feed.stream("price", current=True):
            assert event.market == "SOL-PERP"
            break
        gc.collect()
        assert feed.statistics().streams == 0
        stream = feed.stream("price")
        assert feed.statistics().streams == 1
        stream.close()
        assert feed.statistics().streams == 0
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_stream_has_one_consumer(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price") as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="consumer"):
            await anext(stream)
        await bus.change(price_event("SOL-PERP"))
        assert (await first).market == "SOL-PERP"


async def test_a_slow_consumer_holds_nobody_up(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed:
        slow = feed.stream("price", policy=Lossless(2))
        fast = feed.stream("price", policy=Lossless())
        await _prices(bus, feed, 1, 50)
        assert len(await collect(fast, 50)) == 50
        assert slow.statistics().depth == 2
        assert slow.statistics().oldest_age_s > 0
        assert (await collect(slow, 1))[0].oracle_price == 1


@pytest.mark.parametrize("policy", [DropOldest, Lossless])
def test_a_buffer_without_room_makes_no_sense(policy: type[DropOldest] | type[Lossless]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        policy(0)
