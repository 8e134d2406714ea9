"""Which heartbeat to believe when more than one publisher is heard."""

from __future__ import annotations

from drift_schemas import StatusEvent
from drift_subscribers.diagnosis import SILENT_AFTER_S

__all__ = ["supersedes"]


def supersedes(new: StatusEvent, old: StatusEvent | None, old_age_s: float | None) -> bool:
    """A publisher that lost the lead may beat on for a moment: its older epoch does not count.

    Unless the newer epoch has been silent, for then the epochs began anew with a recreated stream.
    """
    return old is None or old_age_s is None or new.epoch >= old.epoch or old_age_s > SILENT_AFTER_S
