"""Funding by the program's integer rule (controller/funding.rs, math/funding.rs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .amm import bid_ask_price, reserve_price, update_mark_twap, update_oracle_twap
from .arithmetic import ONE_DAY, ONE_HOUR, clamp, new_twap, quotient
from .layout import Record, drift_idl
from .oracles import OraclePrice

__all__ = [
    "FundingSettlement",
    "funding_event",
    "funding_rate",
    "long_short_rates",
    "payment",
    "seconds_until_funding",
    "settle_funding",
]

_OFFSET_DENOMINATOR: Final = 5_000
_RATE_BUFFER: Final = 1_000
_CAP_DENOMINATORS: Final = {0: 33, 1: 33, 2: 20}
_PRICE: Final = 1_000_000


@dataclass(frozen=True)
class FundingSettlement:
    """One settled hour: the fields of the program's FundingRateRecord, integers as on chain."""

    ts: int
    record_id: int
    market_index: int
    funding_rate: int
    funding_rate_long: int
    funding_rate_short: int
    cumulative_funding_rate_long: int
    cumulative_funding_rate_short: int
    oracle_price_twap: int
    mark_price_twap: int
    period_revenue: int
    base_asset_amount_with_amm: int
    base_asset_amount_with_unsettled_lp: int


def seconds_until_funding(now: int, last_ts: int, period_s: int) -> int:
    """Return how long until funding may settle: the next boundary, or the one after a late update."""
    wait = period_s
    if period_s > 1 and (delay := last_ts % period_s):
        wait = 2 * period_s - delay if delay > period_s // 3 else period_s - delay
        if wait > 2 * period_s:
            wait -= period_s
    return max(0, wait - (now - last_ts))


def funding_rate(mark_twap: int, oracle_twap: int, period_s: int, tier: int) -> int:
    """Return the rate of one period, 1e-9 quote per base."""
    spread = mark_twap - oracle_twap + quotient(abs(oracle_twap), _OFFSET_DENOMINATOR)
    limit = quotient(oracle_twap, _CAP_DENOMINATORS.get(tier, 10))
    periods = quotient(24 * ONE_HOUR, max(ONE_HOUR, period_s))
    return quotient(clamp(spread, -limit, limit) * _RATE_BUFFER, periods)


def payment(rate: int, base_amount: int) -> int:
    """Return what a position receives (negative: pays) at a rate, in quote 1e-6."""
    magnitude = abs(rate) * abs(base_amount) // _PRICE // _RATE_BUFFER // 1_000
    return magnitude * (-1 if base_amount > 0 else 1) * (1 if rate > 0 else -1)


def long_short_rates(market: Record, rate: int) -> tuple[int, int, int, int]:
    """Split a rate into what longs and shorts get when the AMM cannot pay all of it.

    Returns:
        Long rate, short rate, the AMM's uncapped result and its actual result, in quote 1e-6.
    """
    uncapped = -payment(rate, market["amm.base_asset_amount_with_amm"])
    if uncapped >= 0:
        return rate, rate, uncapped, uncapped
    limit = -(_fee_pool(market) // 3)
    if uncapped >= limit:
        return rate, rate, uncapped, uncapped
    longs, shorts = market["amm.base_asset_amount_long"], market["amm.base_asset_amount_short"]
    payers, receivers = (longs, shorts) if rate > 0 else (shorts, longs)
    available = limit - abs(payment(rate, payers))
    biased = available + 1 if available < 0 else available
    capped = quotient(biased * 10**12, receivers) if receivers else 0
    return (capped, rate, uncapped, limit) if rate < 0 else (rate, capped, uncapped, limit)


def settle_funding(market: Record, oracle: OraclePrice, now: int) -> FundingSettlement | None:
    """Settle one period in place. None when the AMM could not afford its share (the program then refuses)."""
    oracle_twap = update_oracle_twap(market, oracle, now)
    bid, ask, execution_price = _estimated_quotes(market)
    mark_twap = update_mark_twap(market, now, bid, ask, execution_price)
    period = market["amm.funding_period"]
    rate = funding_rate(mark_twap, oracle_twap, period, market["contract_tier"])
    long_rate, short_rate, uncapped, actual = long_short_rates(market, rate)
    fees = market["amm.total_fee_minus_distributions"] + actual
    if actual < 0 and fees < market["amm.total_exchange_fee"] // 2:
        return None
    last_ts = market["amm.last_funding_rate_ts"]
    revenue = market["amm.net_revenue_since_last_funding"] + actual
    cumulative_long = market["amm.cumulative_funding_rate_long"] + long_rate
    cumulative_short = market["amm.cumulative_funding_rate_short"] + short_rate
    average = new_twap(rate, now, market["amm.last24h_avg_funding_rate"], last_ts, ONE_DAY)
    record_id = market["next_funding_rate_record_id"]
    market.update(
        {
            "total_fee_minus_distributions": fees,
            "cumulative_funding_rate_long": cumulative_long,
            "cumulative_funding_rate_short": cumulative_short,
            "last_funding_rate": rate,
            "last_funding_oracle_twap": oracle_twap,
            "last_funding_rate_long": long_rate,
            "last_funding_rate_short": short_rate,
            "last24h_avg_funding_rate": average,
            "net_unsettled_funding_pnl": market["amm.net_unsettled_funding_pnl"] - uncapped,
            "last_funding_rate_ts": now,
            "net_revenue_since_last_funding": 0,
        },
        prefix="amm.",
    )
    market["next_funding_rate_record_id"] = record_id + 1
    return FundingSettlement(
        ts=now,
        record_id=record_id,
        market_index=market["market_index"],
        funding_rate=rate,
        funding_rate_long=long_rate,
        funding_rate_short=short_rate,
        cumulative_funding_rate_long=cumulative_long,
        cumulative_funding_rate_short=cumulative_short,
        oracle_price_twap=oracle_twap,
        mark_price_twap=mark_twap,
        period_revenue=revenue,
        base_asset_amount_with_amm=market["amm.base_asset_amount_with_amm"],
        base_asset_amount_with_unsettled_lp=market["amm.base_asset_amount_with_unsettled_lp"],
    )


def funding_event(settlement: FundingSettlement) -> bytes:
    """Encode a settlement as the program's FundingRateRecord event, discriminator first."""
    record = drift_idl().event("FundingRateRecord").record()
    record.update(vars(settlement))
    return bytes(record)


def _fee_pool(market: Record) -> int:
    floor = market["amm.total_exchange_fee"] // 2
    floor += market["amm.total_liquidation_fee"] - market["amm.total_fee_withdrawn"]
    return max(0, market["amm.total_fee_minus_distributions"] - max(0, floor))


def _estimated_quotes(market: Record) -> tuple[int, int, int]:
    """Guess best bid and ask from the side the AMM leans to, as the program does when funding settles."""
    reserve = reserve_price(market)
    amm_bid, amm_ask = bid_ask_price(market, reserve)
    long_spread, short_spread = market["amm.long_spread"], market["amm.short_spread"]
    if long_spread == short_spread:
        middle = clamp(reserve, amm_bid, amm_ask)
        return middle, middle, reserve
    oracle = market["amm.historical_oracle_data.last_oracle_price"]
    trade = amm_ask if long_spread > short_spread else amm_bid
    premium, base_spread = trade - oracle, market["amm.base_spread"]
    bid = trade
    if premium > 0:
        bid = max(oracle - min(base_spread, short_spread // 2, premium), market["amm.order_tick_size"])
    bid = max(bid, amm_bid)
    ask = oracle + min(base_spread, long_spread // 2, -premium) if premium < 0 else trade
    ask = min(ask, amm_ask)
    if long_spread > short_spread:
        return bid, max(trade, bid), trade
    return min(trade, ask), ask, trade
