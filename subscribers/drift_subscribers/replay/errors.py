"""What can go wrong with a replay beside what can go wrong with reading history (``history.HistoryError``)."""

from __future__ import annotations

from drift_subscribers.errors import FeedError

__all__ = ["BadReplayName", "BadSpeed", "ReplayError", "ReplayExists", "ReplayTaken"]


class ReplayError(FeedError):
    """Base of the errors of replaying."""


class BadReplayName(ReplayError, ValueError):
    """A name that cannot be part of subjects, stream and buckets."""


class BadSpeed(ReplayError, ValueError):
    """A speed that is no positive number."""


class ReplayExists(ReplayError):
    """There is a replay, or something else, under this name already."""


class ReplayTaken(ReplayError):
    """Somebody else writes to, replaced or removed the replay's stream while it ran."""
