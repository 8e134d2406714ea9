"""A line that repeats is told once, and then summed up: how often it came, and for how long."""

from __future__ import annotations

import copy
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["SummingHandler"]

_EVERY_S: Final = 60.0
_MOST_LINES: Final = 1000
_NUMBER: Final = re.compile(r"(?<![\w.])\d[\d.,]*(?![\w])")

_Key = tuple[str, int, str, object]


@dataclass(slots=True)
class _Line:
    """One line that may repeat, since it was last told."""

    last: logging.LogRecord
    told_at: float
    count: int = 0


class SummingHandler(logging.Handler):
    """Hands records on to ``writer``; of those that are alike, one in ``every_s``. Debug records all go.

    Alike are records of one logger whose texts differ in numbers only, and that are about the same ``market``. The
    first is written at once. After ``every_s`` the last one is written with the number of the others, whether or not
    another one comes; and so on, until a whole ``every_s`` brings none. Closing writes what is left.

    Args:
        writer: Where records go.
        every_s: How often a line that goes on repeating is told.
        clock: Monotonic seconds.
    """

    def __init__(
        self, writer: logging.Handler, *, every_s: float = _EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._writer = writer
        self._every_s = every_s
        self._clock = clock
        self._lines: dict[_Key, _Line] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record, or counts it."""
        self.sum_up()
        if record.levelno < logging.INFO:
            self._writer.handle(record)
            return
        key = _key(record)
        line = self._lines.get(key)
        if line is not None:
            line.last, line.count = record, line.count + 1
            return
        if len(self._lines) < _MOST_LINES:
            self._lines[key] = _Line(record, self._clock())
            self._start_timer()
        self._writer.handle(record)

    def sum_up(self, *, everything: bool = False) -> None:
        """Writes what came again since it was last told, where that is long enough ago; forgets what did not."""
        now = self._clock()
        for key, line in list(self._lines.items()):
            if not everything and now - line.told_at < self._every_s:
                continue
            if line.count:
                self._writer.handle(_summary(line, now))
                line.told_at, line.count = now, 0
            else:
                del self._lines[key]

    def close(self) -> None:
        """Writes what is left to say, and ends."""
        self.acquire()
        try:
            if self._timer is not None:
                self._timer.cancel()
            self.sum_up(everything=True)
        finally:
            self.release()
        self._writer.close()
        super().close()

    def flush(self) -> None:
        """Flushes the writer."""
        self._writer.flush()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._every_s, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        self.acquire()
        try:
            self._timer = None
            self.sum_up()
            if self._lines:
                self._start_timer()
        finally:
            self.release()


def _key(record: logging.LogRecord) -> _Key:
    return record.name, record.levelno, _NUMBER.sub("#", record.getMessage()), getattr(record, "market", None)


def _summary(line: _Line, now: float) -> logging.LogRecord:
    record = copy.copy(line.last)
    record.msg = f"{record.getMessage()} ({line.count} times more in {now - line.told_at:.0f} s)"
    record.args = record.exc_info = record.exc_text = None
    record.repeated = line.count  # a field of its own in JSON
    return record
