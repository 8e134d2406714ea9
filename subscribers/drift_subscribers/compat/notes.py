"""Saying once what is wrong, and again only after it had passed."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["LOG", "NOTES", "Notes"]

LOG: Final = logging.getLogger("drift_subscribers.compat")
_MOST: Final = 4096


class Notes:
    """Logs a complaint at its first time; ``passed`` lets it be heard again."""

    def __init__(self) -> None:
        self._standing: set[tuple[str, ...]] = set()

    def say(self, *key: str, text: str, level: int = logging.WARNING) -> None:
        """Logs ``text`` unless the complaint ``key`` stands already."""
        if key in self._standing:
            return
        if len(self._standing) >= _MOST:
            self._standing.clear()
        self._standing.add(key)
        LOG.log(level, text)

    def passed(self, *key: str) -> None:
        """Forgets a complaint: what it was about works now."""
        self._standing.discard(key)

    def forget_all(self) -> None:
        """Forgets every complaint."""
        self._standing.clear()


NOTES: Final = Notes()
"""Shared by the process, as the old manager was."""
