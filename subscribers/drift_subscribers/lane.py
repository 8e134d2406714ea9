"""The order of one kind: what is new, what is a duplicate, what is missing in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from nats.aio.msg import Msg

from drift_schemas import SEQUENCE_HEADER, SUBJECT_HEADER, Kind, MarketDataEvent, Topology
from drift_subscribers.audience import Audience
from drift_subscribers.complaints import Complaints
from drift_subscribers.deliveries import Delivery, Envelope, Inspector, Refused
from drift_subscribers.direct import DirectReader, ReadFailed
from drift_subscribers.memory import MAX_MARKETS, Entry, Memory
from drift_subscribers.position import StreamPosition
from drift_subscribers.server_clock import ServerClock
from drift_subscribers.statistics import Counters

__all__ = ["Lane", "Place"]

_BATCH: Final = 64
_MAX_INLINE_REPAIR: Final = 1024
_NOT_PART_OF_THE_VALUE: Final = frozenset({"published_at_ns", "observed_at_ns", "slot", "epoch"})


class Place(NamedTuple):
    """How far one market was taken."""

    sequence: int
    stamp_ns: int
    epoch: int


class Lane:
    """Takes messages of one kind, live or read, in any order of arrival, and passes each change on once.

    ``take`` is the only place where memory moves and streams hear of it. It runs without a pause and refuses
    whatever is not newer than what its market has, so live messages, snapshots and repairs may cross freely.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        topology: Topology,
        inspector: Inspector,
        server_clock: ServerClock,
        position: StreamPosition,
        counters: Counters,
        complaints: Complaints,
        clock: Callable[[], float],
    ) -> None:
        self.kind: Final = kind
        self.memory: Final = Memory(kind, clock)
        self.audience: Final = Audience()
        self.baseline = 0
        """The stream's last sequence at the last snapshot: a market not in it has nothing before."""
        self._prefix = f"{topology.prefix}.{kind}"
        self._inspector = inspector
        self._server_clock = server_clock
        self._position = position
        self._counters = counters
        self._complaints = complaints
        self._sequences: dict[str, int] = {}

    def subject(self, token: str | None) -> str:
        """The public subject behind a token; the wildcard over all for ``None``."""
        return f"{self._prefix}.{'*' if token is None else token}"

    def last_sequence(self, token: str) -> int:
        """The newest sequence seen of a market, or the baseline of one never seen."""
        return self._sequences.get(token, self.baseline)

    def places(self) -> dict[str, Place]:
        """How far each market was taken: where a stream opened now begins."""
        return {token: self._place(token, sequence) for token, sequence in self._sequences.items()}

    def address(self, message: Msg, *, stored: bool = False) -> Envelope | None:
        """Reads a message's place, live or ``stored``; ``None`` when it is refused, counted and logged."""
        headers = message.headers
        subject = (headers or {}).get(SUBJECT_HEADER, "") if stored else message.subject
        try:
            return self._inspector.envelope(subject, headers)
        except Refused as refused:
            self._complaints.refuse(refused.cause, str(refused))
            return None

    def open(self, envelope: Envelope, message: Msg) -> Delivery | None:
        """Reads the event behind an envelope; ``None`` when it is refused, counted and logged."""
        try:
            return self._inspector.open(envelope, message.data, message.headers)
        except Refused as refused:
            self._complaints.refuse(refused.cause, str(refused))
            self._pass(envelope)
            return None

    def is_news(self, envelope: Envelope) -> bool:
        """It is newer than what its market has."""
        return envelope.sequence > self.last_sequence(envelope.token)

    def take(self, delivery: Delivery, confirmed_at: float, *, jumped: bool = False) -> bool:
        """Moves memory forward and tells the streams; returns whether it was news.

        Args:
            delivery: What came.
            confirmed_at: When it was stored, on the monotonic clock.
            jumped: Messages before it may be missing: a re-assertion may carry a change that nobody heard of,
                and lossless streams are left to read it themselves.
        """
        envelope, event = delivery.envelope, delivery.event
        if not self.is_news(envelope):
            self._counters.duplicates += 1
            return False
        before = self.memory.entry_of(envelope.token)
        restarted = before is not None and envelope.token not in self._sequences
        if before is None and len(self.memory) >= MAX_MARKETS:
            self._complaints.refuse("too many markets", f"no room for {self.subject(envelope.token)}")
            return False
        if before is not None and not restarted and event.epoch < before.event.epoch:
            detail = f"epoch {event.epoch} after {before.event.epoch} on {self.subject(envelope.token)}"
            self._complaints.refuse("old epoch", detail)
            self._pass(envelope)
            return False
        self._pass(envelope)
        self.memory.put(envelope.token, Entry(event, envelope.stamp_ns, confirmed_at))
        told_before = restarted and before is not None and envelope.stamp_ns <= before.stamp_ns
        if envelope.reassertion:
            self._counters.reassertions += 1
            changed = jumped and (before is None or _value(before.event) != _value(event))
        else:
            self._counters.changes += 1
            changed = True
        if changed and not told_before:
            self.audience.offer(delivery, to_lossless=not jumped)
        return True

    def take_stored(self, message: Msg, *, jumped: bool = False) -> Delivery | None:
        """Takes a message that was read from the stream; returns it when it was news."""
        envelope = self.address(message, stored=True)
        if envelope is None or not self.is_news(envelope):
            return None
        delivery = self.open(envelope, message)
        if delivery is None:
            return None
        confirmed_at = self._server_clock.confirmed_at(envelope.stamp_ns, delivery.received_at)
        return delivery if self.take(delivery, confirmed_at, jumped=jumped) else None

    async def repair(self, reader: DirectReader, token: str, before: int) -> None:
        """Reads what a market has after the last seen and before ``before``, and takes it in order.

        A hole that is too long, or a server that does not answer, is left to the lossless streams. A gap of
        nothing but expired re-assertions is none, and is not counted.
        """
        start, found = self.last_sequence(token) + 1, 0
        try:
            while start < before and found < _MAX_INLINE_REPAIR:
                batch = await reader.following(self.subject(token), start, limit=_BATCH)
                for message in batch.messages:
                    start = _sequence(message) + 1
                    if start > before:
                        break
                    taken = self.take_stored(message)
                    found += taken is not None and not taken.envelope.reassertion
                if not batch.pending or not batch.messages:
                    break
            else:
                if start < before:
                    self.audience.mark_hole(token, before)
        except ReadFailed as failed:
            self._counters.repairs_failed += 1
            self._complaints.say("repair failed", f"{self.subject(token)}: {failed}")
            self.audience.mark_hole(token, before)
        if found:
            self._counters.gaps += 1
            self._counters.repaired += found

    def restart(self) -> None:
        """The stream was recreated: places begin anew, values and their freshness stay."""
        self.baseline = 0
        self._sequences.clear()
        self.audience.restart()

    def _pass(self, envelope: Envelope) -> None:
        """Notes that a message, believed or not, is behind us."""
        if envelope.token in self._sequences or len(self._sequences) < MAX_MARKETS:
            self._sequences[envelope.token] = max(envelope.sequence, self.last_sequence(envelope.token))
        self._position.observe(envelope)

    def _place(self, token: str, sequence: int) -> Place:
        entry = self.memory.entry_of(token)
        return Place(sequence, 0, 0) if entry is None else Place(sequence, entry.stamp_ns, entry.event.epoch)


def _sequence(message: Msg) -> int:
    text = (message.headers or {}).get(SEQUENCE_HEADER, "")
    return int(text) if text.isdigit() else 0


def _value(event: MarketDataEvent) -> dict[str, object]:
    return {name: value for name, value in event.__dict__.items() if name not in _NOT_PART_OF_THE_VALUE}
