"""What a replay onto a bus does, tick by tick."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from drift_schemas import (
    MSG_ID_HEADER,
    REASSERTION_HEADER,
    REPLAY_HEADER,
    STORED_AT_HEADER,
    TTL_HEADER,
)
from drift_subscribers.errors import FeedError
from drift_subscribers.history import Present, Span, Tick, TickSort, format_moment
from drift_subscribers.replay.beats import BEAT_EVERY_NS, ReplayHeartbeat
from drift_subscribers.replay.pacing import Pacer
from drift_subscribers.replay.target import ReplayTarget
from drift_subscribers.replay.writer import OnlyWriter

__all__ = ["Performance"]

_END_MARK_TTL: Final = "60s"
_LEFT_OUT: Final = (MSG_ID_HEADER, TTL_HEADER, REASSERTION_HEADER, "Nats-Expected-")
"""Beginnings of the names of headers that held for the stream that was written first, and for no other."""
_SHORTEST_LOOK_S: Final = 0.05
_LONGEST_LOOK_S: Final = 1.0


class Performance:
    """Publishes the ticks of one span when they are due.

    Args:
        target, writer, beats: Where they go.
        pacer: When.
        ticks: From before the beginning of the span.
        span: What is replayed.
    """

    def __init__(
        self,
        target: ReplayTarget,
        writer: OnlyWriter,
        beats: ReplayHeartbeat,
        pacer: Pacer,
        ticks: AsyncGenerator[list[Tick], None],
        span: Span,
    ) -> None:
        self.changes = 0
        """Changes published."""
        self._target = target
        self._writer = writer
        self._beats = beats
        self._pacer = pacer
        self._ticks = ticks
        self._span = span
        self._waiting: deque[Tick] = deque()
        self._beaten_ns = 0
        self._is_closed = False

    async def open(self) -> None:
        """Publishes the values that were present when the span begins, the longest confirmed first."""
        begin_ns, present = self._span.begin_ns, Present()
        async for ticks in self._ticks:
            before = [tick for tick in ticks if self._is_before(tick)]
            present.apply(before)
            self._waiting.extend(tick for tick in ticks if not self._is_before(tick) and self._is_within(tick))
            if self._waiting:
                break
        for tick in sorted(present.at(begin_ns), key=lambda tick: (tick.at_ns, tick.sequence)):
            await self._publish(tick._replace(sort=TickSort.CONFIRMATION))
        self._pacer.begin(begin_ns)
        await self._beat(begin_ns)

    async def run(self, stop: asyncio.Event) -> bool:
        """Publishes until the end or until ``stop`` is set; tells whether it was the end."""
        while not stop.is_set() and (tick := await self._head()) is not None:
            if await self._pacer.due(tick.at_ns, at_most_s=self._look_s()):
                await self._perform(tick)
            else:
                await self._beat(self._pacer.now_ns)
        return await self._end(stopped=stop.is_set())

    async def step(self, count: int) -> int:
        """Publishes until ``count`` more changes are out; returns how many there were."""
        before = self.changes
        while self.changes - before < count and (tick := await self._head()) is not None:
            self._pacer.jump(tick.at_ns)
            await self._perform(tick)
        await self._beat(self._pacer.now_ns)
        if await self._head() is None:
            await self._end(stopped=False)
        return self.changes - before

    async def close(self, state: str) -> None:
        """Says on the bus and in the stream's metadata how it ended; does nothing the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        now = format_moment(self._pacer.now_ns)
        with suppress(FeedError):
            await self._beats.beat(self._pacer.now_ns, "stopped", f"the replay is {state} at {now}")
            await self._target.mark(f"{state} at {now}")

    async def _end(self, *, stopped: bool) -> bool:
        if not stopped:
            end_ns = self._span.until_ns
            if end_ns is not None:
                self._pacer.jump(end_ns)
            await self._writer.drain()
            await self.close("complete")
        return not stopped

    async def _head(self) -> Tick | None:
        while not self._waiting:
            ticks = await anext(self._ticks, None)
            if ticks is None:
                return None
            self._waiting.extend(tick for tick in ticks if self._is_within(tick))
        return self._waiting[0]

    def _is_before(self, tick: Tick) -> bool:
        return tick.at_ns < self._span.begin_ns

    def _is_within(self, tick: Tick) -> bool:
        return tick.sort is TickSort.EXPIRY or tick.sequence <= self._span.last_sequence

    async def _perform(self, tick: Tick) -> None:
        if tick.at_ns - self._beaten_ns >= BEAT_EVERY_NS:
            await self._beat(tick.at_ns)
        self._waiting.popleft()
        await self._publish(tick)
        self.changes += tick.sort is TickSort.CHANGE

    async def _publish(self, tick: Tick) -> None:
        headers = {name: value for name, value in tick.headers.items() if not name.startswith(_LEFT_OUT)}
        headers |= {REPLAY_HEADER: self._target.name, STORED_AT_HEADER: str(tick.at_ns)}
        if tick.sort is TickSort.EXPIRY:
            headers |= {"KV-Operation": "DEL", TTL_HEADER: _END_MARK_TTL}
            await self._writer.write(self._target.expired_subject(tick.kind, tick.token), headers, b"")
            return
        if tick.sort is TickSort.CONFIRMATION:
            headers[REASSERTION_HEADER] = "1"
        await self._writer.write(self._target.event_subject(tick.kind, tick.token), headers, tick.payload)
        self._beats.note(tick)

    async def _beat(self, now_ns: int) -> None:
        """After all that was before it: a feed's clock must not pass an event that it has not heard."""
        await self._writer.drain()
        self._beaten_ns = now_ns
        await self._beats.beat(now_ns, "live", "the replay is paused" if self._pacer.is_paused else "")

    def _look_s(self) -> float:
        speed = self._pacer.speed
        wait_s = _LONGEST_LOOK_S if speed == "max" else _LONGEST_LOOK_S / speed
        return min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, wait_s))
