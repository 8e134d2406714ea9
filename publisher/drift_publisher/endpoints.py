"""The RPC endpoints in order of preference: what each has cost, and which one is in use."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from drift_publisher.batch_size import BatchSize
from drift_publisher.budget import CircuitBreaker, TokenBucket
from drift_publisher.redact import learn_secrets, redact, redact_url
from drift_publisher.subscription_limit import SubscriptionLimit

__all__ = ["Endpoint", "EndpointPool", "Traffic"]

_log = logging.getLogger(__name__)
_FAILURES_BEFORE_NEXT: Final = 3


@dataclass(slots=True)
class Traffic:
    """What an endpoint was asked and what it answered, since the start.

    Attributes:
        requests: HTTP requests by JSON-RPC method.
        failures: Those that got no useful answer, by method.
        throttled: HTTP 429 and WebSocket 429 answers.
        retries: Requests that were a second or later try.
        bytes_in, bytes_out: HTTP bodies and WebSocket messages.
        sockets_opened: WebSocket handshakes that succeeded.
    """

    requests: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    retries: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    sockets_opened: int = 0


class Endpoint:
    """One RPC provider: HTTP and WebSocket side, its budget, its circuit breaker, its traffic.

    Args:
        http_url: It may hold an API key, and appears nowhere.
        ws_url: The same.
        rate_per_s: HTTP requests a second that the provider allows.
        burst: HTTP requests at once after a rest.
        setting: Names the setting that holds its URL, for people who have to correct it.
        ws_setting: The same for its WebSocket URL.
        subscriptions: How many subscriptions one of its sockets may have, where that is known.

    Attributes:
        batch: How many accounts one request may name.
        limit: How many subscriptions one of its sockets may have, as far as is known.
    """

    def __init__(
        self,
        http_url: str,
        ws_url: str,
        *,
        rate_per_s: float = 8.0,
        burst: int = 20,
        setting: str = "DRIFT_BUS_RPC_URL",
        ws_setting: str = "DRIFT_BUS_WS_URL",
        subscriptions: int | None = None,
    ) -> None:
        learn_secrets(http_url)
        learn_secrets(ws_url)
        self.http_url = http_url
        self.ws_url = ws_url
        self.name = redact_url(http_url)
        self.setting = setting
        self.ws_setting = ws_setting
        self.batch = BatchSize()
        self.limit = SubscriptionLimit(subscriptions)
        self.budget = TokenBucket(rate_per_s, burst)
        self.breaker = CircuitBreaker()
        self.traffic = Traffic()

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"


class EndpointPool:
    """Chooses the endpoint in use: the first one, as long as it works.

    Args:
        endpoints: In order of preference, at least one.
        return_after_s: How long another one is used before the first is tried again.
        clock: Monotonic seconds.

    Attributes:
        failovers_total: Times that another endpoint was put to use.
        changed: Set whenever that happens.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        return_after_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.failovers_total = 0
        self._return_after_s = return_after_s
        self._clock = clock
        self._index = 0
        self._failures = 0
        self._since = clock()
        self.changed = asyncio.Event()

    @property
    def current(self) -> Endpoint:
        """The endpoint to use now."""
        return self.endpoints[self._index]

    @property
    def should_try_first(self) -> bool:
        """Another one has been in use for long enough to look whether the first one is back."""
        return self._index > 0 and self._clock() - self._since >= self._return_after_s

    def failed(self, endpoint: Endpoint, why: str, *, at_once: bool = False) -> None:
        """Counts a failure of the endpoint in use; moves on after three, or at once when it says no."""
        if endpoint is not self.current or len(self.endpoints) == 1:
            return
        self._failures += 1
        if at_once or self._failures >= _FAILURES_BEFORE_NEXT:
            self._use((self._index + 1) % len(self.endpoints), why)

    def worked(self, endpoint: Endpoint) -> None:
        """The endpoint in use does what it should."""
        if endpoint is self.current:
            self._failures = 0

    def try_first(self, *, is_back: bool) -> None:
        """Goes back to the first endpoint, or looks again later."""
        if self._index == 0:
            return
        if is_back:
            self._use(0, "it works again")
        else:
            self._since = self._clock()

    def _use(self, index: int, why: str) -> None:
        before, self._index, self._failures, self._since = self.current, index, 0, self._clock()
        self.failovers_total += 1
        self.changed.set()
        _log.warning("RPC endpoint: from %s to %s: %s", before.name, self.current.name, redact(why))
