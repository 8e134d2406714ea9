"""The last value of each market of one kind, and whether it is fresh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drift_schemas import Kind, MarketDataEvent, bucket_ttl_s

__all__ = ["MAX_MARKETS", "Entry", "Memory"]

MAX_MARKETS: Final = 4096
"""Most markets of one kind; a bus with more has a fault or an enemy."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A market's last value; ``confirmed_at`` is its last change or re-assertion on the monotonic clock."""

    event: MarketDataEvent
    stamp_ns: int
    confirmed_at: float


class Memory:
    """Values of one kind by market name (for readers) and by subject token (for the lane that fills it).

    A value is fresh while its last change or re-assertion is within the kind's TTL on the monotonic clock. No
    wall clock takes part, so wall-clock jumps neither revive nor kill an entry.
    """

    def __init__(self, kind: Kind, clock: Callable[[], float]) -> None:
        self.kind: Final = kind
        self.ttl_s: Final = float(bucket_ttl_s(kind))
        self._clock = clock
        self._by_name: dict[str, Entry] = {}
        self._by_token: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def fresh(self, name: str) -> MarketDataEvent | None:
        """The value of the market ``name``; ``None`` when there is none or it is not fresh."""
        entry = self._by_name.get(name)
        if entry is None or self._clock() - entry.confirmed_at > self.ttl_s:
            return None
        return entry.event

    def entry(self, name: str) -> Entry | None:
        """The entry of the market ``name``, fresh or not."""
        return self._by_name.get(name)

    def entry_of(self, token: str) -> Entry | None:
        """The entry behind a subject token, fresh or not."""
        return self._by_token.get(token)

    def age_s(self, name: str) -> float | None:
        """Seconds since the value last changed or was confirmed; ``None`` when it was never seen."""
        entry = self._by_name.get(name)
        return None if entry is None else max(0.0, self._clock() - entry.confirmed_at)

    def entries(self) -> list[Entry]:
        """The entry of each market seen, fresh or not."""
        return list(self._by_token.values())

    def fresh_events(self, token: str | None) -> list[tuple[str, Entry]]:
        """Token and entry of the markets (or the one behind ``token``) whose value is fresh now."""
        now = self._clock()
        tokens = self._by_token if token is None else (token,)
        found = ((name, self._by_token.get(name)) for name in tokens)
        return [(name, entry) for name, entry in found if entry and now - entry.confirmed_at <= self.ttl_s]

    def quiet_tokens(self, longer_than_s: float) -> list[str]:
        """Tokens whose value was neither changed nor confirmed for ``longer_than_s``."""
        now = self._clock()
        return [token for token, entry in self._by_token.items() if now - entry.confirmed_at > longer_than_s]

    def put(self, token: str, entry: Entry) -> None:
        """Replaces the value of a market."""
        self._by_token[token] = entry
        self._by_name[entry.event.market] = entry
