"""A replay onto a bus of its own: subjects, stream, buckets and heartbeat, as of the replayed time."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self, Unpack

from drift_subscribers.errors import FeedClosed
from drift_subscribers.history import Selection, read_ticks
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.replay.beats import ReplayHeartbeat
from drift_subscribers.replay.control import Paced
from drift_subscribers.replay.pacing import Pacer, Speed
from drift_subscribers.replay.performance import Performance
from drift_subscribers.replay.source import ReplayOptions, Server, Source
from drift_subscribers.replay.target import ReplayTarget
from drift_subscribers.replay.writer import OnlyWriter

__all__ = ["BusReplay"]

_KEEP_S: Final = 24 * 3600


class BusReplay(Paced):
    """Publishes history again under ``replay.<name>``, where engines read it with their unchanged code.

    >>> async with BusReplay(url, "incident", since="-2h", until="-1h", speed=10) as replay:
    ...     await replay.run()

    An engine's side: ``DriftFeed(url, prefix="replay.incident", clock=ReplayClock())``. It begins with the values that
    were present at the beginning; then come changes, confirmations and expiries at their replayed times, and a
    heartbeat with the replayed time. Payloads are those of the history, byte for byte. Each message has the headers
    ``Drift-Replay`` (the name) and ``Drift-Stored-At`` (its time in the history). The same history gives the same
    stream, sequence by sequence, at any speed.

    What was replayed stays on the server after the end, for ``keep_s``; another replay of the same name must say
    ``replace=True``.

    Args:
        server: A NATS URL, several of one cluster, or an open client, which stays the caller's.
        name: The replay's name: ``a-z 0-9 _ -``, 24 at most.
        speed: Replayed seconds per second, or ``"max"``: no waiting.
        replace: Delete an earlier replay of this name first.
        keep_s: How long the server keeps the replayed messages, in seconds of wall time.
        options: What is replayed, and how it is read: see :class:`ReplayOptions`.

    Raises:
        BadReplayName, BadSpeed, BadMoment, BadSelection: the arguments are no replay.
        CannotConnect: on entering: no server answered in time.
        NoHistory, EmptyHistory, HistoryPurged: on entering: there is no such history, and why.
        ReplayExists, ReplayError: on entering: it cannot be made under this name.
        ReplayTaken: in ``run`` and ``step``: somebody else writes to it or has removed it.
        HistoryInterrupted: in ``run`` and ``step``: the server stayed away, or the history was made anew.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        *,
        speed: Speed = 1,
        replace: bool = False,
        keep_s: int = _KEEP_S,
        **options: Unpack[ReplayOptions],
    ) -> None:
        super().__init__(Pacer(speed, options.get("clock", time.monotonic)))
        self._source = Source(server, options)
        self._target = ReplayTarget(name, keep_s=keep_s, domain=self._source.topology.domain)
        self._replace = replace
        self._stack = AsyncExitStack()
        self._performance: Performance | None = None
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._performance is not None:
            raise FeedClosed("a replay is opened once: make another one")
        source, target = self._source, self._target
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(source.connected())
            span = await source.span(client)
            inquiry = await stack.enter_async_context(
                Inquiry(client, source.topology.api, patience_s=source.patience_s)
            )
            await target.create(
                inquiry, replace=self._replace, description=f"drift-bus: replay of {source.selection.describe()}"
            )
            writer = await stack.enter_async_context(OnlyWriter(client, target, patience_s=source.patience_s))
            ticks = read_ticks(
                client,
                source.topology,
                source.selection,
                begin_ns=span.begin_ns,
                until_ns=span.until_ns,
                stream=source.stream,
                patience_s=source.patience_s,
            )
            stack.push_async_callback(ticks.aclose)
            beats = ReplayHeartbeat(client, target.topology, target.name)
            self._performance = Performance(target, writer, beats, self._pacer, ticks, span)
            await self._performance.open()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._opened.close("interrupted")
        finally:
            await self._stack.aclose()

    @property
    def name(self) -> str:
        """The replay's name."""
        return self._target.name

    @property
    def selection(self) -> Selection:
        """What was asked for."""
        return self._source.selection

    @property
    def changes(self) -> int:
        """Changes published so far."""
        return 0 if self._performance is None else self._performance.changes

    async def run(self) -> bool:
        """Publishes until the end, or until :meth:`stop`; tells whether it was the end."""
        return await self._opened.run(self._stop)

    async def step(self, count: int = 1) -> int:
        """Pauses, and publishes the next ``count`` changes at once, with all that happens before them.

        Returns how many there were. Not while :meth:`run` is running: one of them at a time.
        """
        self.pause()
        return await self._opened.step(count)

    def stop(self) -> None:
        """Lets :meth:`run` return; what was published stays."""
        self._stop.set()
        self._pacer.wake()

    @property
    def _opened(self) -> Performance:
        if self._performance is None:
            raise FeedClosed("open the replay with async with")
        return self._performance
