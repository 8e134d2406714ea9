"""Rates, payments and conversions that an engine computes without a connection: by hand, and by their laws."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_schemas import (
    BASE_EXPONENT,
    FUNDING_RATE_EXPONENT,
    HOURS_PER_YEAR,
    PRICE_EXPONENT,
    annual_rate,
    apr_percent,
    basis,
    basis_bps,
    chain_integer,
    compound_annual_rate,
    expected_funding_usd,
    hourly_rate,
    open_interest_usd,
    rate_8h_percent,
    scaled_decimal,
)
from tests.support.bus_writer import funding_event, market_event, price_event

EVERYTHING = settings(max_examples=200, deadline=None)
CHAIN = st.integers(-(2**127), 2**127 - 1)
RATES = st.integers(-(10**12), 10**12)
PERIODS = st.sampled_from([60, 3600, 4 * 3600, 8 * 3600, 24 * 3600])


def test_a_rate_by_hand() -> None:
    # SOL at 85.00, 0.00085 quote per base an hour: 1e-5 of the price, not 85 times as much.
    hourly = hourly_rate(850_000, 85_000_000, 3600)
    assert hourly == pytest.approx(1e-5)
    assert hourly is not None
    assert rate_8h_percent(hourly) == pytest.approx(0.008)
    assert annual_rate(hourly) == pytest.approx(0.08766)
    assert apr_percent(hourly) == pytest.approx(8.766)
    assert compound_annual_rate(hourly) == pytest.approx(0.0916, abs=1e-4)
    assert compound_annual_rate(-1.0) == -1.0
    assert hourly_rate(850_000, 0, 3600) is None
    with pytest.raises(ValueError, match="at least -1"):
        compound_annual_rate(-1.5)


def test_a_payment_by_hand() -> None:
    # Ten SOL long for eight hours at 0.00085 an hour each pay 0.068; the short side receives it.
    assert expected_funding_usd(10, 850_000, funding_period=3600, hours=8) == pytest.approx(-0.068)
    assert expected_funding_usd(-10, 850_000, funding_period=3600, hours=8) == pytest.approx(0.068)
    assert expected_funding_usd(10, -850_000, funding_period=3600) == pytest.approx(0.0085)
    # The same rate as one of eight hours: an hour's part of it is an eighth.
    assert expected_funding_usd(10, 850_000, funding_period=8 * 3600, hours=8) == pytest.approx(-0.0085)
    assert expected_funding_usd(10, 850_000, funding_period=8 * 3600) == pytest.approx(-0.0085 / 8)


def test_basis_and_open_interest_by_hand() -> None:
    assert basis(150_150_000, 150_000_000) == pytest.approx(0.001)
    assert basis_bps(149_850_000, 150_000_000) == pytest.approx(-10)
    assert basis(1, 0) is basis_bps(1, 0) is None
    assert open_interest_usd(3 * 10**9, -5 * 10**9, 150_250_000) == Decimal("751.25")
    assert open_interest_usd(5 * 10**9, 3 * 10**9, 150_250_000) == Decimal("751.25")


@EVERYTHING
@given(RATES, st.integers(1, 10**13))
def test_the_events_tell_the_same(rate: int, price: int) -> None:
    funding = funding_event(funding_rate=rate, oracle_twap_at_funding=price)
    hourly = hourly_rate(rate, price, funding.funding_period)
    assert hourly is not None
    assert (funding.hourly_rate, funding.rate_8h_percent, funding.apr_percent) == (
        hourly,
        rate_8h_percent(hourly),
        apr_percent(hourly),
    )
    assert price_event(oracle_price=price, mark_price=price + 7).basis == basis(price + 7, price)
    market = market_event(open_interest_long=price, open_interest_short=7)
    assert market.open_interest == max(price, 7)


@EVERYTHING
@given(st.floats(-1e6, 1e6), RATES, st.floats(0, 1e5), st.integers(1, 10**13), PERIODS)
def test_longs_pay_what_shorts_receive_and_the_payment_is_rate_times_notional(
    position: float, rate: int, hours: float, price: int, period: int
) -> None:
    paid = expected_funding_usd(position, rate, funding_period=period, hours=hours)
    received = expected_funding_usd(-position, rate, funding_period=period, hours=hours)
    hourly = hourly_rate(rate, price, period)
    assert paid is not None
    assert received is not None
    assert hourly is not None
    assert paid == -received
    assert paid == pytest.approx(-position * (price / 1e6) * hourly * hours)


@EVERYTHING
@given(st.floats(-1e-3, 1e-3))
def test_a_year_is_8766_hours(hourly: float) -> None:
    assert HOURS_PER_YEAR == 8766
    assert annual_rate(hourly) == pytest.approx(hourly * 8766)
    for period in (3600, 4 * 3600, 8 * 3600):
        compounded = compound_annual_rate(hourly, funding_period=period)
        assert compounded is not None
        assert compounded >= annual_rate(hourly) - 1e-9


@EVERYTHING
@given(CHAIN, st.sampled_from([0, 4, 6, 9, 10]))
def test_chain_integers_come_back_exactly(value: int, exponent: int) -> None:
    natural = scaled_decimal(value, exponent)
    assert chain_integer(natural, exponent) == value
    assert chain_integer(str(natural), exponent) == value
    assert chain_integer(value, 0) == value


def test_nothing_is_rounded_behind_your_back() -> None:
    assert chain_integer("150.25", PRICE_EXPONENT) == 150_250_000
    assert chain_integer(Decimal("-0.000000001"), FUNDING_RATE_EXPONENT) == -1
    assert chain_integer(3, BASE_EXPONENT) == 3_000_000_000
    for value in ("0.0000001", Decimal(1) / 3, "1" * 70 + ".5"):
        with pytest.raises(ValueError, match="more digits"):
            chain_integer(value, PRICE_EXPONENT)
    for text in ("one", "NaN", "Infinity"):
        with pytest.raises(ValueError, match="no number"):
            chain_integer(text, PRICE_EXPONENT)
    with pytest.raises(TypeError, match="is a float"):
        chain_integer(0.1, PRICE_EXPONENT)  # type: ignore[arg-type]
