"""The time of a replay, for a feed that reads one: it moves with what is heard, never with a wall clock."""

from __future__ import annotations

from typing import Final

from drift_subscribers.server_clock import ServerClock

__all__ = ["ReplayClock", "ReplayedTime"]

_NS: Final = 1_000_000_000


class ReplayClock:
    """Replayed seconds since the epoch; give one to ``DriftFeed(prefix="replay.<name>", clock=ReplayClock())``.

    The feed moves it with every message and heartbeat of the replay. So a value's age is what it was then, at any
    speed, and stands still while the replay is paused.
    """

    def __init__(self) -> None:
        self._now_ns = 0

    def __call__(self) -> float:
        """Replayed seconds since the epoch."""
        return self._now_ns / _NS

    @property
    def now_ns(self) -> int:
        """Replayed nanoseconds since the epoch; 0 before anything was heard."""
        return self._now_ns

    def hear(self, moment_ns: int) -> None:
        """Moves on to a moment of the replay; an earlier one than now changes nothing."""
        self._now_ns = max(self._now_ns, moment_ns)

    def restart(self) -> None:
        """Another replay has taken the place of the one that was heard."""
        self._now_ns = 0


class ReplayedTime(ServerClock):
    """Takes the stored times of a replay as they are: its clock and its stamps are one."""

    def __init__(self, clock: ReplayClock) -> None:
        super().__init__()
        self._clock = clock
        self.alone = True

    @property
    def calibrated(self) -> bool:
        """There is nothing to learn."""
        return True

    def calibrate(self, server_ns: int, now: float) -> None:
        """The server's time is not the replay's."""

    def assume(self, wall_ns: int, now: float) -> None:
        """Nor is ours."""

    def confirmed_at(self, stamp_ns: int, now: float) -> float:  # noqa: ARG002
        """The stamp itself, which the clock hears."""
        self._clock.hear(stamp_ns)
        return stamp_ns / _NS

    def doubts(self, sequence: int, stamp_ns: int, now: float) -> bool:  # noqa: ARG002
        """No message of a replay comes late."""
        return False

    def live(self, sequence: int, stamp_ns: int, now: float) -> float:  # noqa: ARG002
        """The stamp itself, which the clock hears."""
        return self.confirmed_at(stamp_ns, now)

    def restart(self) -> None:
        """The replay was replaced: time begins anew."""
        super().restart()
        self._clock.restart()
