"""The journal of confirmations: what was re-asserted, kept in the stream after the re-assertions have left it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Final

from drift_publisher.lanes import Message
from drift_publisher.outbox import Outbox
from drift_schemas import (
    CONTENT_TYPE,
    MSG_ID_HEADER,
    SCHEMA_HEADER,
    Confirmation,
    Topology,
    confirmation_of,
    encode_confirmations,
)

__all__ = ["Journal"]

_SCHEMA: Final = "confirmed/1"
_MOST_IN_ONE: Final = 1000
_MOST_WAITING: Final = 100_000
_PATIENCE_S: Final = 60.0


class Journal:
    """Collects acknowledged re-assertions and writes them down, one message at a time.

    Only what the stream has acknowledged is written, with the sequence that it got; what is not yet written waits, in
    order. A message that the bus gave up is submitted again, under the same id, so that a confirmation stands in the
    journal once.

    Args:
        bus: Where messages go.
        topology: Names of subjects.
        clock: Monotonic seconds.
    """

    def __init__(self, bus: Outbox, topology: Topology, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._names = topology.subjects
        self._clock = clock
        self._waiting: deque[Confirmation] = deque(maxlen=_MOST_WAITING)
        self._sent: Message | None = None
        bus.on_reassertion = self.note

    def note(self, reassertion: Message, sequence: int) -> None:
        """Takes a re-assertion that was just acknowledged, and its place in the stream."""
        parsed = self._names.parse(reassertion.subject.removeprefix("in."))
        if parsed is not None:
            self._waiting.append(confirmation_of(*parsed, sequence, reassertion.payload))

    def write(self) -> None:
        """Submits what waits, unless the last message is still on its way; returns at once."""
        now = self._clock()
        if self._sent is not None:
            if now > self._sent.expires_at:
                self._sent = self._sent._replace(expires_at=now + _PATIENCE_S)
                self._bus.submit(self._sent)
            return
        if not self._waiting:
            return
        epoch = self._waiting[0].epoch
        entries = list(takewhile(lambda one: one.epoch == epoch, islice(self._waiting, _MOST_IN_ONE)))
        for _ in entries:
            self._waiting.popleft()
        identity = f"confirmed.{epoch}.{entries[0].sequence}"
        headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: _SCHEMA, MSG_ID_HEADER: identity}
        subject, payload = f"in.{self._names.confirmed}", encode_confirmations(entries)

        def written(_: bool = False) -> None:
            self._stored(identity)

        self._sent = Message(subject, payload, headers, now + _PATIENCE_S, written, on_duplicate=written)
        self._bus.submit(self._sent)

    def _stored(self, identity: str) -> None:
        if self._sent is not None and self._sent.headers[MSG_ID_HEADER] == identity:
            self._sent = None
