"""Keeps memory in step with the stream: joins it, joins it again after a loss, looks for what went missing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from nats.aio.msg import Msg

from drift_schemas import SUBJECT_HEADER, Kind, Topology
from drift_subscribers.direct import DirectReader, JetStreamSilent, ReadFailed, ReadInterrupted
from drift_subscribers.lane import Lane
from drift_subscribers.position import StreamPosition
from drift_subscribers.server_clock import ServerClock
from drift_subscribers.statistics import Counters
from drift_subscribers.trouble import Trouble

__all__ = ["Keeper"]

_log = logging.getLogger("drift_subscribers")
_RETRY_S: Final = 0.5
_PACE_S: Final = 1.0
_WHOLE_EVERY: Final = 6
_SETTLE_S: Final = 0.05


class Keeper:
    """Joins live messages to the stream's content.

    The feed subscribes first; its messages wait at the ``gate``. Then one read takes the last value of every
    subject as of one sequence, and the gate opens: the lanes drop what the read already held. After a lost
    connection, or a sign that the stream is another one, the same happens again.

    In quiet times it asks, every ``reconcile_every_s``, only for markets that were neither changed nor
    confirmed for half their TTL, which a living publisher leaves none of, and every sixth time for all.
    """

    def __init__(
        self,
        lanes: Mapping[Kind, Lane],
        *,
        reader: DirectReader,
        topology: Topology,
        tokens: list[str] | None,
        position: StreamPosition,
        server_clock: ServerClock,
        counters: Counters,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        reconcile_every_s: float,
        patience_s: float,
    ) -> None:
        self.gate = asyncio.Event()
        """Open while live messages may be taken."""
        self._lanes = lanes
        self._reader = reader
        self._topology = topology
        self._tokens = tokens
        self._position = position
        self._server_clock = server_clock
        self._counters = counters
        self._clock = clock
        self._wall_clock = wall_clock
        self._reconcile_every_s = reconcile_every_s
        self._patience_s = patience_s
        self.trouble = Trouble(topology.stream)
        """Why the stream cannot be read now."""
        self._wanted = asyncio.Event()
        self._absent = False
        self._newest_when_absent = 0
        self._joined_at = self._suspected_at = 0.0
        self._time_checked_at = 0.0

    @property
    def in_step(self) -> bool:
        """Live messages are taken, and the last read of the stream went well."""
        return self.gate.is_set() and not self.trouble.why

    @property
    def unreadable(self) -> str:
        """Why a stream that may be there does not answer; empty where it does, or is known not to be there."""
        return "" if self._absent else self.trouble.why

    def line_lost(self) -> None:
        """Closes the gate: what comes next must be joined anew."""
        self.gate.clear()
        self._reader.fail_all()

    def line_back(self) -> None:
        """Keeps the gate closed until the stream was read again."""
        self._server_clock.alone = False
        self.gate.clear()
        self._wanted.set()

    def line_overflowed(self) -> None:
        """Messages were dropped on their way: reads the stream again without closing the gate."""
        self._wanted.set()

    def suspect(self) -> bool:
        """Asks for a new join because the stream looks like another one.

        Returns whether the gate closed for it. It does so once a second at most, lest odd messages stop the
        good ones; a suspicion in between is looked into with the gate open.
        """
        now = time.monotonic()
        urgent = now - self._suspected_at > _PACE_S
        if urgent:
            self._suspected_at = now
            self.gate.clear()
        self._wanted.set()
        return urgent

    async def join(self) -> None:
        """Reads the stream's last values once, takes them, opens the gate. An absent stream is an empty one.

        It may be about to be created, or to be created again: whether it is another one is known once it is there.

        Raises:
            ReadFailed: the server did not answer.
        """
        filters = [subject for lane in self._lanes.values() for subject in self._subjects(lane)]
        _, snapshot = await asyncio.gather(self._calibrate(), self._reader.last_values(filters))
        if snapshot.absent:
            self._note_absence(snapshot.why_absent)
            return
        if self._position.anchor and await self._lost_its_place():
            self._restart()
        self._absent = False
        self._take(snapshot.messages)
        for lane in self._lanes.values():
            lane.baseline = snapshot.up_to
        self._counters.resyncs += 1
        if self.trouble.passed():
            self._server_clock.alone = False  # what did not answer for a while may be asked again
        self._open_gate()

    async def check_time(self) -> None:
        """Asks the server for its time because a live message seemed late; at most once a second."""
        now = time.monotonic()
        if not self._server_clock.alone and now - self._time_checked_at > _PACE_S:
            self._time_checked_at = now
            await self._calibrate()

    async def run(self) -> None:
        """Joins when asked to and reconciles in between; runs until it is cancelled."""
        rounds = 0
        while True:
            pause = _PACE_S if self.trouble.why else self._reconcile_every_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            if self._wanted.is_set():
                if self.gate.is_set():
                    await asyncio.sleep(max(0.0, self._joined_at + _PACE_S - time.monotonic()))
                self._wanted.clear()
                await self._join_in_the_end()
                continue
            rounds += 1
            try:
                if self.trouble.why or rounds % _WHOLE_EVERY == 0:
                    await self.join()
                else:
                    await self._reconcile()
            except ReadInterrupted:
                pass  # the line is told of, and what was missed is read when it is back
            except ReadFailed as failed:
                self._note_failure(failed, is_serious=isinstance(failed, JetStreamSilent))
            for lane in self._lanes.values():
                lane.audience.forget_closed()

    async def _join_in_the_end(self) -> None:
        """Tries until it works; opens the gate after a while all the same: late values beat none.

        A gap then shows in the sequences, and is repaired when the stream can be read again.
        """
        began = time.monotonic()
        while not self._wanted.is_set():
            try:
                await self.join()
                return
            except ReadFailed as failed:
                self._counters.resyncs_failed += 1
                self._note_failure(failed, is_serious=True)
            if time.monotonic() - began > self._patience_s:
                self.gate.set()
            await asyncio.sleep(_RETRY_S)

    def _open_gate(self) -> None:
        self._joined_at = time.monotonic()
        self.gate.set()

    def _note_failure(self, failed: ReadFailed, *, is_serious: bool) -> None:
        """The stream may be there, and does not answer: what is missed from now on is read when it does."""
        self._absent = False
        self.trouble.note(str(failed), is_serious=is_serious)

    def _note_absence(self, why: str) -> None:
        """There is no stream, so nothing is missed; its messages may come all the same, from where we cannot read."""
        if not self._absent:
            self._counters.resyncs += 1
        hears_it = self._absent and self._position.newest > self._newest_when_absent
        self._absent, self._newest_when_absent = True, self._position.newest
        self.trouble.note(why, is_serious=hears_it)
        self._open_gate()

    def _take(self, messages: list[Msg]) -> None:
        """Takes last values; first tells lossless streams that they may have missed something before them."""
        news: list[tuple[Lane, Msg]] = []
        for message in messages:
            lane, token = self._owner(message)
            envelope = None if lane is None else lane.address(message, stored=True)
            if lane is not None and envelope is not None and lane.is_news(envelope):
                news.append((lane, message))
                lane.audience.mark_hole(token, envelope.sequence)
        for lane, message in news:
            lane.take_stored(message, jumped=True)

    async def _reconcile(self) -> None:
        """Looks after markets that have been quiet for longer than a living publisher leaves them."""
        quiet = {
            lane.subject(token): (lane, token)
            for lane in self._lanes.values()
            for token in lane.memory.quiet_tokens(lane.memory.ttl_s / 2)
        }
        if not quiet:
            return
        last = await self._reader.last_values(list(quiet))
        missed = [(self._owner(message), message) for message in last.messages]
        if not any(lane and self._is_news(lane, message) for (lane, _), message in missed):
            return
        await asyncio.sleep(_SETTLE_S)  # it may be on its way to us, behind the answer
        for (lane, token), message in missed:
            if lane is not None and self._is_news(lane, message):
                envelope = lane.address(message, stored=True)
                if envelope is not None:
                    await lane.repair(self._reader, token, envelope.sequence + 1)

    @staticmethod
    def _is_news(lane: Lane, message: Msg) -> bool:
        envelope = lane.address(message, stored=True)
        return envelope is not None and lane.is_news(envelope)

    async def _lost_its_place(self) -> bool:
        """The change that we saw last is not in the stream any more, or is another one."""
        anchor, stamp_ns = self._position.anchor, self._position.anchor_stamp_ns  # they move on while we wait
        return await self._reader.stamp_at(anchor) != stamp_ns

    def _restart(self) -> None:
        self._counters.recreations += 1
        _log.warning(
            "the stream %s has lost message %d, our last change: it was made anew or purged; reading it again",
            self._topology.stream,
            self._position.anchor,
        )
        self._position.restart()
        self._server_clock.restart()
        for lane in self._lanes.values():
            lane.restart()

    async def _calibrate(self) -> None:
        """Learns the server's time; our wall clock stands in where it may not be asked."""
        before = self._clock()
        server_ns = None
        if not self._server_clock.alone:
            bucket = self._topology.bucket_stream(next(iter(self._lanes)))
            try:
                server_ns = await self._reader.server_time_ns(bucket)
            except (JetStreamSilent, ReadInterrupted):
                pass
            except ReadFailed:
                self._server_clock.alone = True
        if server_ns is not None:
            self._server_clock.calibrate(server_ns, before)
        elif not self._server_clock.calibrated:
            self._server_clock.assume(int(self._wall_clock() * 1e9), self._clock())

    def _subjects(self, lane: Lane) -> Iterable[str]:
        tokens = [None] if self._tokens is None else self._tokens
        return [lane.subject(token) for token in tokens]

    def _owner(self, message: Msg) -> tuple[Lane | None, str]:
        parsed = self._topology.subjects.parse((message.headers or {}).get(SUBJECT_HEADER, ""))
        if parsed is None:
            return None, ""
        return self._lanes.get(parsed[0]), parsed[1]
