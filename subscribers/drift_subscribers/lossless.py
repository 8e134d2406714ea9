"""A buffer that loses nothing: what does not fit, or was missed, is read from the stream in its place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from nats.aio.msg import Msg

from drift_schemas import SUBJECT_HEADER
from drift_subscribers.buffers import Buffer
from drift_subscribers.deliveries import Delivery, Envelope, Inspector, Refused
from drift_subscribers.direct import Batch, ReadFailed
from drift_subscribers.lane import Place

__all__ = ["LosslessBuffer", "Read"]

Read = Callable[[str | None, int, int], Awaitable[Batch]]
"""Reads what the stream has of a token (``None``: of all that the consumer hears), from a sequence, up to a limit."""

_RETRY_S: Final = 0.25
_MAX_BATCH: Final = 256
_PROBES: Final = 64
_PATIENCE: Final = 8


@dataclass(slots=True)
class _Mark:
    """How far one market was accepted into the buffer."""

    sequence: int
    stamp_ns: int
    epoch: int


class LosslessBuffer(Buffer):
    """In order per market, once, with at most ``capacity`` changes (and one batch) in memory.

    Live changes go into memory until it is full, or until the feed says that it missed something. Then a *hole*
    opens, and live changes are only counted. The consumer empties the memory; then the buffer asks the stream
    for the first message of each market after the last accepted one, which is where the hole really begins, reads
    on from there in batches, and closes the hole when a read has reached everything offered meanwhile. A mark per
    market drops whatever was accepted before.

    Args:
        capacity: Most live changes in memory.
        read: Reads the stream.
        inspector: Believes or refuses what was read.
        wanted: Tokens that the consumer hears; all of its kind when ``None``.
        accepted: By token, how far the consumer needs nothing.
        floor: The same for every other token.
        begin: Finds the sequence to begin at, where that is in the past.
    """

    def __init__(
        self,
        capacity: int,
        read: Read,
        inspector: Inspector,
        *,
        wanted: Collection[str] | None,
        accepted: Mapping[str, Place],
        floor: int,
        begin: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        super().__init__()
        self._capacity = capacity
        self._read = read
        self._inspector = inspector
        self._wanted = wanted
        self._marks = {token: _Mark(*place) for token, place in accepted.items()}
        self._floor = floor
        self._begin = begin
        self._hole = None if begin is None else 1
        self._found_begin = False
        self._newest_offered = 0
        self._generation = 0
        self._short_reads = 0
        self._waiting: deque[Delivery] = deque()

    @property
    def behind(self) -> bool:
        """There is a hole to read."""
        return self._hole is not None

    def __len__(self) -> int:
        """Changes that wait."""
        return len(self._waiting)

    def oldest(self) -> Delivery | None:
        """The change at the head."""
        return self._waiting[0] if self._waiting else None

    def put_first(self, delivery: Delivery) -> None:
        """Takes a value of which the marks know already."""
        self._waiting.append(delivery)

    def take(self) -> Delivery | None:
        """Gives the change at the head."""
        return self._waiting.popleft() if self._waiting else None

    def offer(self, delivery: Delivery) -> None:
        """Takes a change while there is room and no hole; else leaves it in the stream."""
        if self._hole is None and len(self._waiting) < self._capacity:
            self._accept(delivery)
        else:
            self.mark_hole(delivery.envelope.token, delivery.envelope.sequence)

    def mark_hole(self, token: str, sequence: int) -> None:
        """Leaves a message of ``token``, and what may be missing before it, to be read from the stream."""
        if self._wanted is not None and token not in self._wanted:
            return
        self._newest_offered = max(self._newest_offered, sequence)
        if self._hole is None:
            self._hole, self._found_begin = sequence, False

    def restart(self) -> None:
        """Reads the new stream from its beginning; what it repeats of the old one is known by its time."""
        for mark in self._marks.values():
            mark.sequence = mark.epoch = 0
        self._floor = self._newest_offered = 0
        self._generation += 1
        self._hole, self._begin, self._found_begin = 1, None, True

    async def catch_up(self) -> None:
        """Reads the next batch of the hole, and closes it when live was reached."""
        try:
            if not self._found_begin:
                await self._find_begin()
            else:
                await self._read_on()
        except ReadFailed:
            await asyncio.sleep(_RETRY_S)

    async def _find_begin(self) -> None:
        """Goes back to the first message that any market may have missed."""
        generation = self._generation
        if self._begin is not None:
            self._hole = await self._begin()
            self._floor, self._begin, self._found_begin = self._hole - 1, None, True
            return
        first = await self._first_after({token: mark.sequence for token, mark in self._marks.items()})
        if generation == self._generation and self._hole is not None:
            self._hole = min(self._hole, *first)
            self._found_begin = True

    async def _read_on(self) -> None:
        start, generation = self._hole, self._generation
        if start is None:
            return
        batch = await self._read(None, start, min(_MAX_BATCH, self._capacity))
        messages = [(envelope, message) for message in batch.messages if (envelope := self._address(message))]
        strangers = {envelope.token for envelope, _ in messages} - self._marks.keys()
        first = await self._first_after(dict.fromkeys(strangers, self._floor))
        if generation != self._generation or self._hole is None:
            return
        if min(first) < start:  # a new market began in what was missed before
            self._hole = min(first)
            return
        reached = start - 1
        for envelope, message in messages:
            reached = max(reached, envelope.sequence)
            self.repaired += self._accept_stored(envelope, message)
        if not batch.pending and reached >= self._newest_offered:
            self._close_hole()
        elif batch.messages:
            self._hole = reached + 1
        else:
            await self._wait_for_the_store()

    async def _first_after(self, places: Mapping[str, int]) -> list[int]:
        """Sequences of the first message after a place, by token, where there is one; the last is infinite."""
        found = [2**63]
        tokens = [token for token in places if self._wanted is None or token in self._wanted]
        for at in range(0, len(tokens), _PROBES):
            batches = await asyncio.gather(
                *(self._read(token, places[token] + 1, 1) for token in tokens[at : at + _PROBES])
            )
            envelopes = (self._address(message) for batch in batches for message in batch.messages)
            found += [envelope.sequence for envelope in envelopes if envelope is not None]
        return found

    def _address(self, message: Msg) -> Envelope | None:
        headers = message.headers or {}
        try:
            return self._inspector.envelope(headers.get(SUBJECT_HEADER, ""), headers)
        except Refused:
            return None

    def _accept_stored(self, envelope: Envelope, message: Msg) -> bool:
        """Accepts a change that was read; what is refused here the feed has counted and logged itself."""
        if envelope.reassertion or (self._wanted is not None and envelope.token not in self._wanted):
            return False
        try:
            return self._accept(self._inspector.open(envelope, message.data, message.headers))
        except Refused:
            return False

    def _accept(self, delivery: Delivery) -> bool:
        """Puts a change into memory unless it, or a newer one of its market, is or was there."""
        envelope, epoch = delivery.envelope, delivery.event.epoch
        mark = self._marks.get(envelope.token)
        if mark is None:
            if envelope.sequence <= self._floor:
                return False
            self._marks[envelope.token] = _Mark(envelope.sequence, envelope.stamp_ns, epoch)
        else:
            known = envelope.sequence <= mark.sequence or epoch < mark.epoch
            told_before_restart = mark.sequence == 0 and envelope.stamp_ns <= mark.stamp_ns
            if known or told_before_restart:
                return False
            mark.sequence, mark.stamp_ns, mark.epoch = envelope.sequence, envelope.stamp_ns, epoch
        self._waiting.append(delivery)
        return True

    async def _wait_for_the_store(self) -> None:
        """A change came live that a read does not show yet, or not any more: look again a few times."""
        self._short_reads += 1
        if self._short_reads > _PATIENCE:
            self._close_hole()
        else:
            await asyncio.sleep(_RETRY_S)

    def _close_hole(self) -> None:
        self._hole = None
        self._newest_offered = 0
        self._short_reads = 0
