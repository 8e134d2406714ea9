"""Interest rates: Drift's curve, less what goes to the insurance fund and to the protocol."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.profiles.velocity_v1.lending import spot_rates

from .accounts import spot


def test_depositors_get_what_borrowers_pay_on_what_is_borrowed() -> None:
    # half is borrowed: 50 / 70 of the way to 10 %, that is 7.14285 %; depositors get half of it
    assert spot_rates(spot()) == (500_000, 35_714, 71_428)


def test_two_carve_outs_add_up() -> None:
    # 10 % and 5 % of the interest: 7.1428 % * 0.85 * 0.5 = 3.03569 %
    carved = spot(insurance_fund_fee_factor=100_000, protocol_fee_factor=50_000)
    assert spot_rates(carved) == (500_000, 30_356, 71_428)
    assert spot_rates(spot(insurance_fund_fee_factor=150_000)) == spot_rates(carved)
    assert spot_rates(spot(protocol_fee_factor=150_000)) == spot_rates(carved)


def test_above_the_optimal_utilization_the_curve_steepens() -> None:
    # 85 %: 10 % and the first 5 % of the 90 % between 10 % and 100 %
    assert spot_rates(spot(borrow_balance=85 * 10**13)).borrow_rate == 145_000
    assert spot_rates(spot(borrow_balance=10**15)).borrow_rate == 1_000_000


def test_the_minimum_rate_is_in_steps_of_half_a_percent() -> None:
    assert spot_rates(spot(borrow_balance=0, min_borrow_rate=3)) == (0, 0, 15_000)


@settings(max_examples=100, deadline=None)
@given(
    borrowed=st.integers(0, 10**15),
    to_fund=st.integers(0, 500_000),
    to_protocol=st.integers(0, 500_000),
)
def test_depositors_never_get_more_than_borrowers_pay(borrowed: int, to_fund: int, to_protocol: int) -> None:
    rates = spot_rates(
        spot(borrow_balance=borrowed, insurance_fund_fee_factor=to_fund, protocol_fee_factor=to_protocol)
    )
    assert 0 <= rates.deposit_rate * 10**6 <= rates.borrow_rate * rates.utilization
    assert (rates.deposit_rate == 0) or to_fund + to_protocol < 10**6
