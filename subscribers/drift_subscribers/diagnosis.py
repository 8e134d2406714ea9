"""Why a value is not to be used, in the reader's words."""

from __future__ import annotations

from typing import Final

from drift_schemas import StatusEvent
from drift_subscribers.errors import StaleReason

__all__ = ["SILENT_AFTER_S", "explain"]

SILENT_AFTER_S: Final = 4.0
"""A heartbeat comes every second; after this many without one the publisher counts as silent."""

_LIVING: Final = frozenset({"live", "polling"})


def explain(
    *, connected: bool, unreadable: str = "", status: StatusEvent | None, status_age_s: float | None
) -> tuple[StaleReason, str] | None:
    """The most fundamental cause that the feed can see; ``None`` when all is well from here to the chain."""
    if not connected:
        return StaleReason.DISCONNECTED, "no connection to NATS"
    if unreadable:
        return StaleReason.STREAM_UNREADABLE, unreadable
    if status is None or status_age_s is None:
        return StaleReason.PUBLISHER_SILENT, "no publisher was heard yet"
    if status_age_s > SILENT_AFTER_S:
        return StaleReason.PUBLISHER_SILENT, f"no heartbeat of the publisher for {status_age_s:.0f} s"
    if status.source_state not in _LIVING:
        why = f": {status.reason}" if status.reason else ""
        return StaleReason.CHAIN_STALLED, f"the publisher's source is {status.source_state}{why}"
    return None
