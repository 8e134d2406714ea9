"""How far the AMM quotes from its reserve price (the program's math/amm_spread.rs)."""

from __future__ import annotations

from math import isqrt
from typing import Final

from .arithmetic import PERCENTAGE, clamp, quotient
from .layout import Record

__all__ = ["spread_reserves", "spreads", "update_spreads"]

_MAX_SKEW: Final = 10 * PERCENTAGE
_LARGE_FACTOR: Final = 10 * PERCENTAGE
_RETREAT: Final = -25_000_000
_PREDICTION: Final = 2


def update_spreads(market: Record, reserve: int) -> None:
    """Recompute long and short spread and the four bid and ask reserves from the market's state."""
    long_spread, short_spread = spreads(market, reserve)
    market["long_spread"], market["short_spread"] = long_spread, short_spread
    ask_base, ask_quote = spread_reserves(market, long_spread + market["reference_price_offset"], is_ask=True)
    bid_base, bid_quote = spread_reserves(market, market["reference_price_offset"] - short_spread, is_ask=False)
    market.update(
        {
            "ask_base_asset_reserve": ask_base,
            "ask_quote_asset_reserve": ask_quote,
            "bid_base_asset_reserve": bid_base,
            "bid_quote_asset_reserve": bid_quote,
        },
    )


def spread_reserves(market: Record, offset: int, *, is_ask: bool) -> tuple[int, int]:
    """Return base and quote reserve moved by a signed spread (1e-6 of the price)."""
    quote = market["quote_asset_reserve"]
    if abs(offset) > 1:
        quote += quotient(quote, quotient(PERCENTAGE, quotient(offset, 2)))
    if market["contract_type"] == _PREDICTION:
        quote = clamp(quote, *_prediction_bounds(market, is_ask=is_ask))
    return market["sqrt_k"] ** 2 // quote, quote


def spreads(market: Record, reserve: int) -> tuple[int, int]:
    """Return long and short spread, 1e-6 of the price."""
    gap = market["last_oracle_reserve_price_spread_pct"]
    confidence = market["last_oracle_conf_pct"]
    long_floor, short_floor = _volatility_floors(market, reserve, confidence)
    half = market["base_spread"] // 2
    long_spread, short_spread = max(half, long_floor), max(half, short_floor)
    deviation = max(market["mark_std"], market["oracle_std"]) * PERCENTAGE // reserve
    limit = max(market["max_spread"], abs(gap), min(max(confidence * 2, deviation), PERCENTAGE))

    if gap < 0:
        long_spread = max(long_spread, -gap + long_floor)
    elif gap > 0:
        short_spread = max(short_spread, gap + short_floor)

    net = market["base_asset_amount_with_amm"]
    scale = _inventory_scale(market, net, long_spread if net > 0 else short_spread, limit)
    if market["total_fee_minus_distributions"] <= 0:
        long_factor = short_factor = _LARGE_FACTOR
    else:
        leverage = _leverage_scale(market, net, reserve)
        long_factor = leverage if net > 0 else PERCENTAGE
        short_factor = leverage if net < 0 else PERCENTAGE
    if net > 0:
        long_spread = long_spread * scale // PERCENTAGE
    elif net < 0:
        short_spread = short_spread * scale // PERCENTAGE
    long_spread = long_spread * long_factor // PERCENTAGE
    short_spread = short_spread * short_factor // PERCENTAGE

    retreat = _revenue_retreat(market, limit)
    long_spread += retreat if net > 0 else retreat // 2
    short_spread += retreat if net < 0 else retreat // 2
    return _cap(long_spread, short_spread, limit)


def _cap(long_spread: int, short_spread: int, limit: int) -> tuple[int, int]:
    total = long_spread + short_spread
    if total <= limit:
        return long_spread, short_spread
    if long_spread > short_spread:
        long_spread = -(-long_spread * limit // total)
        return long_spread, limit - long_spread
    short_spread = -(-short_spread * limit // total)
    return limit - short_spread, short_spread


def _volatility_floors(market: Record, reserve: int, confidence: int) -> tuple[int, int]:
    deviation = (market["oracle_std"] + market["mark_std"]) * PERCENTAGE // reserve // 2
    volatility = max(confidence, deviation // 4)
    volume = max(market["volume24h"], 1)
    component = confidence if confidence > PERCENTAGE // 400 else confidence // 20
    long_factor = clamp(market["long_intensity_volume"] * PERCENTAGE // volume, PERCENTAGE // 100, PERCENTAGE)
    short_factor = clamp(market["short_intensity_volume"] * PERCENTAGE // volume, PERCENTAGE // 100, PERCENTAGE)
    return (
        max(component, volatility * long_factor // PERCENTAGE),
        max(component, volatility * short_factor // PERCENTAGE),
    )


def _inventory_scale(market: Record, net: int, spread: int, limit: int) -> int:
    if net == 0:
        return PERCENTAGE
    base = market["base_asset_reserve"]
    bids = max(0, base - market["min_base_asset_reserve"])
    asks = max(0, market["max_base_asset_reserve"] - base)
    liquidity = min(bids, asks)
    share = min(abs(net) * PERCENTAGE // max(liquidity, 1), PERCENTAGE) if abs(net) < liquidity else PERCENTAGE
    most = max(_MAX_SKEW, limit * PERCENTAGE // max(spread, 1))
    return min(most, PERCENTAGE + most * share // PERCENTAGE)


def _leverage_scale(market: Record, net: int, reserve: int) -> int:
    reserves = market["quote_asset_reserve"] - market["terminal_quote_asset_reserve"]
    net_value = quotient(reserves * market["peg_multiplier"], 10**9)
    local_value = quotient(net * reserve, 10**9)
    leverage = max(0, local_value - net_value) * PERCENTAGE
    leverage //= max(0, market["total_fee_minus_distributions"]) + 1
    return min(_MAX_SKEW, PERCENTAGE + leverage + 1)


def _revenue_retreat(market: Record, limit: int) -> int:
    revenue = market["net_revenue_since_last_funding"]
    if revenue >= _RETREAT:
        return 0
    most = limit // 10
    if revenue < _RETREAT * 1000:
        return most
    return min(most, market["base_spread"] * -revenue // -_RETREAT)


def _prediction_bounds(market: Record, *, is_ask: bool) -> tuple[int, int]:
    """Keep a prediction market's quotes inside 0 … 1: asks at 0.05 or more, bids at 0.95 or less."""
    peg, root = market["peg_multiplier"], market["sqrt_k"]
    peg_root = isqrt(peg * PERCENTAGE + 1) + 1
    highest = root * peg_root // peg
    if is_ask:
        return root * 22_361 * peg_root // 100_000 // peg, highest
    return 1, root * 97_467 * peg_root // 100_000 // peg
