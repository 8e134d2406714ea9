"""Funding: cases worked by hand, the program's truncation, and TWAPs brought to now as driftpy brings them."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import driftpy.math.funding
import pytest
from driftpy.math.utils import time_remaining_until_update
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.funding import (
    estimated_funding_rates,
    funding_is_paused,
    funding_rate,
    funding_rates_by_side,
    live_twaps,
)
from drift_publisher.profiles.drift_v2.records import PerpMarket
from drift_publisher.projection import Quote
from drift_publisher.settlements import next_funding_ts

from .accounts import NOW, perp, state_bytes
from .amm_states import AmmState, amm_states
from .events import funding_event

slow_to_draw = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
HOUR = 3600
TIERS = ("A", "B", "C", "Speculative", "HighlySpeculative", "Isolated")


def settled(last: int, period: int) -> PerpMarket:
    """A market that settled last at this time."""
    return perp(last_funding_rate_ts=last, funding_period=period)


def rate(mark_twap: int, oracle_twap: int, tier: str = "A", period: int = HOUR) -> int:
    return funding_rate(mark_twap, oracle_twap, tier=tier, period=period)


# --- the rate ---------------------------------------------------------------------------------------------------------


def test_a_flat_market_pays_the_constant_offset() -> None:
    # 100 / 5000 = 0.02 quote a day over 24 hours: 0.000833333 an hour, 7.3 % a year
    assert rate(100_000_000, 100_000_000) == 20_000 * 1000 // 24 == 833_333


def test_a_discount_of_the_offsets_size_costs_nobody_anything() -> None:
    assert rate(99_980_000, 100_000_000) == 0


def test_a_premium_is_spread_over_a_day() -> None:
    # (0.24 + 0.02) / 24
    assert rate(100_240_000, 100_000_000) == 260_000 * 1000 // 24 == 10_833_333


def test_the_twaps_of_sol_at_85() -> None:
    # 1 e-4 of 85 an hour: 85.187 against 85 is 0.187 + 0.017 = 0.204 a day
    assert rate(85_187_000, 85_000_000) == 8_500_000


def test_negative_rates_truncate_toward_zero() -> None:
    # 0.020001 below, 0.02 offset: -0.000001 a day is -41.67 an hour
    assert rate(99_979_999, 100_000_000) == -41
    assert -1000 // 24 == -42  # what Python's // would say
    assert rate(99_900_000, 100_000_000) == -3_333_333
    assert rate(100_060_000, 100_000_000) == 3_333_333


@pytest.mark.parametrize(
    ("tier", "denominator"),
    [
        ("A", 33),
        ("B", 33),
        ("C", 20),
        ("Speculative", 10),
        ("HighlySpeculative", 10),
        ("Isolated", 10),
        ("Unknown(9)", 10),
    ],
)
def test_the_rate_is_capped_by_contract_tier(tier: str, denominator: int) -> None:
    cap = 100_000_000 // denominator
    assert rate(150_000_000, 100_000_000, tier) == cap * 1000 // 24
    assert rate(50_000_000, 100_000_000, tier) == -(cap * 1000 // 24)
    # the cap holds for premium and offset together, and its edge is not beyond it
    assert rate(100_000_000 + cap - 20_000, 100_000_000, tier) == cap * 1000 // 24
    assert rate(100_000_000 + cap - 20_024, 100_000_000, tier) == (cap - 24) * 1000 // 24


@pytest.mark.parametrize(
    ("period", "parts_of_a_day"),
    [(1, 24), (60, 24), (3599, 24), (3600, 24), (7200, 12), (28_800, 3), (86_400, 1), (5000, 17)],
)
def test_periods_longer_than_an_hour_pay_for_all_of_their_time(period: int, parts_of_a_day: int) -> None:
    assert rate(100_240_000, 100_000_000, period=period) == 260_000_000 // parts_of_a_day


@given(
    mark=st.integers(1, 10**12),
    oracle=st.integers(1, 10**12),
    tier=st.sampled_from(TIERS),
    period=st.sampled_from([60, 3600, 28_800]),
)
@settings(max_examples=200, deadline=None)
def test_the_formula_of_the_program(mark: int, oracle: int, tier: str, period: int) -> None:
    cap = oracle // {"A": 33, "B": 33, "C": 20}.get(tier, 10)
    spread = mark - oracle + oracle // 5000
    clamped = -cap if spread < -cap else min(spread, cap)
    assert rate(mark, oracle, tier, period) == int(Fraction(clamped * 1000, 86_400 // max(3600, period)))


# --- who pays and who receives ----------------------------------------------------------------------------------------


def sides(at_rate: int, **changed: int) -> tuple[int, int]:
    """1000 base long, 600 short, so that the AMM holds 400 of the shorts; a market of 100."""
    market = perp(
        **{
            "base_asset_amount_long": 1000 * 10**9,
            "base_asset_amount_short": -600 * 10**9,
            "base_asset_amount_with_amm": 400 * 10**9,
            "total_fee_minus_distributions": 0,
            "total_exchange_fee": 0,
            **changed,
        }
    )
    return funding_rates_by_side(at_rate, market)


def test_when_the_amm_receives_both_sides_have_the_same_rate() -> None:
    assert sides(10_000_000) == (10_000_000, 10_000_000)  # longs pay, and the AMM is short


def test_when_fees_cover_the_amms_payment_both_sides_have_the_same_rate() -> None:
    # rate -0.01: the AMM pays 400 * 0.01 = 4; a third of the pool is exactly that
    assert sides(-10_000_000, total_fee_minus_distributions=12_000_000) == (-10_000_000, -10_000_000)


def test_the_receiving_longs_get_what_shorts_and_a_third_of_the_fees_cover() -> None:
    # shorts pay 600 * 0.01 = 6, the pool of 3 gives 1: 7 less the 1e-6 of rounding over 1000 base
    assert sides(-10_000_000, total_fee_minus_distributions=3_000_000) == (-(7_000_000 - 1), -10_000_000)
    # an empty pool: just what the shorts pay
    assert sides(-10_000_000) == (-(6_000_000 - 1), -10_000_000)


def test_the_receiving_shorts_likewise() -> None:
    long, short = sides(
        10_000_000,
        base_asset_amount_long=600 * 10**9,
        base_asset_amount_short=-1000 * 10**9,
        base_asset_amount_with_amm=-400 * 10**9,
        total_fee_minus_distributions=3_000_000,
    )
    assert (long, short) == (10_000_000, 6_999_999)


def test_the_edge_of_a_third_of_the_pool() -> None:
    # the AMM pays 4; 11.999999 // 3 is 3.999999: longs get 6 + 3.999999, less 1e-6, over 1000
    assert sides(-10_000_000, total_fee_minus_distributions=11_999_999) == (-9_999_998, -10_000_000)


def test_the_fee_pool_is_what_exceeds_half_the_exchange_fees_and_the_liquidation_fees_not_yet_withdrawn() -> None:
    pool = {"total_fee_minus_distributions": 18_000_000, "total_exchange_fee": 10_000_000}
    assert sides(-10_000_000, **pool) == (-10_000_000, -10_000_000)  # 18 - 5 = 13, a third is more than 4
    assert sides(-10_000_000, **pool, total_liquidation_fee=10_000_000) == (-6_999_999, -10_000_000)  # 3
    assert sides(-10_000_000, **pool, total_liquidation_fee=10_000_000, total_fee_withdrawn=9_000_000) == (
        -10_000_000,
        -10_000_000,
    )  # 12
    assert sides(-10_000_000, total_fee_minus_distributions=-5_000_000) == (-5_999_999, -10_000_000)  # never below 0


def test_nobody_to_receive_means_no_rate() -> None:
    assert sides(-10_000_000, base_asset_amount_long=0) == (0, -10_000_000)


def test_a_rate_of_zero_is_zero_for_both() -> None:
    assert sides(0) == (0, 0)


@settings(slow_to_draw, max_examples=150)
@given(state=amm_states(), at_rate=st.integers(-(10**9), 10**9))
def test_only_the_receiving_side_is_ever_cut_and_never_turned_around(state: AmmState, at_rate: int) -> None:
    market = state.market._replace(
        base_asset_amount_with_amm=state.market.base_asset_amount_long + state.market.base_asset_amount_short
    )
    long, short = funding_rates_by_side(at_rate, market)
    paying, receiving = (long, short) if at_rate > 0 else (short, long)
    assert paying == at_rate
    assert abs(receiving) <= abs(at_rate)
    assert receiving * at_rate >= 0


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
    last = 1_700_000_400 - 1_700_000_400 % HOUR + late
    assert next_funding_ts(settled(last, HOUR)) == last + wait
    assert time_remaining_until_update(last, last, HOUR) == wait


@pytest.mark.parametrize(
    ("last", "period", "due"), [(7, 1, 8), (10, 2, 12), (11, 2, 14), (11, 3, 15), (10, 3, 12), (12, 3, 15)]
)
def test_short_periods(last: int, period: int, due: int) -> None:
    assert next_funding_ts(settled(last, period)) == due


@pytest.mark.parametrize("period", [0, -1])
def test_without_a_period_there_is_no_next_settlement(period: int) -> None:
    assert next_funding_ts(settled(1_700_000_000, period)) is None


@given(last=st.integers(0, 2**40), period=st.integers(1, 24 * HOUR))
@settings(max_examples=300, deadline=None)
def test_the_next_settlement_is_driftpys(last: int, period: int) -> None:
    due = next_funding_ts(settled(last, period))
    assert due is not None
    assert due == last + time_remaining_until_update(last, last, period)
    assert due % period == 0 or period == 1
    assert 2 * period // 3 <= due - last <= 2 * period


# --- live TWAPs and the estimate --------------------------------------------------------------------------------------


def all_estimates(state: AmmState, mark: int) -> tuple[Any, ...]:
    """Driftpy's (mark TWAP, oracle TWAP, lower bound, capped estimate, estimate)."""
    found: tuple[Any, ...] = asyncio.run(
        driftpy.math.funding.calculate_all_estimated_funding_rate(state.theirs, state.their_oracle, mark, state.now)
    )
    return found


@settings(slow_to_draw, max_examples=200)
@given(state=amm_states(), mark_permille=st.integers(900, 1100))
def test_twaps_are_brought_to_now_as_driftpy_brings_them(state: AmmState, mark_permille: int) -> None:
    mark = max(1, state.oracle.price * mark_permille // 1000)
    assert live_twaps(state.market, state.oracle.price, mark, state.now) == all_estimates(state, mark)[:2]


@settings(slow_to_draw, max_examples=200)
@given(state=amm_states(), mark_permille=st.integers(900, 1100))
def test_the_symmetric_estimate_is_driftpys_in_its_coarse_unit(state: AmmState, mark_permille: int) -> None:
    """``interp_est`` is percent of the oracle TWAP an hour, 1e-6 (1e-8 as a fraction), whatever the period.

    Both truncate: one unit of driftpy's, and one of ours (1e-9 quote over the TWAP).
    """
    market = state.market._replace(funding_period=HOUR)
    state.theirs.amm.funding_period = HOUR
    mark = max(1, state.oracle.price * mark_permille // 1000)
    mark_twap, oracle_twap, _, _, percent = all_estimates(state, mark)
    ours = rate(mark_twap, oracle_twap, market.contract_tier)
    in_their_unit = Fraction(ours, 1000 * oracle_twap) * 10**8
    assert abs(in_their_unit - percent) <= 1 + Fraction(10**5, oracle_twap)


def test_a_market_with_a_period_of_five_minutes_keeps_its_own_twap() -> None:
    """Driftpy takes the five-minute TWAP instead when the funding period happens to be 300 s; the program does not."""
    market = perp(funding_period=300, last_oracle_price_twap=100_000_000, last_oracle_price_twap_5min=50_000_000)
    assert live_twaps(market, 100_000_000, 100_000_000, NOW + 30) == (100_000_000, 100_000_000)


def test_by_hand_a_quarter_hour_of_a_higher_oracle() -> None:
    market = perp()  # both TWAPs at 100, updated now
    mark_twap, oracle_twap = live_twaps(market, 104_000_000, 104_000_000, NOW + 900)
    assert oracle_twap == (100_000_000 * 2700 + 104_000_000 * 900) // 3600 == 101_000_000
    assert mark_twap == (100_000_000 * 3600 + 104_000_000 * 900) // 4500 == 100_800_000


def test_an_oracle_jump_counts_a_third_at_most() -> None:
    _, oracle_twap = live_twaps(perp(), 900_000_000, 100_000_000, NOW + 3600)
    assert oracle_twap == 100_000_000 + 33_333_333


def estimate(market: Any, oracle_price: int = 100_000_000, mark: int = 100_000_000, now: int = NOW) -> Any:
    return estimated_funding_rates(market, OraclePrice(oracle_price, 0, 0), mark, now)


def test_the_estimate_is_the_rate_of_the_live_twaps() -> None:
    assert estimate(perp()) == (833_333, 833_333)
    # by hand, a quarter hour on: 100.8 against 101 with an offset of 0.0202 is -0.1798 a day
    assert estimate(perp(), 104_000_000, 104_000_000, NOW + 900) == (-7_491_666, -7_491_666)


def test_there_is_no_estimate_without_a_period_or_a_positive_twap() -> None:
    assert estimate(perp(funding_period=0)) is None
    assert estimate(perp(last_oracle_price_twap=0)) is None
    assert estimate(perp(last_oracle_price_twap=-100_000_000), now=NOW + 900) is None


@settings(slow_to_draw, max_examples=150)
@given(state=amm_states(), mark_permille=st.integers(900, 1100))
def test_an_estimate_on_any_state_lies_within_the_tiers_cap(state: AmmState, mark_permille: int) -> None:
    mark = max(1, state.oracle.price * mark_permille // 1000)
    market = state.market._replace(
        base_asset_amount_with_amm=state.market.base_asset_amount_long + state.market.base_asset_amount_short
    )
    found = estimated_funding_rates(market, state.oracle, mark, state.now)
    _, oracle_twap = live_twaps(market, state.oracle.price, mark, state.now)
    hours = max(1, market.funding_period // HOUR)
    assert found is not None
    assert max(map(abs, found)) <= oracle_twap // 10 * 1000 * hours // 24


# --- in the event -----------------------------------------------------------------------------------------------------


def test_without_an_oracle_or_a_quote_the_event_has_no_estimate() -> None:
    oracle, quoted = OraclePrice(100_000_000, 0, 0), Quote(100_000_000, 100_000_000)
    with_both = funding_event(perp(), oracle, quoted, None)
    assert (with_both.estimated_funding_rate_long, with_both.estimated_funding_rate_short) == (833_333, 833_333)
    for price, prices in ((None, quoted), (oracle, None), (None, None)):
        event = funding_event(perp(), price, prices, None)
        assert event.estimated_funding_rate_long is event.estimated_funding_rate_short is None


@pytest.mark.parametrize(
    ("status", "paused"),
    [
        ("Initialized", True),
        ("Active", False),
        ("FundingPaused", True),
        ("AmmPaused", False),
        ("FillPaused", False),
        ("WithdrawPaused", False),
        ("ReduceOnly", False),
        ("Settlement", True),
        ("Delisted", True),
    ],
)
def test_the_markets_status_may_pause_funding(status: str, paused: bool) -> None:
    assert funding_is_paused(perp(status=status), None) is paused


def test_every_bit_but_the_funding_bits_leaves_funding_running() -> None:
    state = DRIFT_V2.state.read(state_bytes())
    assert [bit for bit in range(8) if funding_is_paused(perp(paused_operations=1 << bit), state)] == [0]
    paused = [
        bit for bit in range(8) if funding_is_paused(perp(), DRIFT_V2.state.read(state_bytes(exchange_status=1 << bit)))
    ]
    assert paused == [5]
