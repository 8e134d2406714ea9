"""What every program's funding has in common: when it is due, how a rate becomes payments, what a settlement writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .amm import bid_ask_price, reserve_price, update_mark_twap, update_oracle_twap
from .arithmetic import ONE_DAY, ONE_HOUR, clamp, new_twap, quotient
from .layout import Idl, Record
from .oracles import OraclePrice

__all__ = [
    "Averages",
    "FundingSettlement",
    "Split",
    "book",
    "bring_to_now",
    "capped_rate",
    "funding_event",
    "payment",
    "seconds_until_funding",
    "split_rate",
]

_RATE_BUFFER: Final = 1_000
_CAP_DENOMINATORS: Final = {0: 33, 1: 33, 2: 20}
_PRICE: Final = 1_000_000


@dataclass(frozen=True)
class FundingSettlement:
    """One settled period: what every program's FundingRateRecord tells, integers as on chain."""

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
    base_asset_amount_with_amm: int


class Averages(NamedTuple):
    """The two averages of a funding period that a rate follows from, 1e-6."""

    oracle: int
    mark: int


class Split(NamedTuple):
    """A rate as longs and shorts get it, and the AMM's result before and after the cap, in quote 1e-6."""

    long: int
    short: int
    uncapped: int
    actual: int


def seconds_until_funding(now: int, last_ts: int, period_s: int) -> int:
    """Return how long until funding may settle: the next boundary, or the one after a late update."""
    wait = period_s
    if period_s > 1 and (delay := last_ts % period_s):
        wait = 2 * period_s - delay if delay > period_s // 3 else period_s - delay
        if wait > 2 * period_s:
            wait -= period_s
    return max(0, wait - (now - last_ts))


def capped_rate(premium: int, oracle_twap: int, period_s: int, tier: int) -> int:
    """Return the rate of one period, 1e-9 quote per base, for a premium of the mark over the oracle, 1e-6."""
    limit = quotient(oracle_twap, _CAP_DENOMINATORS.get(tier, 10))
    periods = quotient(24 * ONE_HOUR, max(ONE_HOUR, period_s))
    return quotient(clamp(premium, -limit, limit) * _RATE_BUFFER, periods)


def payment(rate: int, base_amount: int) -> int:
    """Return what a position receives (negative: pays) at a rate, in quote 1e-6."""
    magnitude = abs(rate) * abs(base_amount) // _PRICE // _RATE_BUFFER // 1_000
    return magnitude * (-1 if base_amount > 0 else 1) * (1 if rate > 0 else -1)


def split_rate(market: Record, rate: int, budget: int) -> Split:
    """Split a rate into what longs and shorts get when the AMM cannot pay all of it.

    Args:
        market: The PerpMarket record.
        rate: The uncapped rate.
        budget: What the AMM may pay at most, in quote 1e-6.
    """
    uncapped = -payment(rate, market["base_asset_amount_with_amm"])
    if uncapped >= -budget:
        return Split(rate, rate, uncapped, uncapped)
    longs, shorts = market["base_asset_amount_long"], market["base_asset_amount_short"]
    payers, receivers = (longs, shorts) if rate > 0 else (shorts, longs)
    available = -budget - abs(payment(rate, payers))
    biased = available + 1 if available < 0 else available
    capped = quotient(biased * 10**12, receivers) if receivers else 0
    long_rate, short_rate = (capped, rate) if rate < 0 else (rate, capped)
    return Split(long_rate, short_rate, uncapped, -budget)


def bring_to_now(market: Record, oracle: OraclePrice, now: int, *, reseed_after_s: int | None = None) -> Averages:
    """Take the oracle and the quotes as they are now into the averages, in place, and return them."""
    oracle_twap = update_oracle_twap(market, oracle, now)
    bid, ask, execution_price = _estimated_quotes(market)
    mark_twap = update_mark_twap(market, now, bid, ask, execution_price, reseed_after_s=reseed_after_s)
    return Averages(oracle_twap, mark_twap)


def book(market: Record, averages: Averages, rate: int, split: Split, now: int) -> dict[str, Any]:
    """Write one settled period, in place; return the fields of its :class:`FundingSettlement`."""
    cumulative_long = market["cumulative_funding_rate_long"] + split.long
    cumulative_short = market["cumulative_funding_rate_short"] + split.short
    record_id = market["next_funding_rate_record_id"]
    average = new_twap(rate, now, market["last24h_avg_funding_rate"], market["last_funding_rate_ts"], ONE_DAY)
    market.update(
        {
            "total_fee_minus_distributions": market["total_fee_minus_distributions"] + split.actual,
            "cumulative_funding_rate_long": cumulative_long,
            "cumulative_funding_rate_short": cumulative_short,
            "last_funding_rate": rate,
            "last_funding_oracle_twap": averages.oracle,
            "last_funding_rate_long": split.long,
            "last_funding_rate_short": split.short,
            "last24h_avg_funding_rate": average,
            "net_unsettled_funding_pnl": market["net_unsettled_funding_pnl"] - split.uncapped,
            "last_funding_rate_ts": now,
            "net_revenue_since_last_funding": 0,
            "next_funding_rate_record_id": record_id + 1,
        }
    )
    return {
        "ts": now,
        "record_id": record_id,
        "market_index": market["market_index"],
        "funding_rate": rate,
        "funding_rate_long": split.long,
        "funding_rate_short": split.short,
        "cumulative_funding_rate_long": cumulative_long,
        "cumulative_funding_rate_short": cumulative_short,
        "oracle_price_twap": averages.oracle,
        "mark_price_twap": averages.mark,
        "base_asset_amount_with_amm": market["base_asset_amount_with_amm"],
    }


def funding_event(settlement: FundingSettlement, idl: Idl) -> bytes:
    """Encode a settlement as a program's FundingRateRecord event, discriminator first."""
    record = idl.event("FundingRateRecord").record()
    record.update(vars(settlement))
    return bytes(record)


def _estimated_quotes(market: Record) -> tuple[int, int, int]:
    """Guess best bid and ask from the side the AMM leans to, as the program does when funding settles."""
    reserve = reserve_price(market)
    amm_bid, amm_ask = bid_ask_price(market, reserve)
    long_spread, short_spread = market["long_spread"], market["short_spread"]
    if long_spread == short_spread:
        middle = clamp(reserve, amm_bid, amm_ask)
        return middle, middle, reserve
    oracle = market["historical_oracle_data.last_oracle_price"]
    trade = amm_ask if long_spread > short_spread else amm_bid
    premium, base_spread = trade - oracle, market["base_spread"]
    bid = trade
    if premium > 0:
        bid = max(oracle - min(base_spread, short_spread // 2, premium), market["order_tick_size"])
    bid = max(bid, amm_bid)
    ask = oracle + min(base_spread, long_spread // 2, -premium) if premium < 0 else trade
    ask = min(ask, amm_ask)
    if long_spread > short_spread:
        return bid, max(trade, bid), trade
    return min(trade, ask), ask, trade
