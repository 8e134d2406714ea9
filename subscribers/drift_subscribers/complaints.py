"""Counting what is refused, and saying so once a cause and minute instead of once a message."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Final

__all__ = ["Complaints"]

_log = logging.getLogger("drift_subscribers")
_AGAIN_AFTER_S: Final = 60.0


class Complaints:
    """Counts by cause into a shared map; logs a cause at its first time, then at most once a minute."""

    def __init__(self, counts: MutableMapping[str, int], clock: Callable[[], float]) -> None:
        self._counts = counts
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def refuse(self, cause: str, detail: str) -> None:
        """Counts one refused message and logs it if that cause was quiet for a minute."""
        self._counts[cause] = self._counts.get(cause, 0) + 1
        self.say(cause, f"{detail} ({self._counts[cause]} so far)")

    def say(self, cause: str, detail: str) -> None:
        """Logs without counting, with the same restraint."""
        now = self._clock()
        if now - self._said_at.get(cause, -_AGAIN_AFTER_S) >= _AGAIN_AFTER_S:
            self._said_at[cause] = now
            _log.warning("%s: %s", cause, detail)
