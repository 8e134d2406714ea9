"""Funding: the rate, what each side pays and the next settlement, in cases worked by hand and as laws."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drift_publisher.profiles.velocity_v1.funding import (
    estimated_funding_rates,
    funding_is_paused,
    funding_payment,
    funding_rate,
    funding_rates_by_side,
)
from drift_publisher.profiles.velocity_v1.records import PerpMarket
from drift_publisher.settlements import next_funding_ts

from .accounts import HOUR, NOW, perp, reading, state

TIERS = {"A": 33, "B": 33, "C": 20, "Speculative": 10, "HighlySpeculative": 10, "Isolated": 10}


def rate(
    mark_twap: int,
    oracle_twap: int = 100_000_000,
    tier: str = "B",
    period: int = HOUR,
    *,
    threshold: int = 5,
    slope: int = 10**6,
) -> int:
    """The rate with the default dead zone of 5 bp and the default ramp."""
    return funding_rate(mark_twap, oracle_twap, tier=tier, period=period, clamp_threshold=threshold, ramp_slope=slope)


# --- the rate ---------------------------------------------------------------------------------------------------------


def test_a_flat_market_pays_a_3333rd_a_day() -> None:
    # 100 / 3333 = 0.030003 quote a day, a 24th of it an hour: 0.00125 % of the price an hour, 10.95 % a year
    assert rate(100_000_000) == 30_003 * 1000 // 24 == 1_250_125
    assert Fraction(rate(100_000_000), 1000 * 100_000_000) == Fraction("0.0000125") + Fraction("1.25e-9")
    assert 0.1095 < rate(100_000_000) / 1000 / 100_000_000 * 24 * 365 < 0.1096


@pytest.mark.parametrize(
    ("spread", "premium"),
    [
        (0, 30_003),
        (49_999, 30_003),  # one below the edge of the dead zone of 5 bp
        (50_000, 30_003),  # at its edge
        (50_001, 30_004),  # one above it: the part above the zone alone counts
        (-49_999, 30_003),
        (-50_000, 30_003),
        (-50_001, 30_002),
        (-80_003, 0),  # a discount of dead zone and offset costs nobody anything
        (-80_004, -1),
        (150_000, 130_003),
        (-150_000, -69_997),
    ],
)
def test_a_spread_within_the_dead_zone_is_noise_and_beyond_it_grows_from_nothing(spread: int, premium: int) -> None:
    assert rate(100_000_000 + spread) == int(Fraction(premium * 1000, 24))


def test_negative_rates_truncate_toward_zero() -> None:
    # -0.000001 a day is -41.67 an hour, and -69.997 a day is -2916.54
    assert rate(100_000_000 - 80_004) == -41
    assert -1000 // 24 == -42  # what Python's // would say
    assert rate(100_000_000 - 150_000) == -2_916_541


def test_offset_and_dead_zone_drop_their_fractions() -> None:
    # at 0.003332 the offset is 0, and the dead zone of 5 bp is 1.666 and so 1
    assert rate(3_332, 3_332) == 0
    assert rate(3_333, 3_333) == 41
    assert rate(3_333, 3_332) == 0
    assert rate(3_334, 3_332) == 41


@pytest.mark.parametrize(
    ("slope", "above", "below"),
    [(10**6, 100_000, -100_000), (2 * 10**6, 200_000, -200_000), (500_000, 50_000, -50_000), (0, 0, 0)],
)
def test_the_ramp_scales_what_lies_beyond_the_dead_zone(slope: int, above: int, below: int) -> None:
    assert rate(100_150_000, slope=slope) == (above + 30_003) * 1000 // 24
    assert rate(99_850_000, slope=slope) == int(Fraction((below + 30_003) * 1000, 24))


def test_the_ramp_truncates_toward_zero_too() -> None:
    # one unit beyond the zone at half the slope is half a unit: nothing, above and below
    assert rate(100_050_001, slope=500_000) == rate(99_949_999, slope=500_000) == rate(100_000_000)


def test_without_a_threshold_there_is_no_dead_zone() -> None:
    assert rate(100_000_001, threshold=0) == 30_004 * 1000 // 24
    assert rate(99_999_999, threshold=0) == 30_002 * 1000 // 24


@pytest.mark.parametrize(("tier", "denominator"), [*TIERS.items(), ("Unknown(9)", 10)])
def test_the_rate_is_capped_by_contract_tier(tier: str, denominator: int) -> None:
    cap = 100_000_000 // denominator
    assert rate(150_000_000, tier=tier) == cap * 1000 // 24
    assert rate(50_000_000, tier=tier) == -(cap * 1000 // 24)
    # the cap holds for premium and offset together, and its edge is not beyond it
    edge = 100_000_000 + cap + 50_000 - 30_003
    assert rate(edge, tier=tier) == rate(edge + 1, tier=tier) == cap * 1000 // 24
    assert rate(edge - 24, tier=tier) == (cap - 24) * 1000 // 24


@pytest.mark.parametrize(
    ("period", "parts_of_a_day"), [(60, 24), (3599, 24), (3600, 24), (7200, 12), (28_800, 3), (86_400, 1), (5000, 17)]
)
def test_periods_longer_than_an_hour_pay_for_all_of_their_time(period: int, parts_of_a_day: int) -> None:
    assert rate(100_150_000, period=period) == 130_003 * 1000 // parts_of_a_day


prices = st.integers(1, 10**12)


@settings(max_examples=300, deadline=None)
@given(
    mark=prices,
    oracle=prices,
    tier=st.sampled_from(sorted(TIERS)),
    threshold=st.integers(0, 1000),
    slope=st.integers(0, 10**7),
)
def test_the_rate_is_within_its_cap_and_grows_with_the_mark(
    mark: int, oracle: int, tier: str, threshold: int, slope: int
) -> None:
    at = rate(mark, oracle, tier, threshold=threshold, slope=slope)
    assert abs(at) <= oracle // TIERS[tier] * 1000 // 24
    assert rate(mark + 1, oracle, tier, threshold=threshold, slope=slope) >= at
    # one unit of mark moves the rate by one unit of premium at most: the edge of the dead zone is no step
    step = -(-slope // 10**6) * 1000 // 24 + 1000
    assert rate(mark + 1, oracle, tier, threshold=threshold, slope=slope) - at <= step


@settings(max_examples=200, deadline=None)
@given(oracle=prices, tier=st.sampled_from(sorted(TIERS)), share=st.fractions(-1, 1), threshold=st.integers(0, 1000))
def test_within_the_dead_zone_the_offset_alone_is_paid(oracle: int, tier: str, share: Fraction, threshold: int) -> None:
    spread = int(share * (oracle * threshold // 10_000))
    assert rate(oracle + spread, oracle, tier, threshold=threshold) == oracle // 3333 * 1000 // 24


# --- who pays and who receives ----------------------------------------------------------------------------------------


def sides(at_rate: int, **changed: int) -> tuple[int, int]:
    """1000 base long, 600 short, so that the AMM holds 400 of the shorts."""
    held = {
        "base_asset_amount_long": 1000 * 10**9,
        "base_asset_amount_short": -600 * 10**9,
        "base_asset_amount_with_amm": 400 * 10**9,
    }
    return funding_rates_by_side(at_rate, perp(**{**held, **changed}))


def test_a_long_pays_a_positive_rate_and_a_short_receives_it() -> None:
    # 2.5 base at 0.003 quote
    assert funding_payment(3_000_000, 2_500_000_000) == -7_500
    assert funding_payment(3_000_000, -2_500_000_000) == 7_500
    assert funding_payment(-3_000_000, 2_500_000_000) == 7_500
    assert funding_payment(-3_000_000, -2_500_000_000) == -7_500
    assert funding_payment(1, 10**9) == funding_payment(-1, 10**9) == 0  # 1e-9 quote is no payment at all


def test_when_the_amm_receives_both_sides_have_the_same_rate() -> None:
    assert sides(10_000_000) == (10_000_000, 10_000_000)  # longs pay, and the AMM is short


def test_when_a_third_of_its_equity_covers_the_amms_payment_both_sides_have_the_same_rate() -> None:
    # rate -0.01: the AMM pays 400 * 0.01 = 4, a third of 12
    assert sides(-10_000_000, total_fee_minus_distributions=12_000_000) == (-10_000_000, -10_000_000)
    # a third of 11.999999 is 3.999999: longs get 6 + 3.999999, less the 1e-6 of the program's rounding, over 1000
    assert sides(-10_000_000, total_fee_minus_distributions=11_999_999) == (-9_999_998, -10_000_000)


def test_the_receiving_longs_get_what_shorts_and_a_third_of_the_equity_cover() -> None:
    # shorts pay 600 * 0.01 = 6, equity of 3 gives 1: 7 less 1e-6 over 1000 base
    assert sides(-10_000_000, total_fee_minus_distributions=3_000_000) == (-6_999_999, -10_000_000)
    assert sides(-10_000_000) == (-5_999_999, -10_000_000)  # no equity: what the shorts pay
    assert sides(-10_000_000, total_fee_minus_distributions=-9_000_000) == (-5_999_999, -10_000_000)  # debts neither


def test_the_receiving_shorts_likewise() -> None:
    turned = {
        "base_asset_amount_long": 600 * 10**9,
        "base_asset_amount_short": -1000 * 10**9,
        "base_asset_amount_with_amm": -400 * 10**9,
    }
    assert sides(10_000_000, **turned, total_fee_minus_distributions=3_000_000) == (10_000_000, 6_999_999)


def test_a_capped_rate_truncates_toward_zero() -> None:
    # shorts pay 6; 5.999999 over 999.9 base is 0.0060005990599..., and the sign does not round it up
    assert sides(-10_000_000, base_asset_amount_long=9_999 * 10**8)[0] == -6_000_599
    assert -(5_999_999 * 10**12) // (9_999 * 10**8) == -6_000_600  # what Python's // would say


def test_nobody_to_receive_means_no_rate() -> None:
    assert sides(-10_000_000, base_asset_amount_long=0) == (0, -10_000_000)


def test_a_rate_of_zero_is_zero_for_both() -> None:
    assert sides(0) == (0, 0)


@st.composite
def held_markets(draw: st.DrawFn) -> PerpMarket:
    longs, shorts = draw(st.integers(0, 10**15)), -draw(st.integers(0, 10**15))
    return perp()._replace(
        base_asset_amount_long=longs,
        base_asset_amount_short=shorts,
        base_asset_amount_with_amm=longs + shorts,
        total_fee_minus_distributions=draw(st.integers(-(10**12), 10**12)),
    )


@settings(max_examples=300, deadline=None)
@given(market=held_markets(), at_rate=st.integers(-(10**9), 10**9))
def test_only_the_receiving_side_is_ever_cut_and_never_turned_around(market: PerpMarket, at_rate: int) -> None:
    long, short = funding_rates_by_side(at_rate, market)
    paying, receiving = (long, short) if at_rate > 0 else (short, long)
    assert paying == at_rate
    assert abs(receiving) <= abs(at_rate)
    assert receiving * at_rate >= 0


@settings(max_examples=300, deadline=None)
@given(market=held_markets(), at_rate=st.integers(-(10**9), 10**9))
def test_nobody_gets_more_than_is_paid_in_and_a_third_of_the_amms_equity(market: PerpMarket, at_rate: int) -> None:
    long, short = funding_rates_by_side(at_rate, market)
    flows = funding_payment(long, market.base_asset_amount_long), funding_payment(short, market.base_asset_amount_short)
    budget = max(0, market.total_fee_minus_distributions) // 3
    assert sum(flows) <= budget + 1  # each flow drops its own fraction of 1e-6


# --- the next settlement ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "wait"),
    [
        (0, 3600),
        (1, 3599),
        (1199, 2401),
        (1200, 2400),  # a third of the period late still settles on the next hour
        (1201, 5999),  # one second more skips it
        (3599, 3601),
    ],
)
def test_funding_settles_on_the_hour_and_a_late_update_skips_one(late: int, wait: int) -> None:
    last = NOW - NOW % HOUR + late
    assert next_funding_ts(perp(last_funding_rate_ts=last)) == last + wait


@pytest.mark.parametrize(
    ("last", "period", "due"), [(7, 1, 8), (10, 2, 12), (11, 2, 14), (11, 3, 15), (10, 3, 12), (12, 3, 15)]
)
def test_short_periods(last: int, period: int, due: int) -> None:
    assert next_funding_ts(perp(last_funding_rate_ts=last, funding_period=period)) == due


@pytest.mark.parametrize("period", [0, -1, 86_401])
def test_without_a_period_there_is_no_next_settlement(period: int) -> None:
    assert next_funding_ts(perp(funding_period=period)) is None


def on_the_hour(last: int, period: int) -> int:
    """The program's rule as the facts give it, which ends: less a period, if the wait is over two."""
    delay = last % period
    wait = period if delay == 0 else 2 * period - delay if delay > period // 3 else period - delay
    return wait - period if wait > 2 * period else wait


@settings(max_examples=300, deadline=None)
@given(last=st.integers(-(2**40), 2**40), period=st.integers(1, 24 * HOUR))
def test_the_whole_rule_of_the_program_in_which_no_wait_is_over_two_periods(last: int, period: int) -> None:
    due = next_funding_ts(perp()._replace(last_funding_rate_ts=last, funding_period=period))
    assert due == last + on_the_hour(last, period)
    assert due % period == 0
    assert 0 < due - last < 2 * period


# --- what keeps funding from settling ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "paused"),
    [("Initialized", True), ("Active", False), ("ReduceOnly", False), ("Settlement", True), ("Delisted", True)],
)
def test_funding_settles_in_active_and_reduce_only_markets(status: str, paused: bool) -> None:
    assert funding_is_paused(perp(status=status), state()) is paused
    assert funding_is_paused(perp(status=status), None) is paused


def test_a_status_that_nobody_knows_does_not_settle() -> None:
    assert funding_is_paused(perp(status=9), state())


@pytest.mark.parametrize("bit", range(8))
def test_one_bit_pauses_a_market_and_one_the_exchange(bit: int) -> None:
    assert funding_is_paused(perp(paused_operations=1 << bit), state()) is (1 << bit == 1)
    assert funding_is_paused(perp(), state(exchange_status=1 << bit)) is (1 << bit == 32)


# --- the estimate -----------------------------------------------------------------------------------------------------

MARK = 100_000_000


def test_a_flat_market_is_estimated_to_pay_the_offset() -> None:
    assert estimated_funding_rates(perp(), reading(), MARK, NOW) == (1_250_125, 1_250_125)


def test_a_premium_over_the_hour_is_estimated_by_the_markets_own_dead_zone_ramp_and_tier() -> None:
    dear = {"last_bid_price_twap": 101_000_000, "last_ask_price_twap": 101_000_000, "last_mark_price_twap": 101_000_000}
    # 1 above, less 0.05, plus 0.030003
    assert estimated_funding_rates(perp(**dear), reading(), MARK, NOW) == (980_003 * 1000 // 24,) * 2
    steep = perp(**dear, funding_ramp_slope=2 * 10**6, funding_clamp_threshold=0)
    assert estimated_funding_rates(steep, reading(), MARK, NOW) == (2_030_003 * 1000 // 24,) * 2
    steeper = steep._replace(funding_ramp_slope=10**7)
    assert estimated_funding_rates(steeper, reading(), MARK, NOW) == (100_000_000 // 33 * 1000 // 24,) * 2


def test_an_estimate_is_cut_for_the_side_that_would_receive_too_much() -> None:
    cheap = perp(
        last_bid_price_twap=99_000_000,
        last_ask_price_twap=99_000_000,
        base_asset_amount_long=1000 * 10**9,
        base_asset_amount_short=-600 * 10**9,
        base_asset_amount_with_amm=400 * 10**9,
    )
    at = int(Fraction((-950_000 + 30_003) * 1000, 24))
    long, short = estimated_funding_rates(cheap, reading(), MARK, NOW) or (0, 0)
    assert short == at
    assert at < long < 0


@pytest.mark.parametrize(
    "market",
    [
        {"funding_period": 0},
        {"funding_period": -3600},
        {"funding_period": 86_401},  # the program would divide by zero
        {"base_asset_reserve": 0},
        {"last_oracle_price_twap": -1},
    ],
)
def test_where_the_program_would_settle_nothing_there_is_no_estimate(market: dict[str, int]) -> None:
    assert estimated_funding_rates(perp(**market), reading(), MARK, NOW) is None


def test_without_a_price_there_is_no_estimate() -> None:
    for price in (0, -5):
        assert estimated_funding_rates(perp(), reading(price), MARK, NOW) is None
    assert estimated_funding_rates(perp(), reading(), 0, NOW) is None


@settings(max_examples=200, deadline=None)
@given(
    oracle=st.integers(80_000_000, 120_000_000),
    after=st.integers(0, 2 * HOUR),
    bid=st.integers(80_000_000, 100_000_000),
    ask=st.integers(100_000_000, 120_000_000),
    tier=st.sampled_from(sorted(TIERS)),
)
def test_an_estimate_is_within_the_tiers_cap(oracle: int, after: int, bid: int, ask: int, tier: str) -> None:
    market = perp(contract_tier=tier, last_bid_price_twap=bid, last_ask_price_twap=ask, long_spread=500)
    estimate = estimated_funding_rates(market, reading(oracle), MARK, NOW + after)
    assume(estimate is not None)
    assert estimate is not None
    assert abs(estimate[0]) <= 160_000_000 // TIERS[tier] * 1000 // 24
    assert estimate[0] == estimate[1]  # nobody holds anything
