"""Averages brought to now: the weights, the unit of bias, the oracle's sample, the bands, and what is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.profiles.velocity_v1.twaps import (
    live_twaps,
    new_twap,
    oracle_sample,
    sanitized,
    weighted_average,
)

from .accounts import HOUR, NOW, perp, reading

# --- one sample -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "after", "twap"),
    [
        (200, 0, 100),  # no time has passed: the last one stands
        (200, -5, 100),
        (200, 900, 126),  # (200 * 900 + 100 * 2700) / 3600 = 125, and 1 toward the past's heavier 270 000
        (200, 2700, 174),  # 175, and 1 away from the past, which is the lighter now
        (200, 1200, 133),  # 133.3: 240 000 against 240 000, no bias
        (200, 3598, 198),  # two seconds of the past: 199.9, less 1
        (200, 3599, 199),  # one second of the past is kept, and then there is no bias
        (200, 3600, 199),  # (200 * 3600 + 100) / 3601
        (200, 7200, 199),  # (200 * 7200 + 100) / 7201
    ],
)
def test_a_sample_weighs_the_time_that_it_stood_for(sample: int, after: int, twap: int) -> None:
    assert new_twap(sample, NOW + after, 100, NOW, HOUR) == twap


def test_an_average_that_is_zero_does_not_fall_below() -> None:
    # (1 * 3 + 0 * 4) / 7 = 0, and the sample is the heavier: the bias of -1 is left out
    assert weighted_average(1, 0, 3, 4) == 0
    assert weighted_average(0, 1, 4, 3) == 1  # the bias of +1 is not


def test_negative_averages_truncate_toward_zero() -> None:
    assert weighted_average(-3, -2, 1, 1, bias=0) == -2
    assert -5 // 2 == -3  # what Python's // would say


@settings(max_examples=300, deadline=None)
@given(sample=st.integers(1, 10**12), last=st.integers(1, 10**12), after=st.integers(0, 3 * HOUR))
def test_an_average_lies_between_its_prices_but_for_the_bias(sample: int, last: int, after: int) -> None:
    twap = new_twap(sample, NOW + after, last, NOW, HOUR)
    assert min(sample, last) - 1 <= twap <= max(sample, last) + 1
    dearer = new_twap(sample + 10_000, NOW + after, last, NOW, HOUR)
    assert dearer >= twap - 2


# --- the oracle's sample ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reserve", "confidence", "sample"),
    [
        (101_000_000, 500_000, 100_500_000),  # as far toward the reserve price as the interval reaches
        (101_000_000, 5_000_000, 100_974_750),  # not nearer to it than 2.5 bp of it
        (100_010_000, 500_000, 100_000_000),  # it is that near already
        (99_000_000, 500_000, 99_500_000),
        (99_000_000, 5_000_000, 99_024_750),
        (99_990_000, 500_000, 100_000_000),
        (100_000_000, 500_000, 100_000_000),
        (101_000_000, 0, 100_000_000),  # certain to the unit: the oracle itself
    ],
)
def test_the_oracle_is_moved_toward_the_reserve_price(reserve: int, confidence: int, sample: int) -> None:
    assert oracle_sample(reading(confidence=confidence), reserve) == sample


@settings(max_examples=300, deadline=None)
@given(price=st.integers(1, 10**12), confidence=st.integers(0, 10**12), reserve=st.integers(1, 10**12))
def test_the_sample_lies_between_oracle_and_reserve_price_and_within_the_interval(
    price: int, confidence: int, reserve: int
) -> None:
    sample = oracle_sample(reading(price, confidence), reserve)
    assert min(price, reserve) <= sample <= max(price, reserve)
    assert abs(sample - price) <= confidence


@pytest.mark.parametrize(
    ("tier", "share"),
    [("A", 10), ("B", 5), ("C", 2), ("Speculative", 3), ("HighlySpeculative", 3), ("Isolated", 3), ("Unknown(9)", 3)],
)
def test_a_sample_is_held_within_the_tiers_share_of_the_average(tier: str, share: int) -> None:
    band = 100_000_000 // share
    for price in (100_000_000 + band - 1, 100_000_000 + band, 100_000_000 - band, 100_000_000 - band + 1):
        assert sanitized(price, 100_000_000, tier) == price
    assert sanitized(100_000_000 + band + 1, 100_000_000, tier) == 100_000_000 + band
    assert sanitized(100_000_000 - band - 1, 100_000_000, tier) == 100_000_000 - band
    assert sanitized(7, 0, tier) == 7  # there is no average yet


# --- both averages ----------------------------------------------------------------------------------------------------


def test_at_the_moment_of_the_last_update_the_averages_are_the_accounts() -> None:
    market = perp(last_bid_price_twap=99_000_000, last_ask_price_twap=101_000_002, last_oracle_price_twap=98_000_000)
    assert live_twaps(market, reading(), NOW) == (100_000_001, 98_000_000)


def test_the_mark_is_the_mid_of_two_averages_and_drops_its_half() -> None:
    market = perp(last_bid_price_twap=99_000_000, last_ask_price_twap=101_000_001)
    twaps = live_twaps(market, reading(), NOW)
    assert twaps is not None
    assert twaps.mark == 100_000_000


def test_the_oracles_average_has_its_sample_capped_by_tier() -> None:
    # 150 at tier B counts as 120, for a quarter of the hour: 105, and 1 toward the past's heavier part
    twaps = live_twaps(perp(), reading(150_000_000), NOW + 900)
    assert twaps is not None
    assert twaps.oracle == 105_000_001
    tier_a = live_twaps(perp(contract_tier="A"), reading(150_000_000), NOW + 900)
    assert tier_a is not None
    assert tier_a.oracle == 102_500_001


def test_after_a_whole_period_the_oracles_average_is_the_sample_itself() -> None:
    twaps = live_twaps(perp(), reading(101_000_000, 0), NOW + HOUR)
    assert twaps is not None
    assert twaps.oracle == 101_000_000


def test_an_oracle_that_lagged_the_mark_is_drawn_toward_it() -> None:
    # The oracle's average is an hour and a half old, the mark's half an hour: of the sample 100 and the mark's 104,
    # the mark weighs 3600 and the sample the least, 1. As the oracle's own past is over a period old, that is the
    # average: (104 * 3600 + 100) / 3601 = 103.998889
    market = perp(
        last_oracle_price_twap_ts=NOW - 5400,
        last_mark_price_twap_ts=NOW - 1800,
        last_mark_price_twap=104_000_000,
        last_bid_price_twap=104_000_000,
        last_ask_price_twap=104_000_000,
    )
    twaps = live_twaps(market, reading(100_000_000, 0), NOW)
    assert twaps is not None
    assert twaps.oracle == 103_998_889


def test_a_mark_that_nobody_wrote_for_over_a_minute_is_drawn_toward_the_oracle() -> None:
    market = perp(last_bid_price_twap=104_000_000, last_ask_price_twap=104_000_000, last_mark_price_twap=104_000_000)
    # 60 s: the quote's 100 stood for a sixtieth of the hour: 103.933333, and 1 toward the past
    at_a_minute = live_twaps(market, reading(), NOW + 60)
    assert at_a_minute is not None
    assert at_a_minute.mark == 103_933_334
    # 61 s: first (100 * 61 + 104 * 3539) / 3600 = 103.932222, 1 toward the oracle: 103.932221;
    # then (100 * 61 + 103.932221 * 3539) / 3600 = 103.865591..., and 1 toward the past
    over_a_minute = live_twaps(market, reading(), NOW + 61)
    assert over_a_minute is not None
    assert over_a_minute.mark == (100_000_000 * 61 + 103_932_221 * 3539) // 3600 + 1 == 103_865_592


@pytest.mark.parametrize(("period", "forgotten_after"), [(HOUR, 3 * HOUR), (600, HOUR), (2 * HOUR, 6 * HOUR)])
def test_a_mark_that_nobody_wrote_for_three_periods_is_forgotten(period: int, forgotten_after: int) -> None:
    dear = {"last_bid_price_twap": 104_000_000, "last_ask_price_twap": 104_000_000, "last_mark_price_twap": 104_000_000}
    market = perp(**dear, funding_period=period, quote_asset_reserve=103 * 10**13)
    remembered = live_twaps(market, reading(), NOW + forgotten_after)
    forgotten = live_twaps(market, reading(), NOW + forgotten_after + 1)
    assert remembered is not None
    assert forgotten is not None
    assert remembered.mark > remembered.oracle + 2_000_000  # the quote is at 103
    assert forgotten.mark == forgotten.oracle


# What counts as bid and ask: 60 s after the last update an average of 100 has moved by a sixtieth of the way to the
# sample, and one unit back; read in that coarse way, a sample is known to 120 units.


def samples(long_spread: int, short_spread: int, oracle: int, **changed: int) -> int:
    """The mid of both samples, read back from the average; the oracle has no interval."""
    market = perp(long_spread=long_spread, short_spread=short_spread, **changed)
    twaps = live_twaps(market, reading(oracle, 0), NOW + 60)
    assert twaps is not None
    return (twaps.mark - 1 - 100_000_000) * 60 + 100_000_000


def test_with_equal_spreads_the_reserve_price_is_the_sample() -> None:
    assert samples(1000, 1000, 100_000_000) == pytest.approx(100_000_000, abs=120)
    # an offset beyond the spread: the nearer side of the quote
    assert samples(1000, 1000, 100_000_000, reference_price_offset=3000) == pytest.approx(100_200_000, abs=120)


def test_with_the_wider_spread_above_the_ask_is_a_sample_and_the_oracle_stands_for_the_bid() -> None:
    # quote 99.95 .. 100.3; the bid is the oracle's 100 less half the bid's spread as a price, 0.00025: mid 100.149875
    assert samples(3000, 500, 100_000_000, base_spread=1000) == pytest.approx(100_149_875, abs=120)
    # with spreads of 6 and 4 % the base spread is the smaller, 0.01: the bid 99.99, the ask 106
    assert samples(60_000, 40_000, 100_000_000, base_spread=10_000) == pytest.approx(102_995_000, abs=120)
    # the oracle above the ask: no premium, and the bid is the ask itself
    assert samples(3000, 500, 100_400_000) == pytest.approx(100_300_000, abs=120)
    # the oracle below the bid: the AMM's own bid is better
    assert samples(3000, 500, 99_000_000) == pytest.approx((99_950_000 + 100_300_000) // 2, abs=120)


def test_with_the_wider_spread_below_the_bid_is_a_sample_and_the_oracle_stands_for_the_ask() -> None:
    # quote 99.7 .. 100.05; the ask is the oracle's 100 and the base spread as a price, 0.0002: mid 99.8501
    assert samples(500, 3000, 100_000_000) == pytest.approx(99_850_100, abs=120)
    assert samples(40_000, 60_000, 100_000_000, base_spread=10_000) == pytest.approx(97_005_000, abs=120)
    # and a larger one than half the ask's spread, 0.02: the ask 100.02
    assert samples(40_000, 60_000, 100_000_000, base_spread=30_000) == pytest.approx(97_010_000, abs=120)
    assert samples(500, 3000, 99_600_000) == pytest.approx(99_700_000, abs=120)
    assert samples(500, 3000, 101_000_000) == pytest.approx((99_700_000 + 100_050_000) // 2, abs=120)


def test_a_bid_is_no_less_than_a_tick_even_where_a_tick_is_more_than_the_quote() -> None:
    # a tick of 110: both samples are 110
    assert samples(3000, 500, 100_000_000, order_tick_size=110_000_000) == pytest.approx(110_000_000, abs=120)


def test_an_average_that_is_no_price_is_left_as_it_is() -> None:
    market = perp(last_oracle_price_twap=-1, last_oracle_price_twap_ts=NOW - 60)
    twaps = live_twaps(market, reading(), NOW)
    assert twaps is not None
    assert twaps.oracle == -1


def test_where_the_bands_cross_the_samples_the_program_refuses_the_update() -> None:
    # bands of a fifth around averages of 150 and 90: no ask of 100 reaches the bid's 120
    crossed = perp(last_bid_price_twap=150_000_000, last_ask_price_twap=90_000_000)
    assert live_twaps(crossed, reading(), NOW + 60) is None


@settings(max_examples=300, deadline=None)
@given(
    oracle=st.integers(90_000_000, 110_000_000),
    confidence=st.integers(0, 1_000_000),
    long_spread=st.integers(0, 20_000),
    short_spread=st.integers(0, 20_000),
    offset=st.integers(-5_000, 5_000),
    after=st.integers(0, 2 * HOUR),
    mark_lag=st.integers(0, HOUR),
    oracle_lag=st.integers(0, HOUR),
)
def test_averages_stay_among_the_prices_that_they_are_made_of(
    oracle: int,
    confidence: int,
    long_spread: int,
    short_spread: int,
    offset: int,
    after: int,
    mark_lag: int,
    oracle_lag: int,
) -> None:
    market = perp()._replace(
        long_spread=long_spread,
        short_spread=short_spread,
        reference_price_offset=offset,
        last_mark_price_twap_ts=NOW - mark_lag,
        last_oracle_price_twap_ts=NOW - oracle_lag,
    )
    twaps = live_twaps(market, reading(oracle, confidence), NOW + after)
    assert twaps is not None
    low, high = min(97_500_000, oracle), max(102_500_000, oracle)  # quote and averages, and the oracle
    assert low - 3 <= twaps.oracle <= high + 3
    assert low - 3 <= twaps.mark <= high + 3
