"""Reading what the bus has carried: one ordered, bounded reader for replay, as-of reads and export."""

from drift_subscribers.history.as_of import Present, as_of, read_ticks
from drift_subscribers.history.errors import (
    BadMoment,
    BadSelection,
    EmptyHistory,
    HistoryError,
    HistoryInterrupted,
    HistoryPurged,
    NoHistory,
)
from drift_subscribers.history.moments import format_moment, parse_moment
from drift_subscribers.history.reader import read_history, read_span
from drift_subscribers.history.selection import Selection, StoredMessage
from drift_subscribers.history.span import Span, find_span
from drift_subscribers.history.timeline import Tick, TickSort, Timeline

__all__ = [
    "BadMoment",
    "BadSelection",
    "EmptyHistory",
    "HistoryError",
    "HistoryInterrupted",
    "HistoryPurged",
    "NoHistory",
    "Present",
    "Selection",
    "Span",
    "StoredMessage",
    "Tick",
    "TickSort",
    "Timeline",
    "as_of",
    "find_span",
    "format_moment",
    "parse_moment",
    "read_history",
    "read_span",
    "read_ticks",
]
