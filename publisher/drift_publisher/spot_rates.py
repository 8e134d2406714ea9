"""Utilization and interest rates of a spot market by the program's curve, in integers.

Source: drift-labs/protocol-v2 ``math/spot_balance.rs``; utilization and rates 1e-6, rates per year.
"""

from __future__ import annotations

from typing import Final, Protocol

from drift_publisher.accounts import SpotMarket, SpotRates

__all__ = ["FULL", "LendingMarket", "spot_rates", "token_amounts"]

FULL: Final = 10**6
_INTEREST_EXPONENT: Final = 19
_MIN_RATE_STEP: Final = 200
_STEPS_ABOVE_OPTIMAL: Final = (
    (850_000, 50), (900_000, 100), (950_000, 150), (990_000, 200), (995_000, 250), (1_000_000, 250),
)  # fmt: skip
_STEP_WEIGHTS: Final = 1000


class LendingMarket(SpotMarket, Protocol):
    """A spot market with the corners of its interest curve, 1e-6; the minimum in steps of 0.5 %."""

    @property
    def optimal_utilization(self) -> int: ...  # noqa: D102
    @property
    def optimal_borrow_rate(self) -> int: ...  # noqa: D102
    @property
    def max_borrow_rate(self) -> int: ...  # noqa: D102
    @property
    def min_borrow_rate(self) -> int: ...  # noqa: D102


def token_amounts(market: SpotMarket) -> tuple[int, int]:
    """Returns (deposited, borrowed) tokens in the token's own decimals; deposits round down, borrows up."""
    scale = 10 ** max(0, _INTEREST_EXPONENT - market.decimals)
    deposits = market.deposit_balance * market.cumulative_deposit_interest // scale
    borrows = -(-market.borrow_balance * market.cumulative_borrow_interest // scale)
    return deposits, borrows


def spot_rates(market: LendingMarket, *, kept: int) -> SpotRates:
    """Computes utilization and both rates from the market's balances.

    Args:
        market: The market's account.
        kept: What depositors get of the interest that borrowers pay, 1e-6; the rest goes to funds and fees.
    """
    deposits, borrows = token_amounts(market)
    utilization = _utilization(deposits, borrows)
    borrow_rate = max(market.min_borrow_rate * (FULL // _MIN_RATE_STEP), _curve(market, utilization))
    return SpotRates(utilization, borrow_rate * kept * utilization // FULL // FULL, borrow_rate)


def _utilization(deposits: int, borrows: int) -> int:
    if deposits == 0:
        return FULL if borrows else 0
    return borrows * FULL // deposits


def _curve(market: LendingMarket, utilization: int) -> int:
    optimal = market.optimal_utilization
    if utilization <= optimal:
        slope = market.optimal_borrow_rate * FULL // optimal if optimal else 0
        return utilization * slope // FULL
    extra = market.max_borrow_rate - market.optimal_borrow_rate
    rate, start = market.optimal_borrow_rate, optimal
    for end, weight in _STEPS_ABOVE_OPTIMAL:
        step = extra * weight // _STEP_WEIGHTS
        if utilization <= end:
            return rate + (step * (utilization - start) // (end - start) if end > start else 0)
        rate, start = rate + step, end
    return rate
