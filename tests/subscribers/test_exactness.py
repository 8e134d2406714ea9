"""Snapshot, live, gaps, outages: a lossless consumer sees what the stream stored, in order, once."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Callable
from functools import partial

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import MarketDataEvent
from drift_subscribers import DriftFeed, EventStream, Lossless
from tests.subscribers.support import ManualClock, collect, lose
from tests.support.bus_writer import BusWriter, price_event
from tests.support.wait import wait_until

MARKETS = [f"M{number}-PERP" for number in range(12)]


class Witness:
    """Reads a stream to its end and remembers what it saw, by market."""

    def __init__(self, stream: EventStream[MarketDataEvent], feed: DriftFeed, markets: list[str]) -> None:
        self.seen: dict[str, list[int | None]] = {market: [] for market in markets}
        self.before = {market: _price(feed, market) for market in markets}
        self.stream = stream

    async def read(self) -> None:
        async for event in self.stream:
            self.seen[event.market].append(event.oracle_price)  # type: ignore[attr-defined]

    def saw_all(self, bus: BusWriter) -> bool:
        return all(seen == self.expected(bus, market) for market, seen in self.seen.items())

    def expected(self, bus: BusWriter, market: str) -> list[int | None]:
        """What was stored after the value that the feed held when the stream was opened."""
        stored = _stored(bus, market)
        before = self.before[market]
        return stored if before is None else stored[stored.index(before) + 1 :]


def _price(feed: DriftFeed, market: str) -> int | None:
    event = feed.price(market)
    return None if event is None else event.oracle_price


def _stored(bus: BusWriter, market: str) -> list[int | None]:
    return [event.oracle_price for _, event in bus.stored.get(f"drift.price.{market}", [])]  # type: ignore[attr-defined]


async def _write(bus: BusWriter, random_: random.Random, prices: range, markets: list[str] = MARKETS) -> None:
    """Stores changes and re-assertions of several markets at once, each market's in order."""

    async def of_one(market: str, mine: list[int]) -> None:
        for price in mine:
            event = price_event(market, price)
            await bus.change(event)
            if random_.random() < 0.3:
                await bus.reassert(event)

    shares: dict[str, list[int]] = {market: [] for market in markets}
    for price in prices:
        shares[random_.choice(markets)].append(price)
    await asyncio.gather(*(of_one(market, mine) for market, mine in shares.items()))


async def _write_until(bus: BusWriter, random_: random.Random, enough: asyncio.Event) -> None:
    for first in itertools.count(1000, 100):
        await _write(bus, random_, range(first, first + 100))
        if enough.is_set():
            return


def _stored_more_than(bus: BusWriter, count: int) -> bool:
    return sum(map(len, bus.stored.values())) > count


async def _memory_agrees(bus: BusWriter, feed: DriftFeed) -> None:
    for market in MARKETS:  # confirmed once more, for on a slow machine the last price may have outlived its TTL
        if stored := _stored(bus, market):
            await bus.reassert(price_event(market, int(stored[-1] or 0)))

    def agrees() -> bool:
        return all(_price(feed, market) == _stored(bus, market)[-1] for market in MARKETS if _stored(bus, market))

    await wait_until(agrees, what="memory holds what was stored last")


@pytest.mark.parametrize("seed", range(5))
async def test_joins_under_load_miss_nothing_and_repeat_nothing(
    seed: int, bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    random_ = random.Random(seed)
    await _write(bus, random_, range(1, 50))
    enough = asyncio.Event()
    witnesses = []
    async with asyncio.TaskGroup() as readers:
        writing = readers.create_task(_write_until(bus, random_, enough))
        feeds: list[DriftFeed] = []
        while len(feeds) < 8:
            feed = await DriftFeed(nats_server.url).__aenter__()
            feeds.append(feed)
            witness = Witness(feed.stream("price", policy=Lossless(random_.choice([2, 50, 1000]))), feed, MARKETS)
            witnesses.append(witness)
            readers.create_task(witness.read())
        enough.set()
        await writing
        for witness, feed in zip(witnesses, feeds, strict=True):
            await wait_until(partial(witness.saw_all, bus), what="all seen")
            await _memory_agrees(bus, feed)
            assert feed.statistics().gaps == 0
        for feed in feeds:
            await feed.__aexit__(None, None, None)


@pytest.mark.parametrize("seed", range(4))
async def test_lost_messages_are_repaired_in_order(
    seed: int, bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_ = random.Random(seed)
    lost = set(random_.sample(range(1, 1200), 300))
    lose(monkeypatch, lambda sequence: sequence in lost)
    async with asyncio.TaskGroup() as readers, DriftFeed(nats_server.url, reconcile_every_s=0.2) as feed:
        witness = Witness(feed.stream("price", policy=Lossless(100)), feed, MARKETS)
        of_one = Witness(feed.stream("price", MARKETS[0], policy=Lossless()), feed, MARKETS[:1])
        latest = feed.stream("price")
        readers.create_task(witness.read())
        readers.create_task(of_one.read())
        await _write(bus, random_, range(1, 800))
        for market in MARKETS:  # the next confirmation shows every hole
            await bus.reassert(price_event(market, int(_stored(bus, market)[-1] or 0)))
        await wait_until(lambda: witness.saw_all(bus) and of_one.saw_all(bus), what="all seen")
        await _memory_agrees(bus, feed)
        told = feed.statistics()
        assert told.gaps > 0
        assert told.repaired >= told.gaps
        last = {event.market: event.oracle_price for event in await collect(latest, len(MARKETS))}
        assert last == {market: _stored(bus, market)[-1] for market in MARKETS}


async def test_a_repair_comes_before_the_event_that_showed_the_gap(
    bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch, lambda sequence: sequence in (2, 3))
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        for price in (1, 2, 3, 4):
            await bus.change(price_event("SOL-PERP", price))
        assert [event.oracle_price for event in await collect(stream, 4)] == [1, 2, 3, 4]
        told = feed.statistics()
        assert (told.gaps, told.repaired, told.duplicates) == (1, 2, 0)


async def test_an_expired_reassertion_is_no_gap(
    bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch, lambda sequence: sequence == 3)
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(price_event("SOL-PERP", 1))
        seen = await bus.reassert(price_event("SOL-PERP", 1))
        await bus.reassert(price_event("SOL-PERP", 1))  # lost
        await wait_until(lambda: feed.statistics().reassertions == 1)
        await bus.change(price_event("SOL-PERP", 2))
        assert [event.oracle_price for event in await collect(stream, 2)] == [1, 2]
        await bus.delete_message(seen)
        last = await bus.reassert(price_event("SOL-PERP", 2))
        await wait_until(lambda: feed.statistics().reassertions >= 3)
        await bus.delete_message(last)  # the next change follows a message that is gone
        await bus.change(price_event("SOL-PERP", 3))
        assert (await collect(stream, 1))[0].oracle_price == 3
        assert feed.statistics().gaps == 0
        assert feed.statistics().repaired == 0


async def test_a_lost_last_message_of_a_quiet_market_is_found(
    bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch, lambda sequence: sequence in (3, 4))
    await bus.change(price_event("SOL-PERP", 1))
    async with DriftFeed(nats_server.url, clock=clock, reconcile_every_s=0.05) as feed:
        stream = feed.stream("price", policy=Lossless())
        await bus.change(price_event("BTC-PERP", 1))
        await bus.change(price_event("SOL-PERP", 2))
        await bus.change(price_event("SOL-PERP", 3))
        clock.advance(6)  # more than a living publisher leaves a price alone
        assert [event.oracle_price for event in await collect(stream, 3)] == [1, 2, 3]
        await wait_until(lambda: _price(feed, "SOL-PERP") == 3)


async def test_a_lost_first_message_of_a_new_market_is_found(
    bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch, lambda sequence: True)
    async with DriftFeed(nats_server.url, reconcile_every_s=0.02) as feed:
        await bus.change(price_event("NEW-PERP", 1))
        await wait_until(lambda: _price(feed, "NEW-PERP") == 1)


async def test_a_recreated_stream_is_followed(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed:
        everything = feed.stream("price", policy=Lossless())
        latest = feed.stream("price", "SOL-PERP")
        for price in range(1, 20):
            await bus.change(price_event("SOL-PERP", price, epoch=5))
        await bus.change(price_event("BTC-PERP", 1, epoch=5))
        assert len(await collect(everything, 20)) == 20
        await collect(latest, 1)
        await bus.delete_stream()
        await bus.make_stream()
        await bus.change(price_event("ETH-PERP", 100))
        await bus.change(price_event("SOL-PERP", 101))
        await bus.change(price_event("SOL-PERP", 102))
        seen = [(event.market, event.oracle_price) for event in await collect(everything, 3)]
        assert sorted(seen) == [("ETH-PERP", 100), ("SOL-PERP", 101), ("SOL-PERP", 102)]
        await wait_until(lambda: _price(feed, "SOL-PERP") == 102)
        assert (await collect(latest, 1))[0].oracle_price in (101, 102)
        await bus.change(price_event("BTC-PERP", 2))
        assert (await collect(everything, 1))[0].oracle_price == 2
        assert feed.statistics().recreations == 1


async def test_a_change_that_comes_while_the_stream_is_compared_is_no_other_stream(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(price_event("SOL-PERP", 1))
        await collect(stream, 1)
        stamp_at = feed._reader.stamp_at

        async def slowly(sequence: int) -> int | None:
            stamp_ns = await stamp_at(sequence)
            await bus.change(price_event("SOL-PERP", 2))
            await wait_until(lambda: _price(feed, "SOL-PERP") == 2)
            return stamp_ns

        feed._reader.stamp_at = slowly  # type: ignore[method-assign]
        await feed._keeper.join()
        assert feed.statistics().recreations == 0
        assert [event.oracle_price for event in await collect(stream, 1)] == [2]


async def test_a_hole_that_overlaps_what_was_passed_on_repeats_nothing(
    bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch, lambda sequence: sequence == 1)
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(price_event("SOL-PERP", 1))  # lost
        for price in (2, 3, 4):
            await bus.change(price_event("BTC-PERP", price))
        assert [event.oracle_price for event in await collect(stream, 3)] == [2, 3, 4]
        await feed._keeper.join()  # finds the lost one, which is older than what was passed on
        assert [event.oracle_price for event in await collect(stream, 1)] == [1]
        await bus.change(price_event("BTC-PERP", 5))
        assert [event.oracle_price for event in await collect(stream, 1)] == [5]


async def test_kill_9_and_restart_of_the_server_under_load(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    random_ = random.Random(9)
    async with asyncio.TaskGroup() as readers, DriftFeed(nats_server.url) as feed:
        witnesses = [Witness(feed.stream("price", policy=Lossless(size)), feed, MARKETS) for size in (16, 4096)]
        of_one = Witness(feed.stream("price", MARKETS[0], policy=Lossless()), feed, MARKETS[:1])
        latest = feed.stream("price")
        for witness in (*witnesses, of_one):
            readers.create_task(witness.read())
        for at in range(3):
            writing = asyncio.create_task(_write(bus, random_, range(at * 10_000 + 1, at * 10_000 + 700)))
            count = sum(map(len, bus.stored.values()))
            await wait_until(partial(_stored_more_than, bus, count + 200))
            await nats_server.kill()
            await nats_server.start()
            await writing
        for witness in (*witnesses, of_one):
            await wait_until(partial(witness.saw_all, bus), what="all seen")
        await _memory_agrees(bus, feed)
        last = {event.market: event.oracle_price for event in await collect(latest, len(MARKETS))}
        assert last == {market: _stored(bus, market)[-1] for market in MARKETS}
        assert feed.statistics().disconnects >= 1
        assert feed.statistics().recreations == 0


async def test_a_server_that_stops_answering_is_left_and_found_again(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url, ping_interval_s=0.1) as feed:
        stream = feed.stream("price", policy=Lossless())
        await bus.change(price_event("SOL-PERP", 1))
        await wait_until(lambda: feed.price("SOL-PERP"))
        nats_server.signal(signal.SIGSTOP)
        await wait_until(lambda: not feed.connected, what="the silence is noticed")
        nats_server.signal(signal.SIGCONT)
        await bus.change(price_event("SOL-PERP", 2))
        assert [event.oracle_price for event in await collect(stream, 2)] == [1, 2]
        await wait_until(lambda: _price(feed, "SOL-PERP") == 2)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_message_that_comes_twice_counts_once(
    times: int, bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drift_subscribers.intake import Intake

    take: Callable = Intake.on_message

    async def on_message(self: Intake, message: object) -> None:
        for _ in range(1 + times):
            await take(self, message)

    monkeypatch.setattr(Intake, "on_message", on_message)
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(price_event("SOL-PERP", 1))
        await bus.change(price_event("SOL-PERP", 2))
        assert [event.oracle_price for event in await collect(stream, 2)] == [1, 2]
        await wait_until(lambda: feed.statistics().duplicates == 2 * times)
        assert stream.statistics().depth == 0
