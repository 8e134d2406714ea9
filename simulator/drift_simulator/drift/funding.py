"""Funding by Drift's integer rule (controller/funding.rs, math/funding.rs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drift_simulator.arithmetic import quotient
from drift_simulator.funding import FundingSettlement, Split, book, bring_to_now, capped_rate, split_rate
from drift_simulator.layout import Record
from drift_simulator.oracles import OraclePrice

__all__ = ["DriftSettlement", "funding_rate", "long_short_rates", "settle_funding"]

_OFFSET_DENOMINATOR: Final = 5_000


@dataclass(frozen=True)
class DriftSettlement(FundingSettlement):
    """A settled period with the two fields that only Drift's record has."""

    period_revenue: int
    base_asset_amount_with_unsettled_lp: int


def funding_rate(mark_twap: int, oracle_twap: int, period_s: int, tier: int) -> int:
    """Return the rate of one period, 1e-9 quote per base."""
    premium = mark_twap - oracle_twap + quotient(abs(oracle_twap), _OFFSET_DENOMINATOR)
    return capped_rate(premium, oracle_twap, period_s, tier)


def long_short_rates(market: Record, rate: int) -> Split:
    """Split a rate between the sides; the AMM pays at most a third of its fees above their lower bound."""
    return split_rate(market, rate, _fee_pool(market) // 3)


def settle_funding(market: Record, oracle: OraclePrice, now: int) -> DriftSettlement | None:
    """Settle one period in place. None when the AMM could not afford its share (the program then refuses)."""
    averages = bring_to_now(market, oracle, now)
    rate = funding_rate(averages.mark, averages.oracle, market["funding_period"], market["contract_tier"])
    split = long_short_rates(market, rate)
    fees = market["total_fee_minus_distributions"] + split.actual
    if split.actual < 0 and fees < market["total_exchange_fee"] // 2:
        return None
    revenue = market["net_revenue_since_last_funding"] + split.actual
    return DriftSettlement(
        **book(market, averages, rate, split, now),
        period_revenue=revenue,
        base_asset_amount_with_unsettled_lp=market["base_asset_amount_with_unsettled_lp"],
    )


def _fee_pool(market: Record) -> int:
    floor = market["total_exchange_fee"] // 2
    floor += market["total_liquidation_fee"] - market["total_fee_withdrawn"]
    return max(0, market["total_fee_minus_distributions"] - max(0, floor))
