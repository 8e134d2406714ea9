"""A rate of the chain is what one funding period costs: every figure of it, for any period, by its laws."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_schemas import (
    FundingEvent,
    compound_annual_rate,
    decode_event,
    encode,
    expected_funding_usd,
    has_settlements,
    hourly_rate,
)
from tests.support.bus_writer import funding_event

HOUR = 3600
LAWS = settings(max_examples=200, deadline=None)
PERIODS = st.one_of(st.sampled_from([HOUR, 4 * HOUR, 8 * HOUR]), st.integers(1, 24 * HOUR))
RATES = st.integers(-(2**63), 2**63 - 1)
PRICES = st.integers(1, 2**62)
ABSURD = (0, -1, -HOUR, 24 * HOUR + 1, 2**63 - 1)


@LAWS
@given(rate=RATES, price=PRICES, period=PERIODS)
def test_the_hours_of_a_period_pay_what_the_period_costs(rate: int, price: int, period: int) -> None:
    event = funding_event(funding_rate=rate, oracle_twap_at_funding=price, funding_period=period)
    of_a_period = rate / (price * 1000)
    hourly = event.hourly_rate
    assert hourly is not None
    assert hourly * (period / HOUR) == pytest.approx(of_a_period, rel=1e-12)
    assert event.rate_8h_percent == pytest.approx(8 * hourly * 100, rel=1e-12)
    assert event.apr_percent == pytest.approx(hourly * 24 * 365.25 * 100, rel=1e-12)
    assert expected_funding_usd(-1e9, rate, funding_period=period, hours=period / HOUR) == pytest.approx(rate)


@LAWS
@given(long=RATES, short=RATES, price=PRICES, period=PERIODS)
def test_so_do_the_hours_of_an_estimate(long: int, short: int, price: int, period: int) -> None:
    event = funding_event(
        estimated_funding_rate_long=long,
        estimated_funding_rate_short=short,
        oracle_twap=price,
        funding_period=period,
    )
    for hourly, rate in ((event.estimated_hourly_rate_long, long), (event.estimated_hourly_rate_short, short)):
        assert hourly is not None
        assert hourly * (period / HOUR) == pytest.approx(rate / (price * 1000), rel=1e-12)


@LAWS
@given(rate=RATES, price=PRICES)
def test_a_period_of_an_hour_costs_what_an_hour_costs_to_the_last_digit(rate: int, price: int) -> None:
    assert hourly_rate(rate, price, HOUR) == rate / (price * 1000)


def test_eight_hours_by_hand() -> None:
    """The case that was told wrong: the long pays -0.006237 % in eight hours, not in one."""
    event = funding_event(funding_rate=-9_355_500, oracle_twap_at_funding=150_000_000, funding_period=8 * HOUR)
    assert event.rate_8h_percent == pytest.approx(-0.006237)
    assert event.hourly_rate == pytest.approx(-0.00006237 / 8)
    assert event.apr_percent == pytest.approx(-0.006237 * 3 * 365.25)
    # Three settlements a day, each of which the next day's stake has grown by.
    assert event.hourly_rate is not None
    assert compound_annual_rate(event.hourly_rate, funding_period=8 * HOUR) == pytest.approx(
        (1 - 0.00006237) ** (3 * 365.25) - 1
    )
    with pytest.raises(ValueError, match=r"at least -0\.125"):
        compound_annual_rate(-0.2, funding_period=8 * HOUR)


@pytest.mark.parametrize("period", ABSURD)
def test_under_a_period_in_which_nothing_settles_there_is_no_figure(period: int) -> None:
    event = funding_event(funding_period=period)
    assert not has_settlements(period)
    assert event.hourly_rate is event.rate_8h_percent is event.apr_percent is None
    assert event.estimated_hourly_rate_long is event.estimated_hourly_rate_short is None
    assert hourly_rate(1_500_000, 150_000_000, period) is None
    assert expected_funding_usd(1.0, 1_500_000, funding_period=period) is None
    assert compound_annual_rate(1e-5, funding_period=period) is None


def test_an_event_that_was_stored_before_reads_right() -> None:
    """The event has always told its period; what is derived from it is derived by the reader."""
    old = decode_event("funding", encode(funding_event(funding_period=8 * HOUR)))
    assert isinstance(old, FundingEvent)
    assert old.rate_8h_percent == pytest.approx(0.001)


def test_the_schema_says_what_the_integers_count() -> None:
    units = {name: unit.name for name, unit in FundingEvent.units().items()}
    per_period = {name for name, unit in units.items() if unit == "quote per base per funding period"}
    assert per_period == {
        "funding_rate", "funding_rate_long", "funding_rate_short", "funding_rate_24h_avg",
        "estimated_funding_rate_long", "estimated_funding_rate_short",
    }  # fmt: skip
    for name in per_period:
        assert "per funding period" in " ".join((FundingEvent.model_fields[name].description or "").split()), name
    assert units["cumulative_funding_rate_long"] == units["cumulative_funding_rate_short"] == "quote per base"
