"""When each account was last heard of or read: what rests on one that was not may not be confirmed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from drift_schemas import bucket_ttl_s

__all__ = ["CONFIRMED_S", "HeardAccounts"]

CONFIRMED_S: Final = float(bucket_ttl_s("price"))
"""So long after an account was heard of or read, what rests on it may be confirmed: the shortest TTL, of prices."""

_READ_AGAIN_S: Final = 8.0
_QUIET_S: Final = 2.0
_CATCHING_UP_S: Final = 1.0
_ACCOUNTS_AT_ONCE: Final = 99
"""With the chain's clock, which is read along, as many as one request takes."""


class HeardAccounts:
    """Knows how long ago each account was told of by a proven node, and which ones to read again now.

    The quiet accounts are read in equal parts at equal distances, so that each is read every eight seconds and none is
    ever older than ten; the busy ones cost nothing.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: dict[str, float] = {}
        self._was_read: set[str] = set()
        self._answered_at: dict[str, float] = {}
        self._planned_at = float("-inf")

    def note(self, address: str, *, was_read: bool) -> None:
        """The account was told of now: read by us, or notified."""
        self._at[address] = self._clock()
        if was_read:
            self._was_read.add(address)
        else:
            self._was_read.discard(address)

    def note_answer(self, addresses: Sequence[str]) -> None:
        """The accounts were read again, whatever the answer is worth: they are not asked for again at once."""
        self._answered_at.update(dict.fromkeys(addresses, self._clock()))

    def forget(self) -> None:
        """What was heard counts no longer."""
        self._at.clear()
        self._was_read.clear()
        self._answered_at.clear()

    def is_confirmed(self, address: str) -> bool:
        """The account was heard of or read lately enough to confirm what rests on it."""
        return self._clock() - self._at.get(address, float("-inf")) <= CONFIRMED_S

    def overdue(self, addresses: Sequence[str]) -> list[str]:
        """Those of the accounts that may not be confirmed."""
        return [address for address in addresses if not self.is_confirmed(address)]

    def to_read(self, addresses: Sequence[str]) -> list[str]:
        """The accounts to read again in one request now; empty where none is due.

        Args:
            addresses: All accounts that are followed; what is known of others is forgotten.
        """
        now = self._clock()
        self._forget_all_but(set(addresses))
        never = float("-inf")
        ages = {one: now - max(self._at.get(one, never), self._answered_at.get(one, never)) for one in addresses}
        quiet = [address for address, age_s in ages.items() if age_s >= _QUIET_S or address in self._was_read]
        if not quiet:
            return []
        quiet.sort(key=ages.__getitem__, reverse=True)
        parts = math.ceil(len(quiet) / _ACCOUNTS_AT_ONCE)
        every_s, oldest_s = _READ_AGAIN_S / parts, ages[quiet[0]]
        if oldest_s > CONFIRMED_S:
            every_s = min(every_s, _CATCHING_UP_S)
        if oldest_s < every_s or now - self._planned_at < every_s:
            return []
        self._planned_at = now
        return quiet[: math.ceil(len(quiet) / parts)]

    def _forget_all_but(self, addresses: set[str]) -> None:
        for gone in (self._at.keys() | self._answered_at.keys()) - addresses:
            self._at.pop(gone, None)
            self._answered_at.pop(gone, None)
            self._was_read.discard(gone)
