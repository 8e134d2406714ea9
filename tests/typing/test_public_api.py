"""The public API as a type checker sees it.

mypy reads this file in ``make test``: ``assert_type`` fails on another type, and an ignored error that is none any more
fails as an unused ignore. So a typo that passed, and a type that got vaguer, are both errors of the build. Running the
file shows that the same code works.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from decimal import Decimal
from typing import Union, assert_type, get_args, get_origin, get_type_hints

import pytest

from drift_schemas import EVENT_TYPES, Kind
from drift_schemas.event_base import Number, Scaled
from drift_subscribers import (
    BlockingFeed,
    BlockingStream,
    DriftFeed,
    Event,
    EventStream,
    FundingEvent,
    MarketDataEvent,
    MarketEvent,
    PriceEvent,
    SpotMarketEvent,
    StatusEvent,
    shared_feed,
)
from drift_subscribers.testing import FakeFeed, funding_event, market_event, price_event, spot_event, status_event


def test_floats_and_decimals_have_the_fields_of_their_event() -> None:
    price, funding = price_event(), funding_event()
    assert_type(price.floats.oracle_price, float | None)
    assert_type(price.exact.oracle_price, Decimal | None)
    assert_type(price.exact.oracle_twap, Decimal)  # never absent in the event, so never None here
    assert_type(price.floats.observed_at_ns, float)
    assert_type(funding.floats.funding_rate, float)
    assert_type(funding.exact.estimated_funding_rate_long, Decimal | None)
    assert_type(funding.exact.cumulative_funding_rate_long, Decimal)
    assert_type(market_event().floats.open_interest_long, float)
    assert_type(spot_event().exact.deposit_rate, Decimal)
    assert_type(status_event().floats.slot_at_ns, float | None)
    assert price.floats.oracle_price == 150.0


def test_a_typo_is_an_error_for_the_type_checker_and_at_run_time() -> None:
    price, funding, market, spot = price_event(), funding_event(), market_event(), spot_event()
    with pytest.raises(AttributeError, match="PriceEvent has no scaled field 'orcale_price'"):
        _ = price.floats.orcale_price  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = price.exact.orcale_price  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = funding.floats.oracle_price  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = market.exact.volume  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = spot.floats.borrow  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = status_event().floats.epoch  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = price.oracle_prize  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", [*EVENT_TYPES.values(), StatusEvent])
def test_what_is_declared_is_what_there_is(model: type[Event]) -> None:
    """The declared fields are the model's integers with a unit, each ``None`` where the model's may be."""
    for accessor, number in (("exact", Decimal), ("floats", float)):
        returned = get_type_hints(getattr(model, accessor).fget)["return"]
        scaled = get_origin(returned)
        assert issubclass(scaled, Scaled)
        assert get_args(returned) == (number,)
        assert vars(scaled)["__slots__"] == ()
        hints = get_type_hints(scaled)
        nullable = {name for name, hint in hints.items() if _may_be_none(hint)}
        assert {name for name in hints if name not in nullable and hints[name] is not Number} == set()
        assert hints.keys() == model.units().keys()
        assert nullable == {name for name in model.units() if _may_be_none(model.model_fields[name].annotation)}


def _may_be_none(hint: object) -> bool:
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)


def test_an_editor_is_offered_the_fields() -> None:
    assert {"oracle_price", "mark_price", "observed_at_ns"} <= set(dir(price_event().floats))


async def test_streams_of_one_market_of_several_and_of_all_have_the_type_of_their_kind() -> None:
    async with FakeFeed([price_event(), funding_event(), market_event(), spot_event("SOL")]) as feed:
        names: Iterable[str] = (name for name in ("SOL-PERP", "BTC-PERP"))
        assert_type(feed.stream("price", "SOL-PERP"), EventStream[PriceEvent])
        assert_type(feed.stream("price", ["SOL-PERP", "BTC-PERP"]), EventStream[PriceEvent])
        assert_type(feed.stream("price", names), EventStream[PriceEvent])
        assert_type(feed.stream("price"), EventStream[PriceEvent])
        assert_type(feed.stream("funding", ["SOL-PERP"]), EventStream[FundingEvent])
        assert_type(feed.stream("market", {"SOL-PERP"}), EventStream[MarketEvent])
        assert_type(feed.stream("spot", ("SOL",)), EventStream[SpotMarketEvent])
        async for price in feed.stream("price", ["SOL-PERP"], current=True):
            assert_type(price, PriceEvent)
            assert_type(price.sequence, int | None)
            assert_type(price.received_at_ns, int | None)
            break
        with pytest.raises(ValueError, match="not 'prices'"):
            feed.stream("prices")  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            feed.stream("price", 7)  # type: ignore[call-overload]


def test_reads() -> None:
    feed = FakeFeed([price_event(), funding_event(), market_event(), spot_event("SOL")])
    assert_type(feed.price("SOL-PERP"), PriceEvent | None)
    assert_type(feed.funding("SOL-PERP"), FundingEvent | None)
    assert_type(feed.market("SOL-PERP"), MarketEvent | None)
    assert_type(feed.spot("SOL"), SpotMarketEvent | None)
    assert_type(feed.require_price("SOL-PERP"), PriceEvent)
    assert_type(feed.status(), StatusEvent | None)
    kind: Kind = "price"
    assert_type(feed.age_s(kind, "SOL-PERP"), float | None)
    with pytest.raises(AttributeError):
        _ = feed.price("SOL-PERP").floats  # type: ignore[union-attr]
        feed.advance(11)
        _ = feed.price("SOL-PERP").floats  # type: ignore[union-attr]


async def shared() -> None:
    """For the type checker only."""
    async with shared_feed(["nats://a", "nats://b"]) as feed:
        assert_type(feed, DriftFeed)


def blocking(feed: BlockingFeed, events: list[MarketDataEvent]) -> None:
    """For the type checker only."""
    assert_type(feed.stream("price", ["SOL-PERP", "BTC-PERP"]), BlockingStream[PriceEvent])
    assert_type(feed.stream("funding", "SOL-PERP", timeout_s=1.0), BlockingStream[FundingEvent])
    for event in events:
        assert_type(event.floats.observed_at_ns, float)
        _ = event.floats.oracle_price  # type: ignore[attr-defined]
