"""For the tests of engines: a feed without a server, and events with sensible defaults."""

from drift_subscribers.testing.events import funding_event, market_event, price_event, spot_event, status_event
from drift_subscribers.testing.fake_feed import FakeFeed

__all__ = ["FakeFeed", "funding_event", "market_event", "price_event", "spot_event", "status_event"]
