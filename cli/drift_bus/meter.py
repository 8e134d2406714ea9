"""Tells on stderr how far a long piece of work is."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Final

from drift_bus.errors import complain

__all__ = ["Meter"]

_ON_TERMINAL_S: Final = 0.2
_IN_LOG_S: Final = 5.0


class Meter:
    """One line that is written over on a terminal, else a line every five seconds.

    Args:
        what: What is being done: ``exporting``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._begin = self._told = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._shown = False

    def tell(self, rows: int, fraction: float | None) -> None:
        """Says how many events are done, and how much of the whole that is (0 to 1; ``None``: unknown)."""
        now = time.monotonic()
        if now - self._told < (_ON_TERMINAL_S if self._is_terminal else _IN_LOG_S):
            return
        self._told = now
        share = "" if fraction is None else f", {min(1.0, fraction):.0%}"
        text = f"{self._what}: {rows:,} events{share}, {rows / (now - self._begin):,.0f}/s …"
        if self._is_terminal:
            self._write(f"\r\x1b[Kdrift-bus: {text}")
            self._shown = True
        else:
            complain(text)

    def end(self) -> None:
        """Clears the line."""
        if self._shown:
            self._write("\r\x1b[K")

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
