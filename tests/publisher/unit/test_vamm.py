"""Bid, ask and mark: driftpy's formulas in exact integers, on any state that the program could be in."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any

import driftpy.math.amm
import driftpy.math.repeg
import pytest
from driftpy.types import PositionDirection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.integers import clamp
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.spread import inventory_ratio, reference_offset
from drift_publisher.profiles.drift_v2.vamm import bid_ask_price
from drift_publisher.projection import Quote, quote

from .accounts import NOW, decode, perp, perp_bytes, real_accounts
from .amm_states import AmmState, amm_states, oracle_data
from .exact_driftpy import adjust_k_cost, exact, set_time

slow_to_draw = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def ours(state: AmmState) -> tuple[int, int] | None:
    return bid_ask_price(state.market, state.oracle, state.now)


def exactly(state: AmmState) -> tuple[int, int] | None:
    """Driftpy's formula without its floats; where it divides by zero there is no price."""
    set_time(state.now)
    try:
        prices: tuple[int, int] = exact("calculate_bid_ask_price")(
            state.theirs.amm, state.their_oracle, is_prediction=state.is_prediction
        )
    except ZeroDivisionError:
        return None
    return prices


def theirs(state: AmmState, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Driftpy as it is."""
    monkeypatch.setattr(driftpy.math.amm.time, "time", lambda: state.now)
    prices: tuple[float, float] = driftpy.math.amm.calculate_bid_ask_price(
        state.theirs.amm, state.their_oracle, is_prediction=state.is_prediction
    )
    return prices


def lowers_k(state: AmmState) -> bool:
    """Whether the fees don't pay for following the oracle, so that the AMM makes its curve shallower."""
    if state.market.curve_update_intensity == 0:
        return False
    numerator: int = exact("calculate_new_amm")(state.theirs.amm, state.their_oracle)[1]
    return numerator != 1


@settings(slow_to_draw, max_examples=400)
@given(state=amm_states())
def test_any_market_is_quoted_by_driftpys_formula_exactly(state: AmmState) -> None:
    assert ours(state) == exactly(state)


@settings(slow_to_draw, max_examples=150)
@given(state=amm_states(prediction=True))
def test_any_prediction_market_is_quoted_by_driftpys_formula_exactly(state: AmmState) -> None:
    assert ours(state) == exactly(state)


@settings(slow_to_draw, max_examples=100)
@given(state=amm_states(flat=True))
def test_an_amm_without_a_position_is_quoted_by_driftpys_formula_exactly(state: AmmState) -> None:
    assert ours(state) == exactly(state)


@settings(slow_to_draw, max_examples=300)
@given(state=amm_states(shifted=True))
def test_quotes_that_follow_a_small_premium_are_driftpys_exactly(state: AmmState) -> None:
    assert ours(state) == exactly(state)


def _compare_with_driftpy(state: AmmState, bound: Callable[[int], int]) -> None:
    prices = ours(state)
    if prices is None or lowers_k(state):
        return
    with pytest.MonkeyPatch.context() as patch:
        for price, other in zip(prices, theirs(state, patch), strict=True):
            assert abs(price - other) <= bound(price)


@settings(slow_to_draw, max_examples=200, derandomize=True)
@given(state=amm_states())
def test_driftpy_itself_is_at_most_one_unit_off(state: AmmState) -> None:
    """Its peg is a float (``// 1.0``), so that its prices are: off by one where the last digit is lost."""
    _compare_with_driftpy(state, lambda _: 1)


@settings(slow_to_draw, max_examples=100, derandomize=True)
@given(state=amm_states(prediction=True))
def test_driftpy_is_further_off_for_prediction_markets(state: AmmState) -> None:
    """Its bounds for a price between 0 and 1 use a real square root, the program's an integer one plus one."""
    root = isqrt(state.market.peg_multiplier * 10**6)
    _compare_with_driftpy(state, lambda price: 2 + 2 * price // root)


def test_prediction_bounds_are_the_programs_integers() -> None:
    # peg 0.25: the root of 0.25 at 1e-6 is 500000 and the program adds one; curve in balance at k = 1e15.
    state = perp(
        contract_type="Prediction",
        peg_multiplier=250_000,
        last_oracle_price_twap=250_000,
        base_spread=600_000,
        max_spread=900_000,
        curve_update_intensity=0,
    )
    market = decode(perp_bytes(peg_multiplier=250_000))
    # upper for asks: 1e15 * 500001 // 250000; for bids 97.467 % of it; lower for asks 22.361 %
    assert exact("get_quote_asset_reserve_prediction_market_bounds")(market.amm, PositionDirection.Long()) == (
        10**15 * 22_361 * 500_001 // 100_000 // 250_000,
        2_000_004_000_000_000,
    )
    # Half the base spread up and half of that again on the quote reserve: 1e15 + 1e15 // (1e6 // 150000) = 1.1666e15
    quote_reserve = 10**15 + 10**15 // 6
    ask = quote_reserve * 250_000 // (10**30 // quote_reserve)
    assert bid_ask_price(state, OraclePrice(250_000, 0, 0), NOW) == (
        (10**15 - 10**15 // 6) * 250_000 // (10**30 // (10**15 - 10**15 // 6)),
        ask,
    )


def test_a_prediction_market_never_asks_less_than_five_cents() -> None:
    # peg 0.02: its root at 1e-6 is 141421, and one more; 0.22361 squared is 0.05
    quote_reserve = 10**15 * 22_361 * 141_422 // 100_000 // 20_000
    market = perp(contract_type="Prediction", peg_multiplier=20_000, curve_update_intensity=0)
    quoted = bid_ask_price(market, OraclePrice(20_000, 0, 0), NOW)
    assert quoted == (19_998, quote_reserve * 20_000 // (10**30 // quote_reserve)) == (19_998, 50_001)


def test_real_markets_are_quoted_by_driftpys_formula_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = 0
    for account_id, data in real_accounts("PerpMarket").items():
        market, decoded = DRIFT_V2.perp_market.read(data), decode(data)
        now = max(market.last_mark_price_twap_ts, market.last_oracle_price_twap_ts) + 5
        for percent in (70, 85, 95, 99, 100, 101, 105, 115, 130):
            oracle = OraclePrice(
                market.last_oracle_price_twap * percent // 100, market.last_oracle_price_twap // 1000, 0
            )
            state = AmmState(market, decoded, oracle, now)
            if oracle.price <= 0:
                assert ours(state) is None
                continue
            assert ours(state) == exactly(state), (account_id, percent)
            quoted += 1
            if not state.is_prediction and not lowers_k(state):
                assert ours(state) == theirs(state, monkeypatch), (account_id, percent)
    assert quoted >= 40


# --- where driftpy is wrong -------------------------------------------------------------------------------------------

STRETCHED: dict[str, Any] = {
    "base_asset_reserve": 10**12,
    "quote_asset_reserve": 10**12,
    "sqrt_k": 10**12,
    "peg_multiplier": 100_000_000,
    "base_spread": 0,
    "max_spread": 500_000,
    "total_fee_minus_distributions": 0,
}
"""A market at 100 with nothing in its fee pool, so that following the oracle must be paid with a smaller k."""


def _stretched(position: int) -> dict[str, Any]:
    terminal = 10**24 // (10**12 + position)
    return {**STRETCHED, "base_asset_amount_with_amm": position, "terminal_quote_asset_reserve": terminal}


@pytest.mark.parametrize(
    ("position", "before", "after"),
    [
        # Closing 100 base longs on 1000 against 1000 at 100 gives 1000 * 100 * 100 / 1100 in quote, and with 0.1 % less
        # depth 999 * 100 * 100 / 1099; for shorts the same with 900 and 899.
        (10**11, 9_090_909_090, 9_090_081_892),
        (-(10**11), 11_111_111_111, 11_112_347_052),
    ],
)
def test_driftpy_misplaces_a_bracket_in_the_cost_of_k(position: int, before: int, after: int) -> None:
    amm = decode(perp_bytes(**_stretched(position))).amm
    assert abs(adjust_k_cost(amm, 999, 1000)) in (abs(after - before), abs(after - before) - 1)
    assert adjust_k_cost(amm, 999, 1000) == -(827_198 if position > 0 else 1_235_941)
    wrong = driftpy.math.repeg.calculate_adjust_k_cost(amm, 999, 1000)
    assert abs(wrong) > 10**21
    assert (wrong > 0) == (position < 0)


def test_a_curve_that_cannot_pay_follows_the_oracle_as_far_as_a_smaller_k_pays() -> None:
    """By hand: 0.1 % less depth frees 0.827198; a unit of peg costs (999 - 999²/1099) / 1e3 = 0.09090082 per 1e-6,
    so the peg moves from 100 by 827198e6 // 90900819 = 9100 to 100.0091, and without spreads so do bid and ask.
    """
    market = perp(**_stretched(10**11))
    assert 10**12 * 999 // 1000 - (999 * 10**9) ** 2 // (1099 * 10**9) == 90_900_818_927
    assert 827_198 * 10**6 // (90_900_818 + 1) == 9_100
    assert bid_ask_price(market, OraclePrice(110_000_000, 0, 0), NOW) == (100_009_100, 100_009_100)

    absurd, _ = driftpy.math.amm.calculate_bid_ask_price(
        decode(perp_bytes(**_stretched(10**11))).amm, oracle_data(OraclePrice(110_000_000, 0, 0))
    )
    assert absurd > 10**20


def test_driftpy_cannot_price_a_net_short_market_that_cannot_pay() -> None:
    market, decoded = perp(**_stretched(-(10**11))), decode(perp_bytes(**_stretched(-(10**11))))
    down = OraclePrice(90_000_000, 0, 0)
    with pytest.raises(AssertionError, match="deficit should be lte 0"):
        driftpy.math.amm.calculate_bid_ask_price(decoded.amm, oracle_data(down))
    # 0.1 % less depth frees 1.235941; the peg moves by 1235941e6 // -111123472 = -11123
    assert bid_ask_price(market, down, NOW) == (99_988_877, 99_988_877)


def test_driftpy_cannot_price_a_market_whose_amm_holds_nothing() -> None:
    decoded, oracle = decode(perp_bytes()), OraclePrice(101_000_000, 0, 0)
    with pytest.raises(AssertionError, match="swap_amount must be gte 0"):
        driftpy.math.amm.calculate_bid_ask_price(decoded.amm, oracle_data(oracle))
    assert bid_ask_price(perp(), oracle, NOW) == (100_989_900, 101_010_100)  # base spread 2 bp


def test_a_budget_is_never_spent_on_a_peg_that_costs_nothing() -> None:
    market = perp(base_spread=0)
    for price in (70_000_000, 100_000_000, 130_000_000):
        assert bid_ask_price(market, OraclePrice(price, 0, 0), NOW) == (price, price)


# --- no price ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [0, -1, -100_000_000])
def test_an_oracle_price_that_is_not_positive_gives_no_quote(price: int) -> None:
    assert bid_ask_price(perp(), OraclePrice(price, 0, 0), NOW) is None


@pytest.mark.parametrize("emptied", ["base_asset_reserve", "quote_asset_reserve", "sqrt_k", "peg_multiplier"])
@pytest.mark.parametrize("intensity", [0, 100, 200])
def test_empty_reserves_give_no_quote(emptied: str, intensity: int) -> None:
    market = perp(**{emptied: 0}, curve_update_intensity=intensity)
    assert bid_ask_price(market, OraclePrice(100_000_000, 0, 0), NOW) is None


EXTREMES = st.dictionaries(
    st.sampled_from([name for name, value in perp()._asdict().items() if isinstance(value, int)]),
    st.sampled_from([0, 1, 2**31 - 1, 2**63 - 1]),
    max_size=4,
)


@settings(slow_to_draw, max_examples=400)
@given(state=amm_states(), extremes=EXTREMES)
def test_whatever_stands_in_an_account_nothing_raises(state: AmmState, extremes: dict[str, Any]) -> None:
    market = state.market._replace(**extremes)
    prices = bid_ask_price(market, state.oracle, state.now)
    assert prices is None or min(prices) >= 0


def test_a_position_as_deep_as_the_curve_gives_no_quote() -> None:
    market = perp(base_asset_amount_with_amm=-(10**15))
    assert bid_ask_price(market, OraclePrice(100_000_000, 0, 0), NOW) is None


def test_without_an_oracle_there_is_no_quote() -> None:
    assert quote(perp(), None, DRIFT_V2.rules, NOW) is None


def test_the_mark_is_the_middle_rounded_down() -> None:
    assert Quote(100, 103).mark == 101
    assert Quote(100_989_900, 101_010_100).mark == 101_000_000
    quoted = quote(perp(), OraclePrice(101_000_000, 0, 0), DRIFT_V2.rules, NOW)
    assert quoted == Quote(100_989_900, 101_010_100)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_clamp() -> None:
    assert [clamp(value, -2, 3) for value in (-3, -2, 0, 3, 4)] == [-2, -2, 0, 3, 3]


@pytest.mark.parametrize(
    ("position", "liquidity", "ratio"),
    [
        (0, 100, 0),
        (25, 100, 250_000),
        (100, 100, 1_000_000),
        (500, 100, 1_000_000),
        (1, 0, 1_000_000),
        (-25, 100, 250_000),
    ],
)
def test_inventory_is_measured_against_the_liquidity_left(position: int, liquidity: int, ratio: int) -> None:
    assert inventory_ratio(position, liquidity) == ratio


def offset_of(**changed: Any) -> int:
    """Reference offset of a market whose longs pay a lasting premium of 1 %, a quarter of its inventory used."""
    market = perp(
        **{
            "curve_update_intensity": 200,
            "last_24h_avg_funding_rate": 1_000_000_000 // 24,
            "last_mark_price_twap": 101_000_000,
            "last_mark_price_twap_5min": 101_000_000,
            "base_asset_amount_with_amm": 10**14,
            "min_base_asset_reserve": 6 * 10**14,
            "max_base_asset_reserve": 14 * 10**14,
            "max_spread": 40_000,
            **changed,
        }
    )
    return reference_offset(market, 10**15, 100_000_000)


def test_a_lasting_premium_shifts_both_quotes_up_to_half_the_maximal_spread() -> None:
    assert offset_of() == 20_000
    assert offset_of(max_spread=4_000) == 10_000  # at intensity 200 always at least 1 %
    assert offset_of(max_spread=4_000, curve_update_intensity=150) == 2_000
    assert offset_of(curve_update_intensity=101) == 100
    assert offset_of(curve_update_intensity=100) == 0


def test_no_shift_against_the_inventory_or_without_a_funding_rate() -> None:
    assert offset_of(base_asset_amount_with_amm=-(10**14)) == 0
    assert offset_of(base_asset_amount_with_amm=0) == 0
    assert offset_of(last_24h_avg_funding_rate=0) == 0


def test_inventory_within_the_deadband_does_not_shift() -> None:
    assert offset_of(reference_price_offset_deadband_pct=25) == 0
    assert offset_of(reference_price_offset_deadband_pct=24) > 0


def test_a_shift_that_changes_sides_moves_there_in_small_steps_with_wider_spreads_meanwhile() -> None:
    """By hand: wanted is +1 %, before was -0.05 %: ten units on, -490, and both sides widen by what is missing."""
    base: dict[str, Any] = {
        "curve_update_intensity": 200,
        "last_24h_avg_funding_rate": 1_000_000_000 // 24,
        "last_mark_price_twap": 101_000_000,
        "last_mark_price_twap_5min": 101_000_000,
        "base_asset_amount_with_amm": 10**13,
        "terminal_quote_asset_reserve": 10**30 // (10**15 + 10**13),
        "base_spread": 2_000,
        "total_fee_minus_distributions": 10**18,
    }
    oracle = OraclePrice(100_000_000, 0, 0)
    settled = bid_ask_price(perp(**base, reference_price_offset=1), oracle, NOW)
    moving = bid_ask_price(perp(**base, reference_price_offset=-500), oracle, NOW)
    assert settled is not None
    assert settled[0] > 100_000_000  # both quotes lie above the price
    assert moving is not None
    assert moving[0] < 100_000_000 < moving[1]
    for offset in (1, -500):
        set_time(NOW)
        amm = decode(perp_bytes(**base, reference_price_offset=offset)).amm
        expected = exact("calculate_bid_ask_price")(amm, oracle_data(oracle))
        assert bid_ask_price(perp(**base, reference_price_offset=offset), oracle, NOW) == expected
    # bid: 1000 wider by 10, shifted by -490: 1500 below, of which half goes on the quote reserve
    assert moving[0] == 10**15 * 100_000_000 * (1 - Fraction(1, 10**6 // 750)) ** 2 // 10**15
