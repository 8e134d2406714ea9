"""From a NATS message to a delivery: its place in the stream and an event that is what its subject says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from drift_schemas import (
    LAST_SEQUENCE_HEADER,
    REASSERTION_HEADER,
    SEQUENCE_HEADER,
    STREAM_HEADER,
    SUBJECT_HEADER,
    Kind,
    MalformedMessage,
    MarketDataEvent,
    MessageError,
    MessageTooLarge,
    Topology,
    UnknownSchema,
    decode_event,
    market_token,
    note_receipt,
)
from drift_subscribers.server_clock import stored_at_ns

__all__ = ["Delivery", "Envelope", "Inspector", "Refused"]

_CAUSES: Final[Mapping[type[MessageError], str]] = {
    MessageTooLarge: "too large",
    MalformedMessage: "malformed",
    UnknownSchema: "unknown schema",
}


class Refused(Exception):
    """A message that is not believed; ``cause`` is one of a few words to count by."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a message stands in the stream; read from its headers, before the payload is touched.

    ``previous`` is the sequence before it on its subject, as the server saw it; only live messages carry it.
    """

    kind: Kind
    token: str
    sequence: int
    previous: int
    stamp_ns: int
    reassertion: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was believed: its place in the stream, its event, and when it came (monotonic)."""

    envelope: Envelope
    event: MarketDataEvent
    received_at: float


class Inspector:
    """Turns messages of one topology into deliveries, and refuses what cannot be trusted."""

    def __init__(
        self, topology: Topology, clock: Callable[[], float], wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._subjects = topology.subjects
        self._stream = topology.stream
        self._clock = clock
        self._wall_clock = wall_clock
        self._tokens: dict[str, str] = {}

    def envelope(self, subject: str, headers: Mapping[str, str] | None) -> Envelope:
        """Reads the place in the stream.

        Raises:
            Refused: no subject of ours, or the message did not come out of our stream, or was stored under another
                subject: whoever may ask the stream can have it answer onto a market's.
        """
        parsed = self._subjects.parse(subject)
        if parsed is None:
            raise Refused("wrong subject", f"{subject!r} is no market's subject")
        if headers is None or headers.get(STREAM_HEADER) != self._stream:
            raise Refused("not stored", f"a message on {subject} is not out of the stream {self._stream}")
        if headers.get(SUBJECT_HEADER, subject) != subject:
            raise Refused("wrong subject", f"a message on {subject} was stored under {headers[SUBJECT_HEADER]}")
        try:
            sequence = int(headers[SEQUENCE_HEADER])
            previous = int(headers.get(LAST_SEQUENCE_HEADER, "0"))
            stamp_ns = stored_at_ns(headers)
        except (KeyError, ValueError):
            raise Refused("not stored", f"a message on {subject} has no place in the stream") from None
        return Envelope(*parsed, sequence, previous, stamp_ns, REASSERTION_HEADER in headers)

    def open(self, envelope: Envelope, payload: bytes, headers: Mapping[str, str] | None) -> Delivery:
        """Decodes the payload and checks it against its subject.

        Raises:
            Refused: too large, malformed, of an unknown schema, or of another market.
        """
        try:
            event = decode_event(envelope.kind, payload, headers)
            token = self._tokens.get(event.market) or market_token(event.market)
        except MessageError as error:
            raise Refused(_CAUSES[type(error)], f"{envelope.kind}.{envelope.token}: {error}") from None
        except ValueError as error:
            raise Refused("malformed", f"{envelope.kind}.{envelope.token}: {error}") from None
        if token != envelope.token:
            where = f"{envelope.kind}.{envelope.token}"
            raise Refused("wrong subject", f"an event of {event.market!r} on {where}")
        self._tokens[event.market] = token
        note_receipt(event, sequence=envelope.sequence, received_at_ns=int(self._wall_clock() * 1e9))
        return Delivery(envelope, event, self._clock())
