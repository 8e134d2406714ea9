"""Projected content as the event that a reader gets, and the proof that it is what the model would have sent."""

from __future__ import annotations

from typing import Any

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.records import PerpMarket, SpotMarket, State
from drift_publisher.projection import (
    Content,
    Origin,
    Quote,
    funding_content,
    market_content,
    perp_price_content,
    spot_content,
    spot_price_content,
)
from drift_schemas import (
    EVENT_TYPES,
    SCHEMA_VERSION,
    FundingEvent,
    MarketEvent,
    PriceEvent,
    SpotMarketEvent,
    decode_event,
    encode,
    encode_fields,
)

from .accounts import NOW

__all__ = ["ORIGIN", "funding_event", "market_event", "origin_of", "price_event", "spot_event"]

ORIGIN = Origin(
    schema_version=SCHEMA_VERSION,
    program="drift-v2",
    cluster="simulated",
    epoch=4,
    slot=123,
    published_at_ns=0,
    market="SOL-PERP",
    market_type="perp",
    market_index=0,
    observed_at_ns=NOW * 10**9 + 999_999_999,
)


def origin_of(market: PerpMarket | SpotMarket) -> Origin:
    type_ = "perp" if isinstance(market, PerpMarket) else "spot"
    return {**ORIGIN, "market": market.name, "market_type": type_, "market_index": market.market_index}


def funding_event(
    market: PerpMarket, oracle: OraclePrice | None, quoted: Quote | None, state: State | None
) -> FundingEvent:
    content = funding_content(market, oracle, quoted, state, DRIFT_V2.rules, NOW)
    return _validated(FundingEvent, market, content)


def price_event(
    market: PerpMarket | SpotMarket,
    oracle: OraclePrice | None,
    quoted: Quote | None,
    state: State | None,
    chain_slot: int,
) -> PriceEvent:
    if isinstance(market, PerpMarket):
        content = perp_price_content(market, oracle, quoted, state, chain_slot, DRIFT_V2.rules)
    else:
        content = spot_price_content(market, oracle, state, chain_slot, DRIFT_V2.rules)
    return _validated(PriceEvent, market, content)


def market_event(market: PerpMarket) -> MarketEvent:
    return _validated(MarketEvent, market, market_content(market))


def spot_event(market: SpotMarket) -> SpotMarketEvent:
    return _validated(SpotMarketEvent, market, spot_content(market, DRIFT_V2.rules))


def _validated(model: type[Any], market: PerpMarket | SpotMarket, content: Content) -> Any:
    """The event that a reader decodes; it has all of its model's fields, and the model packs to the same bytes."""
    assert EVENT_TYPES[model.kind] is model
    fields = {**origin_of(market), **content}
    event = decode_event(model.kind, encode_fields(fields))
    assert list(fields) == list(model.model_fields)
    assert encode(model(**fields)) == encode(event) == encode_fields(fields)
    return event
