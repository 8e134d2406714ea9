"""Velocity's interest rates: Drift's curve, with two carve-outs from what borrowers pay instead of one.

Verified in velocity-exchange/velocity-v1 ``math/spot_balance.rs`` and ``math/constants.rs``: token amounts,
utilization, the curve's steps and weights and the minimum rate are Drift's, and the rate for depositors is the borrow
rate less ``insurance_fund.if_fee_factor`` and ``protocol_fee_factor`` (Drift: ``total_factor``), times the utilization.
Not verified: the rates of a running deployment.
"""

from __future__ import annotations

from drift_publisher import spot_rates as curve
from drift_publisher.accounts import SpotRates
from drift_publisher.profiles.velocity_v1.records import SpotMarket

__all__ = ["spot_rates"]


def spot_rates(market: SpotMarket) -> SpotRates:
    """Computes utilization and both rates, 1e-6 and per year, from the market's balances."""
    carved_out = market.insurance_fund_fee_factor + market.protocol_fee_factor
    return curve.spot_rates(market, kept=curve.FULL - carved_out)
