"""Funding by the program's own integer rules: the running estimate, what each side pays.

Source: drift-labs/protocol-v2 ``controller/funding.rs``, ``math/funding.rs``, ``math/helpers.rs``; TWAPs are brought
to now as driftpy ``math/funding.py`` does. Rates are 1e-9 quote per base and funding period, prices 1e-6; division
truncates toward zero.
"""

from __future__ import annotations

from typing import Final

from drift_publisher.accounts import OraclePrice
from drift_publisher.integers import clamp, div
from drift_publisher.profiles.drift_v2.records import PerpMarket, State
from drift_schemas import has_settlements

__all__ = [
    "estimated_funding_rates",
    "funding_is_paused",
    "funding_rate",
    "funding_rates_by_side",
    "live_twaps",
]

_OFFSET_DENOMINATOR: Final = 5_000
_MAX_DIVERGENCE: Final = {"A": 33, "B": 33, "C": 20}
_DEFAULT_MAX_DIVERGENCE: Final = 10
_PAUSED_STATUSES: Final = frozenset({"Initialized", "FundingPaused", "Settlement", "Delisted"})
_FUNDING_PAUSED: Final = 1
_EXCHANGE_FUNDING_PAUSED: Final = 0b0010_0000

_HOUR: Final = 3600
_RATE_BUFFER: Final = 10**3
_PRICE: Final = 10**6
_BASE_TO_QUOTE: Final = 10**3
_QUOTE_TO_BASE_RATE: Final = 10**12


def funding_is_paused(market: PerpMarket, state: State | None) -> bool:
    """Whether the exchange, the market's status or its paused operations keep funding from settling."""
    return (
        market.status in _PAUSED_STATUSES
        or bool(market.paused_operations & _FUNDING_PAUSED)
        or (state is not None and bool(state.exchange_status & _EXCHANGE_FUNDING_PAUSED))
    )


def funding_rate(mark_twap: int, oracle_twap: int, *, tier: str, period: int) -> int:
    """The symmetric rate, 1e-9 quote per base and period, for these TWAPs (1e-6); ``period`` is at most a day."""
    spread = mark_twap - oracle_twap + abs(oracle_twap) // _OFFSET_DENOMINATOR
    divergence = _MAX_DIVERGENCE.get(tier, _DEFAULT_MAX_DIVERGENCE)
    cap = abs(div(oracle_twap, divergence))
    return div(clamp(spread, -cap, cap) * _RATE_BUFFER, 24 * _HOUR // max(_HOUR, period))


def funding_rates_by_side(rate: int, market: PerpMarket) -> tuple[int, int]:
    """Returns (long, short): the side that receives gets only what payers and a third of the fee pool cover."""
    pnl = -_payment(rate, market.base_asset_amount_with_amm)
    kept = market.total_exchange_fee // 2 + market.total_liquidation_fee - market.total_fee_withdrawn
    limit = -(max(0, market.total_fee_minus_distributions - kept) // 3)
    if pnl >= 0 or pnl >= limit:
        return rate, rate
    longs, shorts = market.base_asset_amount_long, market.base_asset_amount_short
    payers, receivers = (longs, shorts) if rate > 0 else (shorts, longs)
    limit -= abs(_payment(rate, payers))
    budget = (limit + 1 if limit < 0 else limit) * _QUOTE_TO_BASE_RATE
    capped = div(budget, receivers) if receivers else 0
    return (rate, capped) if rate > 0 else (capped, rate)


def live_twaps(market: PerpMarket, oracle_price: int, mark_price: int, now: int) -> tuple[int, int]:
    """Returns (mark TWAP, oracle TWAP), 1e-6, brought from their last update to ``now`` (Unix seconds)."""
    period = market.funding_period
    since_mark = now - market.last_mark_price_twap_ts
    kept = max(period, period - since_mark)
    mark = (kept * market.last_mark_price_twap + since_mark * mark_price) // (since_mark + kept)

    twap = market.last_oracle_price_twap
    since_oracle = max(1, now - market.last_oracle_price_twap_ts)
    start = max(0, period - since_oracle)
    bounded = clamp(oracle_price, twap - twap // 3, twap + twap // 3)
    oracle = (twap * start + bounded * since_oracle) // (start + since_oracle)
    return _shrink_stale(market, mark, oracle, now)


def estimated_funding_rates(
    market: PerpMarket, oracle: OraclePrice, mark_price: int, now: int
) -> tuple[int, int] | None:
    """ESTIMATE of (long, short) for the running period; ``None`` where TWAPs or period give no rate."""
    if not has_settlements(market.funding_period):
        return None
    mark_twap, oracle_twap = live_twaps(market, oracle.price, mark_price, now)
    if oracle_twap <= 0:
        return None
    rate = funding_rate(mark_twap, oracle_twap, tier=market.contract_tier, period=market.funding_period)
    return funding_rates_by_side(rate, market)


def _shrink_stale(market: PerpMarket, mark: int, oracle: int, now: int) -> tuple[int, int]:
    """The TWAP that was updated longer ago is drawn toward the other one over the time that it missed."""
    lag = market.last_mark_price_twap_ts - market.last_oracle_price_twap_ts
    period = market.funding_period

    def weight(last_ts: int) -> int:
        return max(1, min(period, period - (now - last_ts)))

    if lag > 0:
        kept = weight(market.last_oracle_price_twap_ts)
        return mark, (kept * oracle + lag * mark) // (kept + lag)
    if lag < 0:
        kept = weight(market.last_mark_price_twap_ts)
        return (kept * mark - lag * oracle) // (kept - lag), oracle
    return mark, oracle


def _payment(rate: int, base: int) -> int:
    """Quote (1e-6) that a position of ``base`` receives at ``rate``; negative when it pays."""
    magnitude = abs(rate) * abs(base) // _PRICE // _RATE_BUFFER // _BASE_TO_QUOTE
    return -magnitude if (rate > 0) == (base > 0) else magnitude
