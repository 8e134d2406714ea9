"""Full-jitter exponential backoff that only lasting health resets."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Backoff"]

_FIRST_S: Final = 0.5
_LONGEST_S: Final = 30.0
_HEALTHY_S: Final = 30.0


class Backoff:
    """Tells how long to wait before the next try.

    A connection that works for a moment and breaks again does not bring the wait back to its start: only
    ``healthy_s`` seconds of health in a row do.
    """

    def __init__(
        self,
        *,
        first_s: float = _FIRST_S,
        longest_s: float = _LONGEST_S,
        healthy_s: float = _HEALTHY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._healthy_s = healthy_s
        self._clock = clock
        self._failures = 0
        self._healthy_since: float | None = None

    def next_s(self) -> float:
        """Counts a failure and returns the wait: uniform up to min(longest, first * 2**failures), at least a tenth."""
        self._healthy_since = None
        ceiling = min(self._longest_s, self._first_s * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        return random.uniform(ceiling / 10, ceiling)

    def healthy(self) -> None:
        """Data arrived now."""
        now = self._clock()
        if self._healthy_since is None:
            self._healthy_since = now
        elif now - self._healthy_since >= self._healthy_s:
            self._failures = 0
