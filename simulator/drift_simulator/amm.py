"""The AMM behind a perp market: peg, spread reserves and the time-weighted averages the program keeps.

The functions work on a PerpMarket :class:`Record` and follow the program's integer rules (math/amm.rs).
Two things are the simulator's own: the peg follows the oracle plus a premium at once, without the program's
budget for repegging, and the curve's depth (sqrt_k) stays as it is.
"""

from __future__ import annotations

from typing import Final

from .arithmetic import (
    FIVE_MINUTES,
    ONE_HOUR,
    ONE_MINUTE,
    PERCENTAGE,
    clamp,
    new_twap,
    quotient,
    rolling_sum,
    sanitize_price,
    sign,
    weighted_average,
)
from .layout import Record
from .oracles import OraclePrice
from .spread import update_spreads

__all__ = [
    "bid_ask_price",
    "follow_oracle",
    "reserve_price",
    "swap_base",
    "update_mark_twap",
    "update_oracle_twap",
]

_CLAMP_BY_TIER: Final = {0: 10, 1: 5, 2: 2}


def reserve_price(market: Record) -> int:
    """Return the price between the spreads, 1e-6; at least 1, as a share of it must be defined."""
    quote, base = market["quote_asset_reserve"], market["base_asset_reserve"]
    return max(1, quote * market["peg_multiplier"] // base)


def bid_ask_price(market: Record, reserve: int) -> tuple[int, int]:
    """Return the AMM's bid and ask around a reserve price, 1e-6."""
    offset = market["reference_price_offset"]
    bid = reserve * (PERCENTAGE - market["short_spread"] + offset) // PERCENTAGE
    ask = reserve * (PERCENTAGE + market["long_spread"] + offset) // PERCENTAGE
    return bid, ask


def clamp_denominator(market: Record) -> int | None:
    """Return how far one price may be from its average, by contract tier."""
    return _CLAMP_BY_TIER.get(market["contract_tier"])


def follow_oracle(
    market: Record, oracle: OraclePrice, premium: float, now: int, slot: int, *, reseed_after_s: int | None = None
) -> None:
    """Let the AMM follow its oracle: peg, oracle averages, spreads, then mark averages.

    Args:
        market: The PerpMarket record, changed in place.
        oracle: The oracle as read for this market.
        premium: How far the reserve price is to be above the oracle, as a fraction.
        now: Unix time in seconds.
        slot: Current slot.
        reseed_after_s: As of :func:`update_mark_twap`.
    """
    target = max(1, round(oracle.price * (1 + premium)))
    base, quote = market["base_asset_reserve"], market["quote_asset_reserve"]
    market["peg_multiplier"] = max(1, target * base // quote)
    update_oracle_twap(market, oracle, now)
    update_spreads(market, reserve_price(market))
    market["last_update_slot"] = slot
    market["last_oracle_valid"] = 1
    bid, ask = bid_ask_price(market, reserve_price(market))
    update_mark_twap(market, now, bid, ask, reseed_after_s=reseed_after_s)


def update_oracle_twap(market: Record, oracle: OraclePrice, now: int) -> int:
    """Take a new oracle price into the market's oracle averages and return the funding-period average."""
    history = "historical_oracle_data."
    reserve = reserve_price(market)
    price = _normalised_price(reserve, oracle)
    twap = market[history + "last_oracle_price_twap"]
    twap_5min = market[history + "last_oracle_price_twap5min"]
    capped = sanitize_price(price, twap, clamp_denominator(market))
    if capped <= 0 or price <= 0:
        return twap
    last_ts = market[history + "last_oracle_price_twap_ts"]
    period = market["funding_period"]
    next_twap = _oracle_average(market, capped, twap, market["last_mark_price_twap"], period, now)
    next_5min = _oracle_average(market, capped, twap_5min, market["last_mark_price_twap5min"], FIVE_MINUTES, now)
    change = max(abs(price - twap), abs(price - twap_5min))
    since_last = max(1, now - last_ts)
    market.update(
        {
            "last_oracle_normalised_price": capped,
            "historical_oracle_data.last_oracle_price": oracle.price,
            "last_oracle_conf_pct": _confidence_pct(market, oracle.confidence, reserve, now),
            "historical_oracle_data.last_oracle_delay": oracle.delay,
            "last_oracle_reserve_price_spread_pct": quotient((reserve - oracle.price) * PERCENTAGE, reserve),
            "oracle_std": rolling_sum(market["oracle_std"], change, max(ONE_HOUR, since_last), ONE_HOUR),
            "historical_oracle_data.last_oracle_price_twap5min": next_5min,
            "historical_oracle_data.last_oracle_price_twap": next_twap,
            "historical_oracle_data.last_oracle_price_twap_ts": now,
        },
    )
    return next_twap


def update_mark_twap(
    market: Record,
    now: int,
    bid: int,
    ask: int,
    trade_price: int | None = None,
    *,
    reseed_after_s: int | None = None,
) -> int:
    """Take a bid and an ask into the market's mark averages and return the mid of the two averages.

    Args:
        market: The PerpMarket record, changed in place.
        now: Unix time in seconds.
        bid: Best bid, 1e-6.
        ask: Best ask, 1e-6.
        trade_price: What somebody traded at; None: the middle.
        reseed_after_s: Averages not written for longer become those of the oracle; None: however old, they count.
    """
    tier = clamp_denominator(market)
    period, last_ts = market["funding_period"], market["last_mark_price_twap_ts"]
    if reseed_after_s is not None and now - last_ts > reseed_after_s:
        return _reseed(market, now)
    last_bid, last_ask = market["last_bid_price_twap"], market["last_ask_price_twap"]
    capped_bid = sanitize_price(bid, last_bid, tier)
    capped_ask = sanitize_price(ask, last_ask, tier)
    oracle_twap = market["historical_oracle_data.last_oracle_price_twap"]
    tradeless = market["historical_oracle_data.last_oracle_price_twap_ts"] - last_ts
    if tradeless > max(period // 60, ONE_MINUTE):
        rest = max(0, period - tradeless)
        last_bid = weighted_average(oracle_twap, last_bid, tradeless, rest, sign(oracle_twap - last_bid))
        last_ask = weighted_average(oracle_twap, last_ask, tradeless, rest, sign(oracle_twap - last_ask))
    bid_twap = new_twap(capped_bid, now, last_bid, last_ts, period)
    ask_twap = new_twap(capped_ask, now, last_ask, last_ts, period)
    mid_twap = (bid_twap + ask_twap) // 2
    price = trade_price if trade_price is not None else (bid + ask) // 2
    mark, mark_5min = market["last_mark_price_twap"], market["last_mark_price_twap5min"]
    change = max(abs(price - mark), abs(price - mark_5min))
    since_last = max(1, now - last_ts)
    market.update(
        {
            "last_bid_price_twap": bid_twap,
            "last_ask_price_twap": ask_twap,
            "mark_std": rolling_sum(market["mark_std"], change, max(ONE_HOUR, since_last), ONE_HOUR),
            "last_mark_price_twap": mid_twap,
            "last_mark_price_twap5min": new_twap((capped_bid + capped_ask) // 2, now, mark_5min, last_ts, FIVE_MINUTES),
            "last_mark_price_twap_ts": now,
        },
    )
    return mid_twap


def swap_base(market: Record, base_amount: int) -> int:
    """Let users buy ``base_amount`` (1e-9, negative: sell) from the curve; return what they pay, 1e-6."""
    base, quote = market["base_asset_reserve"], market["quote_asset_reserve"]
    invariant = market["sqrt_k"] ** 2
    new_base = clamp(base - base_amount, market["min_base_asset_reserve"], market["max_base_asset_reserve"])
    new_quote = invariant // new_base
    net = market["base_asset_amount_with_amm"] + (base - new_base)
    market.update(
        {
            "base_asset_reserve": new_base,
            "quote_asset_reserve": new_quote,
            "base_asset_amount_with_amm": net,
            "terminal_quote_asset_reserve": invariant // max(1, new_base + net),
        },
    )
    return quotient((new_quote - quote) * market["peg_multiplier"], 10**9)


def _reseed(market: Record, now: int) -> int:
    twap = market["historical_oracle_data.last_oracle_price_twap"]
    market.update(
        {
            "last_bid_price_twap": twap,
            "last_ask_price_twap": twap,
            "last_mark_price_twap": twap,
            "last_mark_price_twap5min": market["historical_oracle_data.last_oracle_price_twap5min"],
            "last_mark_price_twap_ts": now,
        }
    )
    return twap


def _normalised_price(reserve: int, oracle: OraclePrice) -> int:
    band = reserve // 4000
    if reserve > oracle.price:
        return min(max(reserve - band, oracle.price), oracle.price + oracle.confidence)
    return max(min(reserve + band, oracle.price), oracle.price - oracle.confidence)


def _oracle_average(market: Record, price: int, twap: int, mark_twap: int, period: int, now: int) -> int:
    last_ts = market["historical_oracle_data.last_oracle_price_twap_ts"]
    since_last = max(int(period == 0), now - last_ts)
    outage = market["last_mark_price_twap_ts"] - last_ts
    if outage > 0:
        price = weighted_average(mark_twap, price, outage, max(1, period - outage))
    return weighted_average(price, twap, since_last, max(0, period - since_last))


def _confidence_pct(market: Record, confidence: int, reserve: int, now: int) -> int:
    last = market["last_oracle_conf_pct"]
    since_last = max(0, now - market["historical_oracle_data.last_oracle_price_twap_ts"])
    floor = last - last // max(21 - since_last, 5) if since_last > 0 else last
    return max(confidence * PERCENTAGE // reserve, floor)
