"""Which part of the history is wanted, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from drift_schemas import KINDS, REASSERTION_HEADER, Kind, Subjects, market_token
from drift_subscribers.history.errors import BadSelection
from drift_subscribers.history.moments import format_moment

__all__ = ["Selection", "StoredMessage"]


class StoredMessage(NamedTuple):
    """One message as the stream holds it.

    Attributes:
        sequence: Its place in the stream.
        stored_at_ns: When it was stored, in nanoseconds since the epoch. Of an imported or replayed message: when
            it was stored first.
        subject: Public subject, such as ``drift.price.SOL-PERP``.
        kind: Its kind; ``None`` of the journal.
        token: The market's subject token; empty for the journal.
        headers: As stored; NATS's own delivery headers are not among them.
        payload: As stored.
    """

    sequence: int
    stored_at_ns: int
    subject: str
    kind: Kind | None
    token: str
    headers: Mapping[str, str]
    payload: bytes

    @property
    def is_reassertion(self) -> bool:
        """It confirms a value that did not change."""
        return REASSERTION_HEADER in self.headers


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of the history. Bounds of time and of sequence may be combined; both hold then.

    Attributes:
        since_ns: Stored at this moment or later, in nanoseconds since the epoch; ``None``: from the beginning.
        until_ns: Stored before this moment; ``None``: to what the stream holds when the reading begins.
        first_sequence: This sequence or later.
        last_sequence: This sequence or earlier.
        kinds: These kinds only.
        markets: These markets only, by on-chain name; empty: all.
        reassertions: Also re-assertions that have not expired yet.
        journal: Also the publisher's journal of confirmations.

    Raises:
        BadSelection: on construction: it contradicts itself.
        InvalidMarketName: on construction: a name that no market can have.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    first_sequence: int | None = None
    last_sequence: int | None = None
    kinds: tuple[Kind, ...] = KINDS
    markets: tuple[str, ...] = ()
    reassertions: bool = False
    journal: bool = False

    def __post_init__(self) -> None:
        if self.since_ns is not None and self.until_ns is not None and self.until_ns <= self.since_ns:
            begin, end = format_moment(self.since_ns), format_moment(self.until_ns)
            raise BadSelection(f"the range ends at {end}, which is not after its beginning {begin}")
        first, last = self.first_sequence, self.last_sequence
        if any(bound is not None and bound < 1 for bound in (first, last)):
            raise BadSelection("sequences begin at 1")
        if first is not None and last is not None and last < first:
            raise BadSelection(f"the range ends at sequence {last}, which is before its beginning {first}")
        if not self.kinds or any(kind not in KINDS for kind in self.kinds):
            raise BadSelection(f"kinds {', '.join(self.kinds) or 'of none'}: choose from {', '.join(KINDS)}")
        for market in self.markets:
            market_token(market)

    def subjects(self, names: Subjects) -> list[str]:
        """The stored subjects that it takes, wildcards among them, none twice."""
        if self.markets:
            chosen = [names.public(kind, market) for kind in self.kinds for market in self.markets]
        else:
            chosen = [names.of_kind(kind) for kind in self.kinds]
        return list(dict.fromkeys([*chosen, *([names.confirmed] if self.journal else [])]))

    def takes(self, message: StoredMessage) -> bool:
        """What its subjects and bounds let through is also of the wanted sort."""
        return self.reassertions or not message.is_reassertion

    def describe(self) -> str:
        """The selection in words, for errors."""
        parts = [" ".join(self.kinds) if self.kinds != KINDS else "any kind"]
        if self.markets:
            parts.append(f"of {', '.join(self.markets)}")
        if self.since_ns is not None:
            parts.append(f"from {format_moment(self.since_ns)}")
        if self.until_ns is not None:
            parts.append(f"to {format_moment(self.until_ns)}")
        if self.first_sequence is not None:
            parts.append(f"from sequence {self.first_sequence}")
        if self.last_sequence is not None:
            parts.append(f"to sequence {self.last_sequence}")
        return " ".join(parts)
