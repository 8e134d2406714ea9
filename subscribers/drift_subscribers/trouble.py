"""Why the stream cannot be read, said in the log once and not with every try."""

from __future__ import annotations

import logging

__all__ = ["Trouble"]

_log = logging.getLogger("drift_subscribers")


class Trouble:
    """What keeps a feed from reading its stream.

    Attributes:
        why: The cause now, and what to do; empty while the stream can be read.
    """

    def __init__(self, stream: str) -> None:
        self.why = ""
        self._stream = stream
        self._told: set[tuple[int, str]] = set()

    def note(self, why: str, *, is_serious: bool) -> None:
        """Takes the cause; logs it once for each level until it has passed."""
        self.why = why
        level = logging.WARNING if is_serious else logging.INFO
        if (level, why) not in self._told:
            self._told.add((level, why))
            _log.log(level, "the stream %s cannot be read: %s", self._stream, why)

    def passed(self) -> bool:
        """The stream was read; returns whether there had been something to say."""
        self.why = ""
        if not self._told:
            return False
        self._told.clear()
        _log.info("the stream %s is read again", self._stream)
        return True
