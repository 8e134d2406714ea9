"""Velocity's time-weighted prices, brought to now as its own funding update would bring them.

Source: velocity-exchange/velocity-v1 ``math/stats.rs``, ``state/perp_market.rs`` (``MarketStats``),
``vlp/amm/math/amm.rs``. The update writes the oracle's average first and the mark's after it; it has brought peg and
spreads up to date before, which takes the program's spread model: here they are as the account has them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from drift_publisher.accounts import OraclePrice
from drift_publisher.integers import clamp, div
from drift_publisher.profiles.velocity_v1.quote import quote, reserve_price
from drift_publisher.profiles.velocity_v1.records import PerpMarket

__all__ = ["LiveTwaps", "live_twaps", "new_twap", "oracle_sample", "sanitized", "weighted_average"]

_HOUR: Final = 3600
_MINUTE: Final = 60
_FORGET_AFTER_PERIODS: Final = 3
_SNAP_TO_MARK: Final = 4000
_SANITIZE: Final = {"A": 10, "B": 5, "C": 2}
_SANITIZE_OTHERS: Final = 3


class LiveTwaps(NamedTuple):
    """1e-6 each: the mark's mid and the oracle's average over the funding period, at one moment."""

    mark: int
    oracle: int


def live_twaps(market: PerpMarket, oracle: OraclePrice, now_s: int) -> LiveTwaps | None:
    """Both averages at ``now_s`` (Unix seconds); ``None`` where the program itself would refuse the update."""
    middle = reserve_price(market)
    prices = quote(market)
    if middle is None or prices is None or oracle.price <= 0:
        return None
    oracle_twap, oracle_ts = _live_oracle_twap(market, oracle, middle, now_s)
    if now_s - market.last_mark_price_twap_ts > max(_FORGET_AFTER_PERIODS * market.funding_period, _HOUR):
        return LiveTwaps(oracle_twap, oracle_twap)
    bid, ask = _mark_samples(market, oracle.price, middle, prices)
    bid = sanitized(bid, market.last_bid_price_twap, market.contract_tier)
    ask = sanitized(ask, market.last_ask_price_twap, market.contract_tier)
    if bid > ask:
        return None
    period, last_ts = market.funding_period, market.last_mark_price_twap_ts
    lag = oracle_ts - last_ts
    bid_twap = new_twap(bid, now_s, _drawn(market.last_bid_price_twap, oracle_twap, lag, period), last_ts, period)
    ask_twap = new_twap(ask, now_s, _drawn(market.last_ask_price_twap, oracle_twap, lag, period), last_ts, period)
    return LiveTwaps(div(bid_twap + ask_twap, 2), oracle_twap)


def weighted_average(new: int, last: int, new_weight: int, last_weight: int, *, bias: int | None = None) -> int:
    """The average of two prices, one unit toward the heavier product; without ``bias`` the products decide."""
    if new_weight == 0:
        return last
    if last_weight == 0:
        return new
    if bias is None:
        bias = _sign(last * last_weight - new * new_weight) if last_weight > 1 else 0
    average = div(new * new_weight + last * last_weight, new_weight + last_weight)
    return average if average == 0 and bias < 0 else average + bias


def new_twap(sample: int, now_s: int, last: int, last_ts: int, period: int) -> int:
    """The average after a sample that stood since ``last_ts``; at least a second of the past remains."""
    since_last = max(0, now_s - last_ts)
    return weighted_average(sample, last, since_last, max(1, period - since_last))


def sanitized(price: int, twap: int, tier: str) -> int:
    """A price held within the share of the average that the contract tier allows for one update."""
    if twap == 0:
        return price
    band = abs(twap) // _SANITIZE.get(tier, _SANITIZE_OTHERS)
    return clamp(price, twap - band, twap + band)


def oracle_sample(oracle: OraclePrice, reserve: int) -> int:
    """The oracle price moved toward the reserve price: to 2.5 bp from it, by no more than the confidence interval."""
    gap = reserve // _SNAP_TO_MARK
    if reserve > oracle.price:
        return min(max(reserve - gap, oracle.price), oracle.price + oracle.confidence)
    return max(min(reserve + gap, oracle.price), oracle.price - oracle.confidence)


def _drawn(last: int, oracle_twap: int, lag: int, period: int) -> int:
    """A mark average ``lag`` seconds behind the oracle's is drawn toward it, if that is over 1/60 of the period."""
    if lag <= max(period // _MINUTE, _MINUTE):
        return last
    return weighted_average(oracle_twap, last, lag, max(0, period - lag), bias=_sign(oracle_twap - last))


def _live_oracle_twap(market: PerpMarket, oracle: OraclePrice, reserve: int, now_s: int) -> tuple[int, int]:
    """Returns the average and when it was written: ``now_s``, or in the past where the sample is no price."""
    last, last_ts, period = market.last_oracle_price_twap, market.last_oracle_price_twap_ts, market.funding_period
    sample = sanitized(oracle_sample(oracle, reserve), last, market.contract_tier)
    if sample <= 0:
        return last, last_ts
    lag = market.last_mark_price_twap_ts - last_ts
    if lag > 0:
        sample = weighted_average(market.last_mark_price_twap, sample, lag, max(1, period - lag))
    since_last = max(0, now_s - last_ts)
    return weighted_average(sample, last, since_last, max(0, period - since_last)), now_s


def _mark_samples(market: PerpMarket, oracle_price: int, reserve: int, prices: tuple[int, int]) -> tuple[int, int]:
    """What the program takes for the best bid and ask: the wider side of the quote, and the oracle on the other side.

    ``base_spread`` and half a spread are fractions, and the program takes them for prices here.
    """
    amm_bid, amm_ask = prices
    if market.long_spread == market.short_spread:
        middle = clamp(reserve, amm_bid, amm_ask)
        return middle, middle
    if market.long_spread > market.short_spread:
        bid = amm_ask
        if amm_ask > oracle_price:
            discount = min(market.base_spread, market.short_spread // 2, amm_ask - oracle_price)
            bid = max(oracle_price - discount, market.order_tick_size)
        bid = max(bid, amm_bid)
        return bid, max(amm_ask, bid)
    ask = amm_bid
    if amm_bid < oracle_price:
        ask = oracle_price + min(market.base_spread, market.long_spread // 2, oracle_price - amm_bid)
    return amm_bid, min(ask, amm_ask)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
