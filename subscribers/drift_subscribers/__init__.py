"""What an engine imports: the bus in memory, and streams of its changes."""

from drift_subscribers.errors import (
    CannotConnect,
    FeedClosed,
    FeedError,
    MarketNotFound,
    SnapshotIncomplete,
    StaleData,
    StaleReason,
)
from drift_subscribers.feed import DriftFeed, FeedStatus
from drift_subscribers.policies import Conflate, DropOldest, Lossless, Policy
from drift_subscribers.statistics import FeedStatistics, StreamStatistics
from drift_subscribers.streams import EventStream

__all__ = [
    "CannotConnect",
    "Conflate",
    "DriftFeed",
    "DropOldest",
    "EventStream",
    "FeedClosed",
    "FeedError",
    "FeedStatistics",
    "FeedStatus",
    "Lossless",
    "MarketNotFound",
    "Policy",
    "SnapshotIncomplete",
    "StaleData",
    "StaleReason",
    "StreamStatistics",
]
