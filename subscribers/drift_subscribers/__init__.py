"""What an engine imports: the bus in memory, and streams of its changes."""

from drift_schemas import (
    Event,
    FundingEvent,
    MarketDataEvent,
    MarketEvent,
    PriceEvent,
    SpotMarketEvent,
    StatusEvent,
)
from drift_schemas.access import NatsAccess
from drift_subscribers.blocking import BlockingFeed, BlockingStream
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
from drift_subscribers.options import FeedOptions
from drift_subscribers.policies import Conflate, DropOldest, Lossless, Policy
from drift_subscribers.roster import OpenStream
from drift_subscribers.sharing import SharedFeed, shared_feed, shared_feed_references
from drift_subscribers.statistics import FeedStatistics, StreamStatistics
from drift_subscribers.streams import EventStream

__all__ = [
    "BlockingFeed",
    "BlockingStream",
    "CannotConnect",
    "Conflate",
    "DriftFeed",
    "DropOldest",
    "Event",
    "EventStream",
    "FeedClosed",
    "FeedError",
    "FeedOptions",
    "FeedStatistics",
    "FeedStatus",
    "FundingEvent",
    "Lossless",
    "MarketDataEvent",
    "MarketEvent",
    "MarketNotFound",
    "NatsAccess",
    "OpenStream",
    "Policy",
    "PriceEvent",
    "SharedFeed",
    "SnapshotIncomplete",
    "SpotMarketEvent",
    "StaleData",
    "StaleReason",
    "StatusEvent",
    "StreamStatistics",
    "shared_feed",
    "shared_feed_references",
]
