"""Utilization and interest rates of a spot market by the program's curve, in integers.

Source: drift-labs/protocol-v2 ``math/spot_balance.rs``; utilization and rates 1e-6, rates per year.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from drift_publisher.accounts import SpotMarket

__all__ = ["SpotRates", "spot_rates", "token_amounts"]

_FULL: Final = 10**6
_INTEREST_EXPONENT: Final = 19
_MIN_RATE_STEP: Final = 200
_STEPS_ABOVE_OPTIMAL: Final = (
    (850_000, 50), (900_000, 100), (950_000, 150), (990_000, 200), (995_000, 250), (1_000_000, 250),
)  # fmt: skip
_STEP_WEIGHTS: Final = 1000


class SpotRates(NamedTuple):
    """1e-6 each: borrowed over deposited, and what depositors earn and borrowers pay a year."""

    utilization: int
    deposit_rate: int
    borrow_rate: int


def token_amounts(market: SpotMarket) -> tuple[int, int]:
    """Returns (deposited, borrowed) tokens in the token's own decimals; deposits round down, borrows up."""
    scale = 10 ** max(0, _INTEREST_EXPONENT - market.decimals)
    deposits = market.deposit_balance * market.cumulative_deposit_interest // scale
    borrows = -(-market.borrow_balance * market.cumulative_borrow_interest // scale)
    return deposits, borrows


def spot_rates(market: SpotMarket) -> SpotRates:
    """Computes utilization and both rates from the market's balances."""
    deposits, borrows = token_amounts(market)
    utilization = _utilization(deposits, borrows)
    borrow_rate = max(market.min_borrow_rate * (_FULL // _MIN_RATE_STEP), _curve(market, utilization))
    kept = _FULL - market.insurance_fund_total_factor
    return SpotRates(utilization, borrow_rate * kept * utilization // _FULL // _FULL, borrow_rate)


def _utilization(deposits: int, borrows: int) -> int:
    if deposits == 0:
        return _FULL if borrows else 0
    return borrows * _FULL // deposits


def _curve(market: SpotMarket, utilization: int) -> int:
    optimal = market.optimal_utilization
    if utilization <= optimal:
        slope = market.optimal_borrow_rate * _FULL // optimal if optimal else 0
        return utilization * slope // _FULL
    extra = market.max_borrow_rate - market.optimal_borrow_rate
    rate, start = market.optimal_borrow_rate, optimal
    for end, weight in _STEPS_ABOVE_OPTIMAL:
        step = extra * weight // _STEP_WEIGHTS
        if utilization <= end:
            return rate + (step * (utilization - start) // (end - start) if end > start else 0)
        rate, start = rate + step, end
    return rate
