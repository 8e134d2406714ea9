"""The feed: one connection, the whole bus in memory, streams of changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, Unpack, overload

from nats.aio.msg import Msg

from drift_schemas import (
    KINDS,
    FundingEvent,
    Kind,
    MarketEvent,
    MessageError,
    PriceEvent,
    SpotMarketEvent,
    Topology,
    decode_status,
    market_token,
    note_receipt,
)
from drift_schemas.access import NatsAccess
from drift_subscribers.complaints import Complaints
from drift_subscribers.connection import Connection
from drift_subscribers.deliveries import Inspector
from drift_subscribers.direct import DirectReader, ReadFailed
from drift_subscribers.errors import FeedClosed, SnapshotIncomplete
from drift_subscribers.heartbeat import Heartbeat
from drift_subscribers.intake import Intake
from drift_subscribers.keeper import Keeper
from drift_subscribers.lane import Lane
from drift_subscribers.opening import named_markets, open_stream
from drift_subscribers.options import FeedOptions, Markets
from drift_subscribers.policies import Lossless, Policy, default_policy
from drift_subscribers.position import StreamPosition
from drift_subscribers.reads import Reads
from drift_subscribers.replay_clock import ReplayClock, ReplayedTime
from drift_subscribers.roster import OpenStream, Roster
from drift_subscribers.server_clock import ServerClock
from drift_subscribers.statistics import Counters, FeedStatistics
from drift_subscribers.streams import EventStream

if TYPE_CHECKING:
    from drift_subscribers.blocking import BlockingFeed

__all__ = ["DriftFeed", "FeedStatus"]

_log = logging.getLogger("drift_subscribers")
_LIVE_MESSAGES: Final = 4096
_LIVE_BYTES: Final = 16 * 1024 * 1024
_HEARTBEATS: Final = 16
_RETRY_S: Final = 0.1


class FeedStatus(StrEnum):
    """What the feed itself is doing; the publisher's state is in ``DriftFeed.status()``."""

    CLOSED = "closed"
    """Not open: nothing arrives."""
    LIVE = "live"
    """Connected and in step with the stream."""
    JOINING = "joining"
    """Connected, and not in step with the stream: it is being read, or it cannot be read; ``reason`` says which."""
    DISCONNECTED = "disconnected"
    """No connection; it is being opened again. Values in memory age and go stale."""


class DriftFeed(Reads):
    """Everything the bus knows, in memory, for as long as the ``async with`` lasts.

    Reads never wait: ``funding``, ``price``, ``market`` and ``spot`` return the last value while it is fresh
    and ``None`` otherwise. ``price`` and streams tell of an invalid oracle too (``oracle_is_valid``), ``valid_price``
    and ``require_price`` do not. ``stream`` gives changes as they come. Entering returns when the snapshot is
    complete; a bus without a publisher is an empty snapshot, and data appears when there is some.

    Args:
        url: NATS server, or several of one cluster, as a list or separated by commas (spaces do not count).
        markets: Names to follow; all of them when ``None``.
        kinds: Kinds to follow; all of them when ``None``.
        prefix: The bus's subject prefix.
        connect_timeout_s: Patience for the first connection; later ones are tried for ever.
        snapshot_timeout_s: Patience for the first snapshot.
        ping_interval_s: A silent server is noticed within about three of these.
        reconcile_every_s: How often quiet markets are compared with the stream.
        inbox_prefix: Where answers come; permissions are given by it.
        nats_options: Further arguments of nats-py's ``connect``.
        access: Credentials and certificates; ``NatsAccess.from_environment()`` takes them from ``DRIFT_BUS_NATS_*``.
        domain: The JetStream domain that holds the bus, where ``url`` is a leaf node; by default what ``access`` says.
        clock: Monotonic seconds; freshness is measured on it. A ``ReplayClock`` where the prefix is a replay's.
        wall_clock: Seconds since the Unix epoch: for ``event.received_at_ns``, and where the server's own time may not
            be asked.

    Raises:
        CannotConnect: on entering: no server answered in time.
        SnapshotIncomplete: on entering: the server answers, the stream does not; without JetStream, for one.
        InvalidDomain: a JetStream domain cannot be called so.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        markets: Iterable[str] | None = None,
        kinds: Iterable[Kind] | None = None,
        prefix: str = "drift",
        connect_timeout_s: float = 5.0,
        snapshot_timeout_s: float = 5.0,
        ping_interval_s: float = 2.0,
        reconcile_every_s: float = 5.0,
        inbox_prefix: str = "_INBOX",
        nats_options: Mapping[str, Any] | None = None,
        access: NatsAccess | None = None,
        domain: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._topology = Topology(prefix, domain=domain or (access.domain if access else None))
        self._named = None if markets is None else list(dict.fromkeys(markets))
        self._tokens = None if self._named is None else [market_token(name) for name in self._named]
        self._snapshot_timeout_s = snapshot_timeout_s
        self._counters = Counters()
        self._roster = Roster()
        self._complaints = Complaints(self._counters.refused, time.monotonic)
        self._inspector = Inspector(self._topology, clock, wall_clock)
        self._server_clock = ReplayedTime(clock) if isinstance(clock, ReplayClock) else ServerClock()
        self._position = StreamPosition()
        self._lanes = {kind: self._new_lane(kind, clock) for kind in KINDS}
        self._followed = {kind: self._lanes[kind] for kind in _checked(kinds)}
        super().__init__({kind: lane.memory for kind, lane in self._lanes.items()}, Heartbeat(clock))
        self._clock, self._wall_clock = clock, wall_clock
        self._connection = Connection(
            url,
            connect_timeout_s=connect_timeout_s,
            ping_interval_s=ping_interval_s,
            inbox_prefix=inbox_prefix,
            options=nats_options or {},
            counters=self._counters,
            access=access,
        )
        self._reader = DirectReader(self._connection, self._topology, timeout_s=min(2.0, snapshot_timeout_s / 2))
        self._keeper = Keeper(
            self._followed,
            reader=self._reader,
            topology=self._topology,
            tokens=self._tokens,
            position=self._position,
            server_clock=self._server_clock,
            counters=self._counters,
            clock=clock,
            wall_clock=wall_clock,
            reconcile_every_s=reconcile_every_s,
            patience_s=snapshot_timeout_s,
        )
        self._connection.tell(self._keeper)
        self._tasks: list[asyncio.Task[None]] = []
        self._open = self._opening = False

    @staticmethod
    def open_sync(
        nats_url: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Unpack[FeedOptions]
    ) -> BlockingFeed:
        """Opens a feed for code without an event loop; returns when the snapshot is complete.

        >>> with DriftFeed.open_sync("nats://127.0.0.1:4222") as feed:
        ...     feed.price("SOL-PERP")

        Raises:
            CannotConnect: no server answered in time.
            SnapshotIncomplete: the server answers, the stream does not.
        """
        from drift_subscribers.blocking import BlockingFeed

        return BlockingFeed(DriftFeed(nats_url, **options))

    async def __aenter__(self) -> Self:
        if self._open or self._counters.resyncs:
            raise FeedClosed("a feed is opened once: make another one")
        self._opening = True
        try:
            await self._connection.open()
            await self._subscribe()
            await self._first_join()
        except BaseException:
            await self._close()
            raise
        self._open, self._opening = True, False
        self._spawn("keeper", self._keeper.run())
        self._spawn("connection", self._connection.run())
        if self._named:
            self._spawn("missing", self._report_missing())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def connected(self) -> bool:
        """There is a connection to NATS now."""
        return self._connection.connected

    @property
    def state(self) -> FeedStatus:
        """What the feed itself is doing; ``reason`` says why where it is not live."""
        if not self._open and not self._opening:
            return FeedStatus.CLOSED
        if not self.connected:
            return FeedStatus.DISCONNECTED
        return FeedStatus.LIVE if self._keeper.in_step else FeedStatus.JOINING

    @property
    def reason(self) -> str:
        """Why the feed is not live, and what to do where it knows; empty while it is live."""
        match self.state:
            case FeedStatus.LIVE:
                return ""
            case FeedStatus.CLOSED:
                return "the feed is not open"
            case FeedStatus.DISCONNECTED:
                return self._connection.last_error or "no connection to NATS"
            case _:
                return self._keeper.trouble.why or "the stream is being read"

    @property
    def unreadable(self) -> str:
        """Why the stream, which may be there, does not answer now; empty while it does."""
        return self._keeper.unreadable

    def missing(self) -> list[str]:
        """Names from ``markets=`` of which nothing was seen."""
        seen = set(self.markets())
        return [name for name in self._named or () if name.rstrip() not in seen]

    def statistics(self) -> FeedStatistics:
        """The feed's numbers now."""
        counts = {name: getattr(self._counters, name) for name in Counters.__slots__}
        return FeedStatistics(
            connected=self.connected,
            markets=len(self.markets()),
            entries=sum(len(lane.memory) for lane in self._lanes.values()),
            streams=sum(len(lane.audience) for lane in self._lanes.values()),
            **{**counts, "refused": dict(self._counters.refused)},
        )

    def stream_statistics(self) -> list[OpenStream]:
        """The numbers of each open stream, in the order in which they were opened."""
        return self._roster.open_streams()

    @overload
    def stream(
        self,
        kind: Literal["funding"],
        market: Markets = ...,
        *,
        policy: Policy | None = ...,
        since: int | datetime | None = ...,
        current: bool = ...,
    ) -> EventStream[FundingEvent]: ...
    @overload
    def stream(
        self,
        kind: Literal["price"],
        market: Markets = ...,
        *,
        policy: Policy | None = ...,
        since: int | datetime | None = ...,
        current: bool = ...,
    ) -> EventStream[PriceEvent]: ...
    @overload
    def stream(
        self,
        kind: Literal["market"],
        market: Markets = ...,
        *,
        policy: Policy | None = ...,
        since: int | datetime | None = ...,
        current: bool = ...,
    ) -> EventStream[MarketEvent]: ...
    @overload
    def stream(
        self,
        kind: Literal["spot"],
        market: Markets = ...,
        *,
        policy: Policy | None = ...,
        since: int | datetime | None = ...,
        current: bool = ...,
    ) -> EventStream[SpotMarketEvent]: ...
    def stream(
        self,
        kind: Kind,
        market: Markets = None,
        *,
        policy: Policy | None = None,
        since: int | datetime | None = None,
        current: bool = False,
    ) -> EventStream[Any]:
        """Changes of one kind as they are stored, no re-assertions; an async iterator and context manager.

        It holds changes from this call on, so a read of the feed made after it misses nothing.

        Args:
            kind: ``funding``, ``price``, ``market`` or ``spot``.
            market: A market's name, or the names of several; every market when ``None``.
            policy: What happens when the consumer is slow: ``Conflate``, ``DropOldest`` or ``Lossless``; by
                default ``Conflate`` for prices and ``Lossless`` for the rest.
            since: Begin in the past, at a sequence or a moment, and run into live without a seam (lossless
                only).
            current: Begin with the fresh values in memory.

        Raises:
            FeedClosed: the feed is not open.
            ValueError: the feed does not follow that kind or market, or the arguments contradict each other.
        """
        if not self._open:
            raise FeedClosed("open the feed with async with before streaming from it")
        if kind not in self._followed:
            raise ValueError(f"this feed follows {', '.join(self._followed)}, not {kind!r}")
        names = named_markets(market)
        tokens = None if names is None else tuple(map(market_token, names))
        if self._tokens is not None and (strange := set(tokens or ()).difference(self._tokens)):
            unknown = ", ".join(repr(name) for name in names or () if market_token(name) in strange)
            raise ValueError(f"this feed follows {', '.join(self._named or ())}, not {unknown}")
        chosen = policy or (default_policy(kind) if since is None else Lossless())
        opened = open_stream(
            self._lanes[kind],
            tokens,
            policy=chosen,
            since=since,
            current=current,
            followed=self._tokens,
            reader=self._reader,
            inspector=self._inspector,
            clock=self._clock,
        )
        self._roster.add(opened, kind, names, chosen)
        return opened

    def _new_lane(self, kind: Kind, clock: Callable[[], float]) -> Lane:
        return Lane(
            kind,
            topology=self._topology,
            inspector=self._inspector,
            server_clock=self._server_clock,
            position=self._position,
            counters=self._counters,
            complaints=self._complaints,
            clock=clock,
        )

    async def _subscribe(self) -> None:
        """Core subscriptions come first: from here on nothing that is stored can be missed."""
        await self._connection.subscribe(
            self._topology.subjects.status, self._on_status, messages=_HEARTBEATS, size=_LIVE_BYTES
        )
        for lane in self._followed.values():
            intake = Intake(
                lane,
                keeper=self._keeper,
                reader=self._reader,
                position=self._position,
                server_clock=self._server_clock,
                counters=self._counters,
                clock=self._clock,
            )
            for token in [None] if self._tokens is None else self._tokens:
                await self._connection.subscribe(
                    lane.subject(token), intake.on_message, messages=_LIVE_MESSAGES, size=_LIVE_BYTES
                )
        await self._reader.open()

    async def _first_join(self) -> None:
        failed: ReadFailed | None = None
        try:
            async with asyncio.timeout(self._snapshot_timeout_s):
                while True:
                    try:
                        return await self._keeper.join()
                    except ReadFailed as error:
                        failed = error
                        self._keeper.trouble.why = str(error)
                        await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            why = self._connection.last_error or failed or "no answer"
            raise SnapshotIncomplete(f"no snapshot within {self._snapshot_timeout_s:g} s: {why}") from None

    async def _on_status(self, message: Msg) -> None:
        try:
            status = decode_status(message.data, message.headers)
            if isinstance(self._clock, ReplayClock):
                self._clock.hear(status.published_at_ns)
            received_at_ns = int(self._wall_clock() * 1e9)
            self._heartbeat.hear(note_receipt(status, sequence=None, received_at_ns=received_at_ns))
        except MessageError as error:
            self._complaints.refuse("status", str(error))

    async def _report_missing(self) -> None:
        await asyncio.sleep(self._snapshot_timeout_s)
        if missing := self.missing():
            _log.warning("nothing was seen of %s within %g s", ", ".join(missing), self._snapshot_timeout_s)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"drift-feed-{name}")
        task.add_done_callback(_tell_death)
        self._tasks.append(task)

    async def _close(self) -> None:
        self._open = self._opening = False
        for lane in self._lanes.values():
            lane.audience.close()
        self._reader.fail_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._connection.close()


def _checked(kinds: Iterable[Kind] | None) -> tuple[Kind, ...]:
    chosen = KINDS if kinds is None else tuple(dict.fromkeys(kinds))
    if not chosen or any(kind not in KINDS for kind in chosen):
        raise ValueError(f"kinds={chosen}: choose from {', '.join(KINDS)}")
    return chosen


def _tell_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("%s ended: %r", task.get_name(), task.exception())
