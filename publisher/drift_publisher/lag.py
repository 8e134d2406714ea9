"""How far a node lags by the chain's own clock, told apart from a clock of ours that was set while we run."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from drift_publisher.source import AccountUpdate

__all__ = ["CLOCK_SYSVAR", "ChainClock", "ClockReading", "LagLimits", "clock_of"]

CLOCK_SYSVAR: Final = "SysvarC1ock11111111111111111111111111111111"
_CLOCK: Final = struct.Struct("<QqQQq")
_NEAR: Final = 0.8


class LagLimits(NamedTuple):
    """How far a node may be behind: in slots behind the best endpoint, in seconds behind our clock."""

    slots: int
    seconds: float


class ClockReading(NamedTuple):
    """The chain's clock as a node told it.

    Attributes:
        slot: Slot of the answer's context.
        unix_s: The chain's time, Unix seconds.
        epoch_began_s: When the chain's epoch began, Unix seconds; two histories of slots differ in it.
    """

    slot: int
    unix_s: int
    epoch_began_s: int


def clock_of(account: AccountUpdate) -> ClockReading | None:
    """Reads the Clock sysvar; ``None`` where the node does not have it."""
    if account.data is None or len(account.data) < _CLOCK.size:
        return None
    _, epoch_began_s, _, _, unix_s = _CLOCK.unpack_from(account.data)
    return ClockReading(account.slot, unix_s, epoch_began_s)


def _steady() -> float:
    """Seconds that go on while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ChainClock:
    """Says how far the chain's clock at a node is from ours.

    Our clock may be wrong, and may be set while we run. So the first comparison is with our wall clock; from then on
    time is what that clock said, carried on by the steady clock, and the wall clock is believed again as soon as both
    agree with the chain. A wall clock that jumps is then neither taken for a node that lags nor hides one.

    Args:
        limit_s: How far the two may be apart.
        wall: Unix seconds.
        steady: Seconds that nobody sets.
    """

    def __init__(
        self, limit_s: float, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady
    ) -> None:
        self._limit_s = limit_s
        self._wall = wall
        self._steady = steady
        self._offset_s: float | None = None

    def behind_s(self, reading: ClockReading) -> float:
        """Seconds that the chain's clock is behind ours; negative where it is ahead."""
        wall_s, steady_s = self._wall(), self._steady()
        by_wall = wall_s - reading.unix_s
        by_steady = by_wall if self._offset_s is None else steady_s + self._offset_s - reading.unix_s
        if abs(by_wall) <= self._limit_s and abs(by_steady) <= self._limit_s:
            self._offset_s = wall_s - steady_s
            return by_wall
        return by_steady

    def complaint(self, reading: ClockReading, *, was_refused: bool) -> str:
        """Says in one line what is wrong; an empty string where the two agree.

        Args:
            reading: What the node told.
            was_refused: It was too far off before. It must come well inside the limit to be taken again, so that a
                node at the limit does not come and go.
        """
        behind_s = self.behind_s(reading)
        if behind_s > self._limit_s * (_NEAR if was_refused else 1.0):
            return f"{behind_s:.0f} s behind ours: the node lags, or this machine's clock is ahead"
        if self._offset_s is None and behind_s < -self._limit_s:
            return f"{-behind_s:.0f} s ahead of ours: this machine's clock is behind, and no lag can be told by it"
        return ""
