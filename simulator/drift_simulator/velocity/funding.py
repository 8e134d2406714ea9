"""Funding by Velocity's integer rule: a dead zone and a ramp around an offset that is always paid."""

from __future__ import annotations

from typing import Final

from drift_simulator.arithmetic import ONE_HOUR, quotient, sign
from drift_simulator.funding import FundingSettlement, Split, book, bring_to_now, capped_rate, split_rate
from drift_simulator.layout import Record
from drift_simulator.oracles import OraclePrice

__all__ = ["CLAMP_THRESHOLD_BPS", "RAMP_SLOPE", "funding_rate", "long_short_rates", "reseed_after_s", "settle_funding"]

CLAMP_THRESHOLD_BPS: Final = 5
"""How far the mark may be from the oracle, in 1e-4 of the price, before a premium counts."""
RAMP_SLOPE: Final = 1_000_000
"""How much of what lies beyond counts, 1e-6."""

_OFFSET_DENOMINATOR: Final = 3_333
_BPS: Final = 10_000
_SLOPE_UNIT: Final = 1_000_000


def funding_rate(
    mark_twap: int,
    oracle_twap: int,
    period_s: int,
    tier: int,
    *,
    clamp_threshold_bps: int = CLAMP_THRESHOLD_BPS,
    ramp_slope: int = RAMP_SLOPE,
) -> int:
    """Return the rate of one period, 1e-9 quote per base.

    Args:
        mark_twap: Mid of the bid and ask averages, 1e-6.
        oracle_twap: The oracle's average, 1e-6.
        period_s: Seconds between settlements.
        tier: Number of the ContractTier, which sets the cap.
        clamp_threshold_bps: Half the width of the dead zone, in 1e-4 of the oracle's average.
        ramp_slope: What of a spread beyond the dead zone counts, 1e-6.
    """
    spread, price = mark_twap - oracle_twap, abs(oracle_twap)
    premium = price // _OFFSET_DENOMINATOR
    dead = price * clamp_threshold_bps // _BPS
    if abs(spread) > dead:
        premium += quotient((spread - sign(spread) * dead) * ramp_slope, _SLOPE_UNIT)
    return capped_rate(premium, oracle_twap, period_s, tier)


def long_short_rates(market: Record, rate: int) -> Split:
    """Split a rate between the sides; the AMM pays at most a third of its fees minus distributions."""
    return split_rate(market, rate, max(0, market["total_fee_minus_distributions"]) // 3)


def reseed_after_s(period_s: int) -> int:
    """Return after how many seconds without a write the mark averages become those of the oracle."""
    return max(3 * period_s, ONE_HOUR)


def settle_funding(market: Record, oracle: OraclePrice, now: int) -> FundingSettlement:
    """Settle one period in place; who calls it has made sure that the program would not refuse."""
    period = market["funding_period"]
    averages = bring_to_now(market, oracle, now, reseed_after_s=reseed_after_s(period))
    rate = funding_rate(
        averages.mark,
        averages.oracle,
        period,
        market["contract_tier"],
        clamp_threshold_bps=market["funding_clamp_threshold"],
        ramp_slope=market["funding_ramp_slope"],
    )
    settlement = FundingSettlement(**book(market, averages, rate, long_short_rates(market, rate), now))
    market["last_cumulative_funding_rate_long"] = settlement.cumulative_funding_rate_long
    market["last_cumulative_funding_rate_short"] = settlement.cumulative_funding_rate_short
    return settlement
