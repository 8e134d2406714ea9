"""How often an endpoint may be asked: a token bucket that honours Retry-After, and a circuit breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from drift_publisher.backoff import Backoff

__all__ = ["CircuitBreaker", "TokenBucket"]

_A_MOMENT_S: Final = 1e-6
_PROBE_S: Final = 30.0

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class TokenBucket:
    """Lets ``rate_per_s`` requests a second through, and ``burst`` at once after a rest.

    Args:
        rate_per_s: Tokens added a second.
        burst: Tokens that the bucket holds at most.
        clock, sleep: Monotonic seconds, and how to wait; tests put their own here.

    Attributes:
        burst: As given.
    """

    def __init__(
        self, rate_per_s: float, burst: int, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._rate_per_s = rate_per_s
        self.burst = burst
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._at = clock()
        self._turn = asyncio.Lock()

    @property
    def level(self) -> float:
        """Tokens in the bucket now; negative after a batch that was larger than the bucket."""
        rested_s = max(0.0, self._clock() - self._at)
        return min(self.burst, self._tokens + rested_s * self._rate_per_s)

    async def acquire(self, tokens: int = 1) -> None:
        """Waits until the tokens are there and takes them; those who came first go first.

        A waiter that is cancelled has taken nothing. More tokens than the bucket holds go when it is full, and those
        who come after them wait for the rest.
        """
        async with self._turn:
            while (wait_s := self._wait_s(tokens)) > _A_MOMENT_S:
                await self._sleep(wait_s)
            self._tokens, self._at = self.level - tokens, max(self._at, self._clock())

    def pause(self, seconds: float) -> None:
        """Nothing goes through for so long, those who wait already included: the endpoint said when to come back."""
        self._tokens, self._at = min(0.0, self.level), max(self._at, self._clock() + seconds)

    def _wait_s(self, tokens: int) -> float:
        missing = max(0.0, min(tokens, self.burst) - self.level)
        return max(0.0, self._at - self._clock()) + missing / self._rate_per_s


class CircuitBreaker:
    """Opens after ``limit`` failures in a row; then lets one request try, later and later.

    Attributes:
        opened_total: Times that it opened.
    """

    def __init__(self, limit: int = 5, *, clock: Clock = time.monotonic) -> None:
        self.opened_total = 0
        self._limit = limit
        self._clock = clock
        self._failures = 0
        self._backoff = Backoff(clock=clock)
        self._open_until = 0.0
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Requests are refused."""
        return self.retry_in_s > 0

    @property
    def retry_in_s(self) -> float:
        """Seconds until a request may try again; 0 where it may now."""
        return max(0.0, self._open_until - self._clock())

    def admit(self) -> bool:
        """Whether a request may go now; after a failure too many only one does, until it is known how it went.

        Whoever is admitted says what came of it: :meth:`succeeded`, :meth:`failed` or :meth:`abandoned`.
        """
        if self.is_open:
            return False
        if self._failures >= self._limit:
            self._is_probing = True
            self._open_until = self._clock() + _PROBE_S
        return True

    def succeeded(self) -> None:
        """A request got a useful answer."""
        self._failures, self._open_until, self._is_probing = 0, 0.0, False
        self._backoff.healthy()

    def failed(self) -> None:
        """A request got none: refused, broken, or silent. One that was on its way before it opened changes nothing."""
        if self.is_open and not self._is_probing:
            return
        self._failures += 1
        if self._failures >= self._limit:
            self.opened_total += 1
            self._is_probing = False
            self._open_until = self._clock() + self._backoff.next_s()

    def abandoned(self) -> None:
        """Nobody waits for a request's answer any more: another may try."""
        if self._is_probing:
            self._is_probing, self._open_until = False, 0.0
