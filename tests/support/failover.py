"""Two publisher processes behind lines of their own, an engine that keeps all it was given, and what it adds up to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import nats
from nats.aio.msg import Msg

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, FundingEvent, Kind, MarketDataEvent, StatusEvent, Topology, decode_status
from drift_schemas.access import close_quietly
from drift_simulator import Simulator
from drift_subscribers import DriftFeed, EventStream, Lossless
from tests.deployment.ledger import stored_changes
from tests.support.line import Line
from tests.support.publishing import publisher_process
from tests.support.wait import wait_until

__all__ = ["Contender", "Scene", "Verdict", "scene"]

PATIENCE_S: Final = 60.0
LEASE: Final = {"DRIFT_BUS_LEASE_TTL_S": "2"}
"""The real one: who leads is what these tests are about."""
_SAID_ANEW: Final = {"published_at_ns", "observed_at_ns", "epoch"}


@dataclass
class Contender:
    """One publisher process, and the lines between it and the world.

    Attributes:
        nats: To the NATS server.
        http, ws: To the RPC node.
    """

    process: asyncio.subprocess.Process
    nats: Line
    http: Line
    ws: Line

    def freeze(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def deafen(self) -> None:
        """Nothing of the chain gets through, and nobody is told."""
        self.http.hold()
        self.ws.hold()

    def mend(self) -> None:
        """Everything gets through again."""
        for line in (self.nats, self.http, self.ws):
            line.mend()


class Verdict(NamedTuple):
    """What the engine was given, beside the stream and the chain.

    Attributes:
        events: How many changes it was given.
        lost: Stored changes that it was not given: sequence and message id.
        duplicates: The same message twice, or a market's slot and content twice in a row; that a price comes back
            within a slot is none.
        old_epoch: Events of an older epoch after a newer one, in the stream's order.
        unsettled: Settlements of the chain that it was not given.
    """

    events: int
    lost: tuple[str, ...]
    duplicates: int
    old_epoch: int
    unsettled: int

    @property
    def as_it_should_be(self) -> Verdict:
        """As many events, and nothing wrong with them."""
        return Verdict(self.events, lost=(), duplicates=0, old_epoch=0, unsettled=0)


@dataclass
class Scene:
    """A chain under load, a NATS server, contenders and an engine.

    Attributes:
        beats: The newest heartbeat of each contender by the port of its RPC line, with its monotonic time of arrival.
        given: What the lossless streams of the engine delivered, by kind: sequence and event.
        first_at: Monotonic time of the first event of each epoch.
        settled: Market and time of each settlement on the chain.
    """

    sim: Simulator
    server: LocalNatsServer
    feed: DriftFeed = field(init=False)
    contenders: list[Contender] = field(default_factory=list)
    beats: dict[str, tuple[float, StatusEvent]] = field(default_factory=dict)
    given: defaultdict[Kind, list[tuple[int, MarketDataEvent]]] = field(default_factory=lambda: defaultdict(list))
    first_at: dict[int, float] = field(default_factory=dict)
    settled: set[tuple[str, int]] = field(default_factory=set)
    _told: set[tuple[str, int | None]] = field(default_factory=set)

    def status(self, contender: Contender) -> StatusEvent | None:
        """What it said lately about itself."""
        heard_at, status = self.beats.get(contender.http.url, (0.0, None))
        return status if time.monotonic() - heard_at < 3 else None

    @property
    def leader(self) -> Contender | None:
        """Who says that it leads; of two, the one with the larger epoch."""
        said = [(status, one) for one in self.contenders if (status := self.status(one)) and status.role == "leader"]
        return max(said, key=lambda pair: pair[0].epoch)[1] if said else None

    def other(self, contender: Contender) -> Contender:
        """The other of two."""
        (other,) = (one for one in self.contenders if one is not contender)
        return other

    @property
    def epoch(self) -> int:
        """The newest epoch of which the engine was given an event."""
        return max(self.first_at, default=0)

    @property
    def events(self) -> int:
        """How many changes the engine was given."""
        return sum(map(len, self.given.values()))

    def stands_by(self, contender: Contender) -> bool:
        """It says that it stands by, and hears the chain."""
        status = self.status(contender)
        return status is not None and status.role == "standby" and status.source_state == "live"

    async def ready(self) -> Contender:
        """Waits for a leader and for standbys that hear the chain; returns the leader."""

        def leads() -> Contender | None:
            leader = self.leader
            status = self.status(leader) if leader else None
            if leader is None or status is None or status.source_state != "live" or status.epoch != self.epoch:
                return None
            return leader if self.stands_by(self.other(leader)) else None

        found: Contender = await wait_until(leads, PATIENCE_S, "one leads, the other stands by")
        return found

    async def taken_over(self, since: int) -> None:
        """Waits until the engine is given events of an epoch after ``since``."""
        await wait_until(lambda: self.epoch > since, PATIENCE_S, f"events of an epoch after {since}", every_s=0.005)

    def settle(self, market: str) -> None:
        """The chain settles a market's funding."""
        settlement = self.sim.settle_funding(market)
        assert settlement is not None, f"{market}: no funding is due"
        self.settled.add((market, settlement.ts))

    async def settlements_seen(self) -> None:
        """Waits until the engine was given every settlement."""
        await wait_until(lambda: not self._unsettled(), PATIENCE_S, "every settlement reaches the engine")

    async def verdict(self) -> Verdict:
        """Ends the load, waits until the engine has caught up with what is stored by then or does not, and compares."""
        self.sim.pause_walk()
        stored = {kind: await stored_changes(self.server.url, Topology(), kinds=(kind,)) for kind in KINDS}
        with contextlib.suppress(AssertionError):
            await wait_until(lambda: not self._lost(stored) and not self._unsettled(), PATIENCE_S, every_s=0.5)
        given = sorted((pair for pairs in self.given.values() for pair in pairs), key=lambda pair: pair[0])
        newest = old = 0
        for _, event in given:
            old += event.epoch < newest
            newest = max(event.epoch, newest)
        return Verdict(len(given), self._lost(stored), _told_twice(given), old, len(self._unsettled()))

    def _lost(self, stored: dict[Kind, dict[int, str]]) -> tuple[str, ...]:
        """Stored changes, from the first one that the engine was given on, that it was not given."""
        lost: list[str] = []
        for kind, pairs in self.given.items():
            seen = {sequence for sequence, _ in pairs}
            lost += (
                f"{sequence} {identity}"
                for sequence, identity in stored[kind].items()
                if min(seen) <= sequence not in seen
            )
        return tuple(lost)

    def _unsettled(self) -> set[tuple[str, int]]:
        return self.settled - self._told

    async def read(self, kind: Kind, stream: EventStream[MarketDataEvent]) -> None:
        """Keeps what a stream of the engine delivers, until it is closed."""
        async for event in stream:
            self.given[kind].append((stream.sequence, event))
            if isinstance(event, FundingEvent):
                self._told.add((event.market, event.funding_rate_ts))
            self.first_at.setdefault(event.epoch, time.monotonic())

    async def hear(self, message: Msg) -> None:
        """Takes a heartbeat in."""
        status = decode_status(message.data, message.headers)
        self.beats[status.rpc_endpoint] = (time.monotonic(), status)

    @contextlib.asynccontextmanager
    async def contender(self, **environment: str) -> AsyncIterator[Contender]:
        """One more publisher process, behind lines of its own."""
        async with Line(self.server.url) as bus, Line(self.sim.http_url) as http, Line(self.sim.ws_url) as ws:
            urls = {"rpc_url": http.url, "ws_url": ws.url}
            async with publisher_process(self.sim, bus, **urls, **LEASE, **environment) as process:
                contender = Contender(process, bus, http, ws)
                self.contenders.append(contender)
                draining = asyncio.create_task(_drain(process), name="log of a publisher")
                try:
                    yield contender
                finally:
                    if contender in self.contenders:
                        self.contenders.remove(contender)
                    if process.returncode is None:
                        process.kill()
                    await draining


def _told_twice(given: list[tuple[int, MarketDataEvent]]) -> int:
    twice = len(given) - len({sequence for sequence, _ in given})
    last: dict[tuple[Kind, str], dict[str, object]] = {}
    for _, event in given:
        content = event.model_dump(exclude=_SAID_ANEW)
        twice += last.get((event.kind, event.market)) == content
        last[event.kind, event.market] = content
    return twice


@contextlib.asynccontextmanager
async def scene(sim: Simulator, server: LocalNatsServer, *environments: dict[str, str]) -> AsyncIterator[Scene]:
    """Publisher processes, one for each of ``environments``, and an engine on the stream from its beginning."""
    stage = Scene(sim, server)
    async with contextlib.AsyncExitStack() as stack:
        ear = await nats.connect(server.url)
        stack.push_async_callback(close_quietly, ear)
        for subject in (Topology().subjects.status, Topology().subjects.standbys):
            await ear.subscribe(subject, cb=stage.hear)
        for environment in environments:
            await stack.enter_async_context(stage.contender(**environment))
        await wait_until(lambda: stage.leader, PATIENCE_S, "a leader")
        stage.feed = await stack.enter_async_context(DriftFeed(server.url))
        async with asyncio.TaskGroup() as reading:
            streams: list[EventStream[MarketDataEvent]] = []
            for kind in KINDS:
                stream: EventStream[MarketDataEvent] = stage.feed.stream(kind, policy=Lossless())
                streams.append(stream)
                reading.create_task(stage.read(kind, stream), name=f"engine {kind}")
            try:
                yield stage
            finally:
                for stream in streams:
                    stream.close()


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.readline():
        pass
