"""Velocity's funding by its own integer rules: the rate, what each side pays, the estimate.

Source: velocity-exchange/velocity-v1 ``controller/funding.rs``, ``math/funding.rs``, ``math/helpers.rs``. Rates are
1e-9 quote per base and period, prices 1e-6; division truncates toward zero.
"""

from __future__ import annotations

from typing import Final

from drift_publisher.accounts import OraclePrice
from drift_publisher.integers import clamp, div
from drift_publisher.profiles.velocity_v1.records import PerpMarket, State
from drift_publisher.profiles.velocity_v1.twaps import live_twaps
from drift_schemas import has_settlements

__all__ = [
    "estimated_funding_rates",
    "funding_is_paused",
    "funding_payment",
    "funding_rate",
    "funding_rates_by_side",
]

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_OFFSET_DENOMINATOR: Final = 3333
_BPS: Final = 10**4
_RAMP: Final = 10**6
_MAX_DIVERGENCE: Final = {"A": 33, "B": 33, "C": 20}
_MAX_DIVERGENCE_OTHERS: Final = 10
_RATE_BUFFER: Final = 10**3
_PRICE: Final = 10**6
_BASE_TO_QUOTE: Final = 10**3
_QUOTE_TO_BASE_RATE: Final = 10**12
_FEES_PER_PERIOD: Final = 3
_SETTLING_STATUSES: Final = frozenset({"Active", "ReduceOnly"})
_MARKET_FUNDING_PAUSED: Final = 1
_EXCHANGE_FUNDING_PAUSED: Final = 32


def funding_rate(
    mark_twap: int, oracle_twap: int, *, tier: str, period: int, clamp_threshold: int, ramp_slope: int
) -> int:
    """The symmetric rate, 1e-9 quote per base and period, for these averages (1e-6).

    Args:
        mark_twap, oracle_twap: Averages over the funding period; the oracle's is positive.
        tier: Contract tier, which caps the rate.
        period: Funding period in seconds, at most a day.
        clamp_threshold: Half the dead zone around the oracle, in bp: a spread within it, the edges included, is noise.
        ramp_slope: What a spread beyond the dead zone counts, 1e-6.
    """
    spread = mark_twap - oracle_twap
    premium = abs(oracle_twap) // _OFFSET_DENOMINATOR
    dead_zone = abs(oracle_twap) * clamp_threshold // _BPS
    if abs(spread) > dead_zone:
        beyond = spread - dead_zone if spread > 0 else spread + dead_zone
        premium += div(beyond * ramp_slope, _RAMP)
    cap = abs(oracle_twap) // _MAX_DIVERGENCE.get(tier, _MAX_DIVERGENCE_OTHERS)
    return div(clamp(premium, -cap, cap) * _RATE_BUFFER, _DAY // max(_HOUR, period))


def funding_payment(rate: int, base: int) -> int:
    """Quote (1e-6) that a position of ``base`` (1e-9, negative for a short) receives at ``rate``."""
    magnitude = abs(rate) * abs(base) // _PRICE // _RATE_BUFFER // _BASE_TO_QUOTE
    return -magnitude if (rate > 0) == (base > 0) else magnitude


def funding_rates_by_side(rate: int, market: PerpMarket) -> tuple[int, int]:
    """Returns (long, short): who receives gets no more than payers and a third of the AMM's own equity cover."""
    pnl = -funding_payment(rate, market.base_asset_amount_with_amm)
    limit = -(max(0, market.total_fee_minus_distributions) // _FEES_PER_PERIOD)
    if pnl >= 0 or pnl >= limit:
        return rate, rate
    longs, shorts = market.base_asset_amount_long, market.base_asset_amount_short
    payers, receivers = (longs, shorts) if rate > 0 else (shorts, longs)
    limit -= abs(funding_payment(rate, payers))
    biased = limit + 1 if limit < 0 else limit
    capped = div(biased * _QUOTE_TO_BASE_RATE, receivers) if receivers else 0
    return (rate, capped) if rate > 0 else (capped, rate)


def estimated_funding_rates(
    market: PerpMarket, oracle: OraclePrice, mark_price: int, now_s: int
) -> tuple[int, int] | None:
    """ESTIMATE of (long, short) for the running period, as an update at ``now_s`` would settle it.

    Args:
        market: The market's account.
        oracle: The current reading of the exchange oracle: the MM oracle has no part in the averages.
        mark_price: Must be positive. The averages themselves need both sides of the quote, and take them from
            ``market``.
        now_s: Unix seconds.

    Returns:
        ``None`` where the program would settle nothing: no price, or a period that is not within a day.
    """
    if mark_price <= 0 or not has_settlements(market.funding_period):
        return None
    twaps = live_twaps(market, oracle, now_s)
    if twaps is None or twaps.oracle <= 0:
        return None
    rate = funding_rate(
        twaps.mark,
        twaps.oracle,
        tier=market.contract_tier,
        period=market.funding_period,
        clamp_threshold=market.funding_clamp_threshold,
        ramp_slope=market.funding_ramp_slope,
    )
    return funding_rates_by_side(rate, market)


def funding_is_paused(market: PerpMarket, state: State | None) -> bool:
    """Whether the exchange, the market's status or its paused operations keep funding from settling."""
    return (
        market.status not in _SETTLING_STATUSES
        or bool(market.paused_operations & _MARKET_FUNDING_PAUSED)
        or (state is not None and bool(state.exchange_status & _EXCHANGE_FUNDING_PAUSED))
    )
