"""When the next event of a replay is due: by speed, by pause and resume."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from drift_subscribers.replay.errors import BadSpeed

__all__ = ["Pacer", "Speed"]

Speed = float | Literal["max"]
"""Replayed seconds per second, or ``"max"``: no waiting."""

_NS: Final = 1_000_000_000
_LONGEST_WAIT_S: Final = 3600.0


class Pacer:
    """Replayed time, running against a monotonic clock.

    Args:
        speed: Replayed seconds per second, or ``"max"``.
        clock: Monotonic seconds.

    Raises:
        BadSpeed: the speed is no positive number.
    """

    def __init__(self, speed: Speed, clock: Callable[[], float] = time.monotonic) -> None:
        self._speed = _checked(speed)
        self._clock = clock
        self._anchor_ns: int | None = None
        self._anchor_s = 0.0
        self._ahead_ns: int | None = None
        self._paused = False
        self._changed = asyncio.Event()

    @property
    def speed(self) -> Speed:
        """Replayed seconds per second; may be set at any time."""
        return "max" if self._speed is None else self._speed

    @speed.setter
    def speed(self, speed: Speed) -> None:
        wanted = _checked(speed)
        self._anchor()
        self._speed = wanted
        self.wake()

    @property
    def is_paused(self) -> bool:
        """Nothing is due until it is resumed."""
        return self._paused

    @property
    def now_ns(self) -> int:
        """Replayed time; it never passes an event that is still to come. 0 before the first."""
        if self._anchor_ns is None:
            return 0
        if self._speed is None or self._paused:
            return self._anchor_ns
        now_ns = self._anchor_ns + int((self._clock() - self._anchor_s) * self._speed * _NS)
        return now_ns if self._ahead_ns is None else min(now_ns, max(self._ahead_ns, self._anchor_ns))

    def begin(self, moment_ns: int) -> None:
        """Sets replayed time going from here."""
        self._anchor_ns, self._anchor_s = moment_ns, self._clock()

    def pause(self) -> None:
        """Stops replayed time."""
        self._anchor()
        self._paused = True
        self.wake()

    def resume(self) -> None:
        """Lets replayed time go on from where it is."""
        self._anchor()
        self._paused = False
        self.wake()

    def jump(self, moment_ns: int) -> None:
        """Moves replayed time forward at once."""
        self._anchor()
        self._anchor_ns = max(self._anchor_ns or 0, moment_ns)
        self.wake()

    def wake(self) -> None:
        """Lets whoever waits look again."""
        self._changed.set()

    async def due(self, moment_ns: int, *, at_most_s: float = _LONGEST_WAIT_S) -> bool:
        """Waits until replayed time reaches the moment; ``False`` when that was not yet so after ``at_most_s``.

        Also ``False``, at once, when pause, resume, speed or jump changed something: look again then.
        """
        if self._anchor_ns is None:
            self.begin(moment_ns)
        self._ahead_ns = moment_ns
        wait_s = self._wait_s(moment_ns)
        if wait_s > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, at_most_s)):
                    await self._changed.wait()
            if self._wait_s(moment_ns) > 0:
                return False
        if self._speed is None and not self._paused:
            self._anchor_ns = max(self._anchor_ns or 0, moment_ns)
        return True

    def _wait_s(self, moment_ns: int) -> float:
        if self._paused:
            return math.inf
        if self._speed is None or self._anchor_ns is None:
            return 0.0
        return (moment_ns - self._anchor_ns) / _NS / self._speed - (self._clock() - self._anchor_s)

    def _anchor(self) -> None:
        if self._anchor_ns is not None:
            self._anchor_ns, self._anchor_s = self.now_ns, self._clock()


def _checked(speed: Speed) -> float | None:
    if speed == "max":
        return None
    try:
        number = float(speed)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise BadSpeed(f"speed {speed!r}: give a number above 0, or 'max'")
    return number
