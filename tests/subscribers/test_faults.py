"""Server killed, server frozen, network gone: nothing lost, nothing twice, old values not read, new ones back."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import REASSERTION_HEADER, Kind, MarketDataEvent, Topology
from drift_subscribers import DriftFeed, EventStream, Lossless, MarketNotFound, StaleData, StaleReason
from tests.subscribers.support import ManualClock
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.connecting import nats_client
from tests.support.line import Line
from tests.support.wait import wait_until

MARKETS = [f"M{number}-PERP" for number in range(4)]
WITNESSED: tuple[Kind, ...] = ("price", "funding")
BETWEEN_WRITES_S = 0.02
TOPOLOGY = Topology()

Fault = Callable[[LocalNatsServer, Line], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def killed(server: LocalNatsServer, line: Line) -> AsyncIterator[None]:
    """kill -9, and another process on the same store."""
    await server.kill()
    yield
    await server.start()


@asynccontextmanager
async def frozen(server: LocalNatsServer, line: Line) -> AsyncIterator[None]:
    """SIGSTOP, SIGCONT: connections stay, and nobody answers."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


@asynccontextmanager
async def cut(server: LocalNatsServer, line: Line) -> AsyncIterator[None]:
    """The engine's connection is reset, and new ones too; the writer's is not."""
    line.cut()
    yield
    line.mend()


@asynccontextmanager
async def held(server: LocalNatsServer, line: Line) -> AsyncIterator[None]:
    """The engine's packets go nowhere, and no end is told; the writer's pass."""
    line.hold()
    yield
    line.mend()


FAULTS: list[Fault] = [killed, frozen, cut, held]
OUTAGES: list[Fault] = [frozen, held]

# nats-py leaves the socket of a reconnection that failed half-way to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def sockets_of_failed_reconnections_are_collected() -> Iterator[None]:
    """Collected here, where the warning of it is expected, and not during somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
async def line(nats_server: LocalNatsServer) -> AsyncIterator[Line]:
    """What the engine's connection goes through."""
    async with Line(nats_server.url) as line:
        yield line


class Witness:
    """Reads one kind's lossless stream and remembers every place, by subject."""

    def __init__(self, feed: DriftFeed, kind: Kind) -> None:
        self.stream: EventStream[MarketDataEvent] = feed.stream(kind, policy=Lossless(64))
        self.seen: defaultdict[str, list[int]] = defaultdict(list)

    async def read(self) -> None:
        async for event in self.stream:
            self.seen[TOPOLOGY.subjects.public(event.kind, event.market)].append(self.stream.sequence)


class Latest:
    """Reads the conflating stream of prices and remembers the last of each market."""

    def __init__(self, feed: DriftFeed) -> None:
        self.stream = feed.stream("price")
        self.last: dict[str, int | None] = {}

    async def read(self) -> None:
        async for event in self.stream:
            self.last[event.market] = event.oracle_price


class Load:
    """Stores changes of every market, and some confirmations, until it is stopped."""

    def __init__(self, bus: BusWriter) -> None:
        self._bus = bus
        self._stop = False
        self.count = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as writers:
            for market in MARKETS:
                writers.create_task(self._of_one(market))

    async def stop(self, running: asyncio.Task[None]) -> None:
        self._stop = True
        await running

    async def _of_one(self, market: str) -> None:
        value = 0
        while not self._stop:
            value += 1
            price = price_event(market, value)
            await self._bus.change(price)
            if value % 5 == 0:
                await self._bus.reassert(price)
            await self._bus.change(funding_event(market, value))
            self.count += 1
            await asyncio.sleep(BETWEEN_WRITES_S)


async def _stream_holds(url: str) -> dict[str, list[int]]:
    """Sequences of the changes in the stream, by subject, read by bare nats-py."""
    async with nats_client(url) as client:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True)
        pull = await client.jetstream(timeout=30).pull_subscribe(
            TOPOLOGY.subjects.everything, stream=TOPOLOGY.stream, config=config
        )
        found: defaultdict[str, list[int]] = defaultdict(list)
        left = (await pull.consumer_info()).num_pending or 0
        while left:
            for message in await pull.fetch(min(left, 500), timeout=30):
                left = message.metadata.num_pending
                if REASSERTION_HEADER not in (message.headers or {}):
                    found[message.subject].append(message.metadata.sequence.stream)
        return dict(found)


@pytest.mark.parametrize("fault", FAULTS)
async def test_under_load_nothing_is_lost_and_nothing_comes_twice(
    fault: Fault, bus: BusWriter, nats_server: LocalNatsServer, line: Line
) -> None:
    load = Load(bus)
    async with asyncio.TaskGroup() as tasks, DriftFeed(line.url, ping_interval_s=0.5) as feed:
        witnesses, latest = [Witness(feed, kind) for kind in WITNESSED], Latest(feed)
        for reading in (*(witness.read() for witness in witnesses), latest.read()):
            tasks.create_task(reading)
        writing = tasks.create_task(load.run())
        await wait_until(lambda: load.count > 100)
        async with fault(nats_server, line):
            await wait_until(lambda: not feed.connected, what="the fault is noticed")
        await wait_until(lambda: feed.connected, what="connected again")
        enough = load.count + 100
        await wait_until(lambda: load.count > enough, what="writing goes on")
        await load.stop(writing)

        holds = await _stream_holds(nats_server.url)
        acknowledged = {subject: [place for place, _ in changes] for subject, changes in bus.stored.items()}
        assert holds == acknowledged

        def seen() -> dict[str, list[int]]:
            return {subject: places for witness in witnesses for subject, places in witness.seen.items()}

        await wait_until(lambda: sum(map(len, seen().values())) >= sum(map(len, holds.values())), what="all seen")
        assert seen() == holds
        newest = {market: bus.stored[f"drift.price.{market}"][-1][1].oracle_price for market in MARKETS}  # type: ignore[attr-defined]
        await wait_until(lambda: latest.last == newest, what="the conflating stream ends on the newest values")
        await wait_until(lambda: [_price(feed, market) for market in MARKETS] == list(newest.values()))
        assert seen() == holds
        assert feed.statistics().disconnects >= 1
        assert feed.statistics().recreations == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", OUTAGES)
async def test_ten_seconds_of_silence_take_the_price_away_and_say_why(
    fault: Fault, bus: BusWriter, nats_server: LocalNatsServer, line: Line
) -> None:
    async with DriftFeed(line.url, ping_interval_s=0.5) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(funding_event(MARKETS[0]))
        await bus.change(price_event(MARKETS[0], 1))
        await bus.beat()
        await wait_until(lambda: feed.price(MARKETS[0]) and feed.funding(MARKETS[0]) and feed.status())
        async with fault(nats_server, line):
            await wait_until(lambda: feed.price(MARKETS[0]) is None, what="the price's TTL of 10 s is over")
            with pytest.raises(StaleData) as stale:
                feed.require_price(MARKETS[0])
            assert stale.value.reason is StaleReason.DISCONNECTED
            assert stale.value.age_s > 10
            with pytest.raises(MarketNotFound) as unknown:
                feed.require_price("NEVER-PERP")
            assert unknown.value.reason is StaleReason.DISCONNECTED
        await bus.change(price_event(MARKETS[0], 2))
        await wait_until(lambda: _price(feed, MARKETS[0]) == 2, what="reads are back")
        assert feed.require_price(MARKETS[0]).oracle_price == 2
        assert [(await anext(stream)).oracle_price for _ in range(2)] == [1, 2]


async def test_a_dead_server_takes_each_kind_away_at_its_ttl(
    bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock
) -> None:
    async with DriftFeed(nats_server.url, clock=clock) as feed:
        await bus.change(funding_event(MARKETS[0]))
        await bus.change(price_event(MARKETS[0], 1))
        await wait_until(lambda: feed.price(MARKETS[0]) and feed.funding(MARKETS[0]))
        async with killed(nats_server, None):  # type: ignore[arg-type]
            await wait_until(lambda: not feed.connected)
            clock.advance(10.1)
            assert feed.price(MARKETS[0]) is None
            assert feed.funding(MARKETS[0]) is not None
            clock.advance(20)
            assert feed.funding(MARKETS[0]) is None
            with pytest.raises(StaleData) as stale:
                feed.require_funding(MARKETS[0])
            assert stale.value.reason is StaleReason.DISCONNECTED
        await wait_until(lambda: feed.connected, what="connected again")
        assert feed.price(MARKETS[0]) is None, "what the stream still holds is no fresher than before"
        await bus.reassert(price_event(MARKETS[0], 1))
        await wait_until(lambda: _price(feed, MARKETS[0]) == 1, what="a confirmation brings it back")


async def test_a_feed_closes_quietly_where_another_wait_for_its_socket_was_cancelled(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    async with DriftFeed(nats_server.url) as feed:
        transport = feed._connection.client._transport
        assert transport is not None
        waiting = asyncio.ensure_future(transport.wait_closed())  # as nats-py's reader does when the line breaks
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not feed.connected


def _price(feed: DriftFeed, market: str) -> int | None:
    event = feed.price(market)
    return None if event is None else event.oracle_price
