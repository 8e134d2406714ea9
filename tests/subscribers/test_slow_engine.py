"""A slow engine beside a fast one: each pays for its own slowness, by counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import PriceEvent
from drift_subscribers import Conflate, DriftFeed, DropOldest, EventStream, Lossless
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter, price_event
from tests.support.line import Line
from tests.support.wait import wait_until

CHANGES = 600
EVERY = list(range(1, CHANGES + 1))
MARKETS = ["SOL-PERP", "BTC-PERP", "ETH-PERP"]
SMALL_BUFFERS = """
max_pending: 4MB
"""
BULK = b"x" * 60_000
BULKS = 400

# nats-py leaves the socket of a reconnection that failed half-way to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
async def impatient() -> AsyncIterator[LocalNatsServer]:
    """A server that soon drops a client which does not read."""
    async with LocalNatsServer(extra_config=SMALL_BUFFERS) as server:
        yield server


async def _write(bus: BusWriter, prices: range) -> None:
    for price in prices:
        await bus.change(price_event(MARKETS[price % len(MARKETS)], price))


async def _fill_buffers(bus: BusWriter) -> None:
    """Sends 24 MB to whoever hears prices; nobody believes it, for it did not come out of the stream."""
    for number in range(BULKS):
        await bus.client.publish(f"{bus.topology.prefix}.price.BULK", BULK)
        if number % 10 == 0:
            await bus.client.flush(timeout=30)


async def _all(stream: EventStream[PriceEvent], count: int = CHANGES) -> list[int | None]:
    return [event.oracle_price for event in await collect(stream, count)]


async def test_two_engines_on_one_feed_where_one_takes_an_event_for_every_hundred_of_the_other(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed:
        fast = feed.stream("price", policy=Lossless())
        conflating = feed.stream("price", policy=Conflate())
        dropping = feed.stream("price", policy=DropOldest(10))
        lossless = feed.stream("price", policy=Lossless(10))
        slow = (conflating, dropping, lossless)
        taken: dict[EventStream[PriceEvent], list[int | None]] = {stream: [] for stream in slow}
        reading = asyncio.ensure_future(_all(fast))
        for first in range(1, CHANGES + 1, 100):
            await _write(bus, range(first, first + 100))
            await wait_until(lambda last=first + 99: feed.statistics().changes == last)  # type: ignore[misc]
            for stream in slow:
                taken[stream] += await _all(stream, 1)
        assert await reading == EVERY
        assert fast.statistics().repaired == 0

        left = {stream: stream.statistics() for stream in slow}
        assert left[conflating].conflated == CHANGES - len(taken[conflating]) - left[conflating].depth
        assert left[dropping].dropped == CHANGES - len(taken[dropping]) - left[dropping].depth
        assert left[lossless].depth <= 10
        assert left[lossless].behind
        newest = taken[conflating][-1:] + await _all(conflating, left[conflating].depth)
        assert set(newest) == set(EVERY[-len(MARKETS) :])
        assert await _all(dropping, left[dropping].depth) == EVERY[-left[dropping].depth :]
        assert taken[lossless] + await _all(lossless, CHANGES - len(taken[lossless])) == EVERY


async def test_an_engine_that_stops_reading_its_socket_costs_the_others_nothing(impatient: LocalNatsServer) -> None:
    async with (
        BusWriter(impatient.url) as bus,
        Line(impatient.url) as line,
        DriftFeed(impatient.url) as feed,
        DriftFeed(line.url, ping_interval_s=0.5) as stuck_feed,
    ):
        fast, stuck = (one.stream("price", policy=Lossless()) for one in (feed, stuck_feed))
        line.hold()
        reading = asyncio.ensure_future(_all(fast))
        await _write(bus, range(1, CHANGES // 2 + 1))
        await _fill_buffers(bus)
        await _write(bus, range(CHANGES // 2 + 1, CHANGES + 1))
        assert await reading == EVERY
        assert stuck.statistics().delivered == stuck.statistics().depth == 0
        line.mend()
        assert await _all(stuck) == EVERY
        assert stuck.statistics().depth == 0
        assert stuck_feed.statistics().disconnects >= 1
