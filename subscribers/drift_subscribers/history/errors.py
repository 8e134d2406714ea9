"""What can go wrong when history is read, and what each error tells.

* ``HistoryError``: base of all, itself a ``FeedError``
    * ``BadMoment``: a text that is no point in time
    * ``BadSelection``: a selection that contradicts itself
    * ``NoHistory``: there is no such stream on this server
    * ``EmptyHistory``: the stream is there, and holds nothing of what was selected
    * ``HistoryPurged``: the selection begins before the oldest message that the stream still holds
    * ``HistoryInterrupted``: the server stopped answering, or the stream became another one
"""

from __future__ import annotations

from drift_subscribers.errors import FeedError

__all__ = [
    "BadMoment",
    "BadSelection",
    "EmptyHistory",
    "HistoryError",
    "HistoryInterrupted",
    "HistoryPurged",
    "NoHistory",
]


class HistoryError(FeedError):
    """Base of the errors of reading history."""


class BadMoment(HistoryError, ValueError):
    """A text that says no point in time."""


class BadSelection(HistoryError, ValueError):
    """A selection that contradicts itself, such as an end before its beginning."""


class NoHistory(HistoryError):
    """There is no such stream on this server."""


class EmptyHistory(HistoryError):
    """The stream holds nothing of what was selected."""


class HistoryPurged(HistoryError):
    """The selection begins before the oldest message of the stream.

    Attributes:
        begins_at_ns: When the oldest message was stored, in nanoseconds since the epoch.
        first_sequence: Its sequence.
    """

    def __init__(self, text: str, begins_at_ns: int, first_sequence: int) -> None:
        super().__init__(text)
        self.begins_at_ns = begins_at_ns
        self.first_sequence = first_sequence


class HistoryInterrupted(HistoryError):
    """The server stopped answering for too long, or the stream was made anew while it was read."""
