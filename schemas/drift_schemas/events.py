"""The events that travel on the bus: one frozen model per kind, chain integers as integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drift_schemas.event_base import Event, MarketDataEvent
from drift_schemas.funding_event import FundingEvent
from drift_schemas.market_event import MarketEvent
from drift_schemas.price_event import PriceEvent
from drift_schemas.spot_event import SpotMarketEvent
from drift_schemas.status_event import StatusEvent
from drift_schemas.subjects import Kind

__all__ = [
    "EVENT_TYPES",
    "Event",
    "FundingEvent",
    "MarketDataEvent",
    "MarketEvent",
    "PriceEvent",
    "SpotMarketEvent",
    "StatusEvent",
]

EVENT_TYPES: Final[Mapping[Kind, type[MarketDataEvent]]] = {
    model.kind: model for model in (FundingEvent, PriceEvent, MarketEvent, SpotMarketEvent)
}
