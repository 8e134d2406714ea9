"""How many accounts one request may name: learned from refusals, and tried larger again after a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["BatchSize"]

_MOST: Final = 100
_FIRST_PAUSE_S: Final = 600.0
_LONGEST_PAUSE_S: Final = 6 * 3600.0


class BatchSize:
    """The largest request that an endpoint has answered since it refused a larger one.

    A refusal may be the plan's limit, which lasts, or a bad moment. So after ten minutes a request of twice the size is
    tried: where it passes, the next one follows at once; where it is refused, the pause doubles, up to six hours.

    Args:
        most: What Solana nodes allow.
        clock: Monotonic seconds.
    """

    def __init__(self, most: int = _MOST, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._passed = most
        self._trying = most
        self._pause_s = _FIRST_PAUSE_S
        self._grow_at = 0.0

    @property
    def learned(self) -> int:
        """Accounts that one request may name, as far as is known."""
        return self._passed

    def next(self) -> int:
        """Accounts that the next request may name: the known size, one that is being halved, or a larger try."""
        if self._trying != self._passed:
            return self._trying
        if self._passed < self._most and self._clock() >= self._grow_at:
            return min(self._most, 2 * self._passed)
        return self._passed

    def passed(self, count: int) -> bool:
        """A request of ``count`` was answered; says whether that changed what is known."""
        if self._trying < self._passed and count == self._trying:
            self._passed = count
            self._grow_at = self._clock() + self._pause_s
            return True
        if count > self._passed:
            self._passed = self._trying = count
            if count == self._most:
                self._pause_s = _FIRST_PAUSE_S
            return True
        return False

    def refused(self, count: int) -> None:
        """A request of ``count`` was too large: half of it is tried next, unless ``count`` was a try to grow."""
        if count > self._passed:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._grow_at = self._clock() + self._pause_s
        else:
            self._trying = (count + 1) // 2

    def give_up(self) -> None:
        """Not even one account passed: it was not about the size, and what was known stands."""
        self._trying = self._passed
