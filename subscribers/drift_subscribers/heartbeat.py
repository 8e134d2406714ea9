"""The publisher's heartbeat: the last one believed, and which to believe when more than one publisher is heard."""

from __future__ import annotations

from collections.abc import Callable

from drift_schemas import StatusEvent
from drift_subscribers.diagnosis import SILENT_AFTER_S

__all__ = ["Heartbeat"]


class Heartbeat:
    """The last heartbeat and when it was heard, on a monotonic clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: tuple[StatusEvent, float] | None = None

    def hear(self, status: StatusEvent) -> None:
        """Takes a heartbeat, unless it is of a publisher that lost the lead.

        Such a one may beat on for a moment: its older epoch does not count, unless the newer epoch has been
        silent, for then the epochs began anew with a recreated stream.
        """
        last, age_s = self.status(), self.age_s()
        if last is None or age_s is None or status.epoch >= last.epoch or age_s > SILENT_AFTER_S:
            self._last = (status, self._clock())

    def status(self) -> StatusEvent | None:
        """The last heartbeat, however old; ``None`` when none was heard."""
        return None if self._last is None else self._last[0]

    def age_s(self) -> float | None:
        """Seconds since the last heartbeat; ``None`` when none was heard."""
        return None if self._last is None else max(0.0, self._clock() - self._last[1])
