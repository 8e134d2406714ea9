"""Finds subscriptions that fell silent while their socket goes on: a node can drop one and say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drift_publisher.subscription_table import Request

__all__ = ["QuietSubscriptions"]

_ENOUGH_TO_KNOW: Final = 20
_MISSED: Final = 20


@dataclass(slots=True)
class _Rhythm:
    count: int
    first_at: float
    last_at: float
    patience: int = 1


class QuietSubscriptions:
    """Knows how often each subscription of a socket was heard, and which one ought to have been heard by now.

    A subscription is quiet once it misses twenty of its own average intervals, and at least ``silence_s``. It may be
    right to be quiet (a market came to rest), so the patience doubles each time.

    Args:
        silence_s: Shortest silence that counts, in seconds.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._rhythms: dict[Request, _Rhythm] = {}

    def clear(self) -> None:
        """Forgets everything: the socket is a new one."""
        self._rhythms.clear()

    def heard(self, request: Request, now: float) -> None:
        """Notes a notification; ``now`` in seconds of any steady clock."""
        rhythm = self._rhythms.get(request)
        if rhythm is None:
            self._rhythms[request] = _Rhythm(1, now, now)
        else:
            rhythm.count += 1
            rhythm.last_at = now

    def take(self, now: float) -> list[Request]:
        """The subscriptions that are quiet now; each is told once for every doubling of its patience."""
        found = []
        for request, rhythm in self._rhythms.items():
            if rhythm.count < _ENOUGH_TO_KNOW:
                continue
            interval_s = (rhythm.last_at - rhythm.first_at) / (rhythm.count - 1)
            if now - rhythm.last_at > max(self._silence_s, _MISSED * interval_s) * rhythm.patience:
                rhythm.patience *= 2
                found.append(request)
        return found
