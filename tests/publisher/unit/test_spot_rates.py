"""Spot rates: driftpy's formulas in exact integers, with the program's rounding where driftpy goes through floats.

Source of the rounding: drift-labs/protocol-v2, ``programs/drift/src/math/spot_balance.rs``.
"""

from __future__ import annotations

from typing import Any

import driftpy.math.spot_balance as driftpy_balance
import pytest
from driftpy.math.spot_market import get_token_amount
from driftpy.types import SpotBalanceType
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import SpotRates
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.spot_rates import token_amounts

from .accounts import decode, real_accounts, spot, spot_bytes
from .exact_driftpy import exact

spot_rates = DRIFT_V2.rules.spot_rates


@st.composite
def spot_accounts(draw: st.DrawFn, largest_balance: int = 10**22) -> bytes:
    """Bytes of a spot market: any use from none to more than all, any sound curve."""
    optimal = draw(st.integers(1, 850_000))
    optimal_rate = draw(st.integers(0, 2_000_000))
    deposits = draw(st.integers(0, largest_balance))
    return spot_bytes(
        decimals=draw(st.integers(5, 9)),
        deposit_balance=deposits,
        borrow_balance=deposits * draw(st.integers(0, 1050)) // 1000 + draw(st.sampled_from([0, 0, 1, 10**6])),
        cumulative_deposit_interest=draw(st.integers(10**10, 10**11)),
        cumulative_borrow_interest=draw(st.integers(10**10, 10**11)),
        optimal_utilization=optimal,
        optimal_borrow_rate=optimal_rate,
        max_borrow_rate=optimal_rate + draw(st.integers(0, 10**7)),
        min_borrow_rate=draw(st.integers(0, 255)),
        insurance_fund_total_factor=draw(st.integers(0, 10**6)),
    )


def exactly(decoded: Any) -> SpotRates:
    """Driftpy's formulas without its floats."""
    return SpotRates(
        exact("calculate_utilization")(decoded),
        exact("calculate_deposit_rate")(decoded),
        exact("calculate_borrow_rate")(decoded),
    )


@settings(max_examples=300, deadline=None)
@given(data=spot_accounts())
def test_any_market_has_driftpys_rates_exactly(data: bytes) -> None:
    market, decoded = DRIFT_V2.spot_market.read(data), decode(data)
    assert spot_rates(market) == exactly(decoded)
    assert token_amounts(market) == (
        exact("get_token_amount")(decoded.deposit_balance, decoded, SpotBalanceType.Deposit()),
        get_token_amount(decoded.borrow_balance, decoded, SpotBalanceType.Borrow()),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=spot_accounts(largest_balance=10**15))
def test_driftpy_itself_agrees_while_its_floats_hold_the_amounts(data: bytes) -> None:
    """Up to 2**53 tokens of the smallest unit; beyond, its utilization is off by one in places."""
    market, decoded = DRIFT_V2.spot_market.read(data), decode(data)
    assert abs(spot_rates(market).utilization - driftpy_balance.calculate_utilization(decoded)) <= 1


def test_driftpy_loses_tokens_of_a_large_deposit_to_a_float() -> None:
    balance = 9_007_199_254_740_993 * 10**3  # 2**53 + 1, at six decimals
    changed: dict[str, Any] = {"deposit_balance": balance, "cumulative_deposit_interest": 10**10, "decimals": 6}
    decoded = decode(spot_bytes(**changed))
    assert token_amounts(spot(**changed))[0] == 2**53 + 1
    assert get_token_amount(balance, decoded, SpotBalanceType.Deposit()) == 2**53


def test_real_markets_have_driftpys_rates_exactly() -> None:
    for account_id, data in real_accounts("SpotMarket").items():
        market, decoded = DRIFT_V2.spot_market.read(data), decode(data)
        assert spot_rates(market) == exactly(decoded), account_id
        assert abs(spot_rates(market).utilization - driftpy_balance.calculate_utilization(decoded)) <= 1


def test_deposits_round_down_and_borrows_up() -> None:
    market = spot(decimals=6, deposit_balance=1_999, borrow_balance=1_001)
    assert token_amounts(market) == (1, 2)
    assert token_amounts(spot(decimals=6, deposit_balance=1_000, borrow_balance=1_000)) == (1, 1)


def used(percent: int, **changed: int) -> SpotRates:
    """Rates of a market with 10 % at 70 % use, 100 % at full use, of which this much is borrowed."""
    return spot_rates(spot(deposit_balance=10**15, borrow_balance=10**13 * percent, **changed))


@pytest.mark.parametrize(
    ("percent", "borrow_rate"),
    [
        (0, 0),
        (35, 49_999),  # half way to the optimum; the slope 0.142857 is cut off at six digits
        (70, 99_999),  # cut off likewise
        # above it 90 % are shared out: 5 to 85 %, 10 to 90 %, 15 to 95 %, 20 to 99 %, 25 to 99.5 %, 25 to 100 %
        (85, 145_000),
        (90, 235_000),
        (95, 370_000),
        (99, 550_000),
        (100, 1_000_000),
        (120, 1_000_000),
    ],
)
def test_the_curve_by_hand(percent: int, borrow_rate: int) -> None:
    assert used(percent).utilization == percent * 10_000
    assert used(percent).borrow_rate == borrow_rate
    assert used(percent).deposit_rate == borrow_rate * percent // 100


def test_inside_a_step_of_the_curve() -> None:
    # 87.5 % is half way through the step from 85 % (0.145) to 90 % (0.235)
    market = spot(deposit_balance=10**15, borrow_balance=875 * 10**12)
    assert spot_rates(market).borrow_rate == 190_000


def test_a_market_may_have_a_lowest_rate() -> None:
    assert used(0, min_borrow_rate=4).borrow_rate == 20_000  # steps of half a percent
    assert used(70, min_borrow_rate=4).borrow_rate == 99_999


def test_the_insurance_fund_takes_its_part_from_depositors() -> None:
    assert used(100).deposit_rate == 1_000_000
    assert used(100, insurance_fund_total_factor=150_000).deposit_rate == 850_000
    assert used(100, insurance_fund_total_factor=1_000_000).deposit_rate == 0


def test_an_empty_market_is_unused_and_debt_without_deposits_is_full_use() -> None:
    assert spot_rates(spot(deposit_balance=0, borrow_balance=0)).utilization == 0
    assert spot_rates(spot(deposit_balance=0, borrow_balance=1)) == SpotRates(1_000_000, 1_000_000, 1_000_000)


def test_an_uninitialized_market_has_rates_all_the_same() -> None:
    zero = spot(
        deposit_balance=0,
        borrow_balance=0,
        decimals=0,
        optimal_utilization=0,
        optimal_borrow_rate=0,
        max_borrow_rate=0,
    )
    assert spot_rates(zero) == SpotRates(0, 0, 0)


@settings(max_examples=200, deadline=None)
@given(data=spot_accounts())
def test_depositors_never_earn_more_than_borrowers_pay(data: bytes) -> None:
    market = DRIFT_V2.spot_market.read(data)
    rates = spot_rates(market)
    deposits, borrows = token_amounts(market)
    assert rates.deposit_rate * deposits <= rates.borrow_rate * max(borrows, deposits)
    assert rates.deposit_rate >= 0
