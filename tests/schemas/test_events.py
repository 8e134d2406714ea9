"""The events' units and rates, exactly and by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drift_schemas import EVENT_TYPES, StatusEvent, hourly_rate, scaled_decimal
from tests.support.bus_writer import funding_event, market_event, price_event, spot_event

AMOUNTS = st.integers(-(2**128), 2**128)


@given(AMOUNTS, st.integers(0, 19))
def test_scaling_is_exact(value: int, exponent: int) -> None:
    scaled = scaled_decimal(value, exponent)
    assert scaled == Decimal(f"{value}e-{exponent}")


@given(st.integers(-(10**12), 10**12))
def test_fields_in_natural_units(value: int) -> None:
    event = price_event(oracle_price=value)
    assert event.exact.oracle_price == Decimal(value) / 10**6
    assert event.floats.oracle_price == float(Decimal(value) / 10**6)


def test_none_stays_none_and_what_has_no_unit_has_no_scale() -> None:
    event = price_event(bid_price=None)
    assert event.exact.bid_price is None
    with pytest.raises(AttributeError, match="market_index"):
        _ = event.exact.market_index  # type: ignore[attr-defined]


def test_every_amount_has_a_unit() -> None:
    assert market_event().units()["open_interest_long"].exponent == 9
    assert market_event().units()["volume_24h"].exponent == 6
    assert spot_event().units()["deposit_balance"].exponent == 9
    assert funding_event().units()["estimated_funding_rate_long"].exponent == 9
    assert price_event().units()["oracle_price"].scale == "1e-6"


def test_the_hourly_rate_by_hand() -> None:
    # 0.0015 quote per base an hour, settled against 150.00: 1e-5 of price an hour, longs pay.
    event = funding_event(funding_rate=1_500_000, oracle_twap_at_funding=150_000_000)
    assert event.hourly_rate == pytest.approx(1e-5)
    assert event.rate_8h_percent == pytest.approx(8e-3)
    assert event.apr_percent == pytest.approx(1e-5 * 24 * 365.25 * 100)
    assert event.estimated_hourly_rate_long == pytest.approx(1e-5)
    assert funding_event(funding_rate=-1_500_000).hourly_rate == pytest.approx(-1e-5)


@given(AMOUNTS, st.integers(1, 2**63))
def test_the_hourly_rate_is_rate_over_price(rate: int, twap: int) -> None:
    exact = float(Decimal(rate) / (Decimal(twap) * 1000))
    assert hourly_rate(rate, twap, 3600) == pytest.approx(exact, rel=1e-15)


@pytest.mark.parametrize("twap", [0, -1])
def test_without_a_settlement_there_is_no_rate(twap: int) -> None:
    event = funding_event(oracle_twap_at_funding=twap, oracle_twap=twap)
    assert event.hourly_rate is event.rate_8h_percent is event.apr_percent is None
    assert event.estimated_hourly_rate_short is None


def test_basis() -> None:
    assert price_event(oracle_price=100, mark_price=101).basis == pytest.approx(0.01)
    assert price_event(mark_price=None).basis is None
    assert price_event(oracle_price=0).basis is None


def test_open_interest_is_the_larger_side() -> None:
    assert market_event(open_interest_long=3, open_interest_short=5).open_interest == 5


@pytest.mark.parametrize("model", [*EVENT_TYPES.values(), StatusEvent])
def test_every_field_is_documented(model: type) -> None:
    for name, info in model.model_fields.items():  # type: ignore[attr-defined]
        assert info.description, name


def test_an_event_is_frozen() -> None:
    with pytest.raises(ValidationError):
        price_event().oracle_price = 1  # type: ignore[misc]
