"""The AMM's spreads: what volatility, inventory, leverage and losses add to the base spread.

Source: driftpy ``math/amm.py`` (``calculate_spread``, ``calculate_reference_price_offset``), in exact integers. A
spread is a fraction of price, 1e-6; inside this room spreads are kept over ``_UNIT`` so that no rounding creeps in.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from drift_publisher.accounts import OraclePrice
from drift_publisher.integers import clamp
from drift_publisher.profiles.drift_v2.records import PerpMarket

__all__ = ["Spreads", "inventory_ratio", "reference_offset", "spreads"]

_PERCENT: Final = 10**6
_UNIT: Final = 2 * _PERCENT
_MAX_SCALE: Final = 10
_LOSS_BEFORE_RETREAT: Final = -25 * 10**6
_FUNDING_BUFFER: Final = 10**3


class Spreads(NamedTuple):
    """Whole units of 1e-6: ask above and bid below the reserve price, and the shift of both."""

    long: int
    short: int
    offset: int = 0


def spreads(
    market: PerpMarket,
    oracle: OraclePrice,
    now: int,
    *,
    reserve_price: int,
    base: int,
    net_quote_value: int,
    fee_pool: int,
    net_revenue: int,
) -> Spreads:
    """Computes the spreads for a curve that has followed the oracle.

    Args:
        market: The market's account.
        oracle: The current oracle reading.
        now: Unix time in seconds.
        reserve_price: Price on the curve, 1e-6.
        base: Base reserve on the curve, 1e-9.
        net_quote_value: Quote that the AMM's position costs on the curve, 1e-6.
        fee_pool: Fees minus distributions after the repeg, 1e-6.
        net_revenue: Revenue since the last funding after the repeg, 1e-6.
    """
    if market.base_spread == 0 or market.curve_update_intensity == 0:
        return Spreads(market.base_spread // 2, market.base_spread // 2)
    position = market.base_asset_amount_with_amm
    gap_pct = (reserve_price - oracle.price) * _PERCENT // reserve_price
    confidence = _confidence_pct(market, oracle, reserve_price, now)
    deviation = _live_oracle_deviation(market, oracle, now)
    long_floor, short_floor = _volatility_spreads(market, confidence, reserve_price, deviation)

    half_base = market.base_spread * _UNIT // 2
    long = max(half_base, long_floor * _UNIT)
    short = max(half_base, short_floor * _UNIT)
    if gap_pct > 0:
        short = max(short, (gap_pct + short_floor) * _UNIT)
    elif gap_pct < 0:
        long = max(long, (-gap_pct + long_floor) * _UNIT)
    widest = max(
        market.max_spread,
        min(max(abs(gap_pct), confidence * 2, max(market.mark_std, deviation) * _PERCENT // reserve_price), _PERCENT),
    )

    if position > 0:
        long = long * _inventory_scale(market, base, long, widest) // _PERCENT
    elif position < 0:
        short = short * _inventory_scale(market, base, short, widest) // _PERCENT
    if fee_pool <= 0:
        long, short = long * _MAX_SCALE, short * _MAX_SCALE
    elif position > 0:
        long = _leveraged(long, position, reserve_price, net_quote_value, fee_pool)
    else:
        short = _leveraged(short, position, reserve_price, net_quote_value, fee_pool)

    retreat = _retreat(market.base_spread, net_revenue, widest)
    long += (retreat if position > 0 else retreat // 2) * _UNIT
    short += (retreat if position < 0 else retreat // 2) * _UNIT
    long = _adjusted(long, market.amm_inventory_spread_adjustment, long_floor)
    short = _adjusted(short, market.amm_inventory_spread_adjustment, short_floor)
    long, short = _within(long, short, widest)
    return Spreads(_final(long, market.amm_spread_adjustment), _final(short, market.amm_spread_adjustment))


def _confidence_pct(market: PerpMarket, oracle: OraclePrice, reserve_price: int, now: int) -> int:
    """Confidence interval over price, 1e-6; an earlier, wider one fades within some 20 s."""
    lower = market.last_oracle_conf_pct
    since = max(0, now - market.last_oracle_price_twap_ts)
    if since > 0:
        lower -= lower // max(21 - since, 5)
    return max(oracle.confidence * _PERCENT // reserve_price, lower)


def _live_oracle_deviation(market: PerpMarket, oracle: OraclePrice, now: int) -> int:
    since = max(1, now - market.last_oracle_price_twap_ts)
    start = max(0, market.funding_period - since)
    twap = market.last_oracle_price_twap
    bounded = clamp(oracle.price, twap - twap // 3, twap + twap // 3)
    live_twap = (twap * start + bounded * since) // (start + since)
    return abs(oracle.price - live_twap) + market.oracle_std * start // (start + since)


def _volatility_spreads(market: PerpMarket, confidence: int, reserve_price: int, deviation: int) -> tuple[int, int]:
    average = (market.mark_std + deviation) * _PERCENT // reserve_price // 4
    volatility = max(confidence, average // 2)
    floor = confidence // 20 if confidence <= _PERCENT // 400 else confidence
    volume = max(1, market.volume_24h)
    long_share = clamp(market.long_intensity_volume * _PERCENT // volume, _PERCENT // 100, _PERCENT)
    short_share = clamp(market.short_intensity_volume * _PERCENT // volume, _PERCENT // 100, _PERCENT)
    return max(floor, volatility * long_share // _PERCENT), max(floor, volatility * short_share // _PERCENT)


def _open_liquidity(market: PerpMarket, base: int) -> tuple[int, int]:
    return max(0, market.max_base_asset_reserve - base), max(0, base - market.min_base_asset_reserve)


def inventory_ratio(position: int, liquidity: int) -> int:
    """The AMM's position over the liquidity that is left, 1e-6, at most 1."""
    return min(abs(position * _PERCENT // max(liquidity, 1)), _PERCENT)


def _inventory_scale(market: PerpMarket, base: int, spread: int, widest: int) -> int:
    ratio = inventory_ratio(market.base_asset_amount_with_amm, min(_open_liquidity(market, base)))
    most = max(10 * _PERCENT, widest * _PERCENT * _UNIT // max(spread, _UNIT))
    return min(most, _PERCENT + most * ratio // _PERCENT)


def _leveraged(spread: int, position: int, reserve_price: int, net_quote_value: int, fee_pool: int) -> int:
    """Scales by 1 + leverage, at most 10; leverage is the position's value not covered by the curve over fees."""
    uncovered = max(0, position * reserve_price // 10**9 - net_quote_value)
    capital = (fee_pool + 1) * _PERCENT
    scale = min(_MAX_SCALE * capital, capital + uncovered * _PERCENT + fee_pool + 1)
    return spread * scale // (capital * _UNIT) * _UNIT


def _retreat(base_spread: int, net_revenue: int, widest: int) -> int:
    if net_revenue >= _LOSS_BEFORE_RETREAT:
        return 0
    most = widest // 10
    if net_revenue < _LOSS_BEFORE_RETREAT * 1000:
        return most
    return min(most, base_spread * abs(net_revenue) // abs(_LOSS_BEFORE_RETREAT))


def _adjusted(spread: int, percent: int, floor: int) -> int:
    if percent == 0:
        return spread
    change = spread * abs(percent)
    whole = change // (100 * _UNIT) if percent < 0 else -(-change // (100 * _UNIT))
    return max(floor * _UNIT, _UNIT, spread + (whole if percent > 0 else -whole) * _UNIT)


def _within(long: int, short: int, widest: int) -> tuple[int, int]:
    total = long + short
    if total <= widest * _UNIT:
        return long, short
    larger = -(-max(long, short) * widest // total)
    smaller = widest - larger
    return (larger * _UNIT, smaller * _UNIT) if long > short else (smaller * _UNIT, larger * _UNIT)


def _final(spread: int, percent: int) -> int:
    if percent == 0:
        return spread // _UNIT
    return max(spread * (100 + percent) // (100 * _UNIT), 1)


def reference_offset(market: PerpMarket, base: int, reserve_price: int) -> int:
    """How far, 1e-6, the AMM shifts both quotes toward a lasting premium that its inventory agrees with."""
    intensity = market.curve_update_intensity
    if intensity <= 100 or market.last_24h_avg_funding_rate == 0:
        return 0
    half_spread = market.max_spread // 2
    most = max(half_spread, 10_000) if intensity == 200 else min(half_spread, 100 * (intensity - 100))
    position = market.base_asset_amount_with_amm
    ratio = inventory_ratio(position, sum(_open_liquidity(market, base)) // 2)
    ratio -= min(ratio, market.reference_price_offset_deadband_pct * _PERCENT // 100)
    if ratio == 0:
        return 0
    bound = most * reserve_price // _PERCENT
    premiums = (
        market.last_mark_price_twap_5min - market.last_oracle_price_twap_5min,
        market.last_mark_price_twap - market.last_oracle_price_twap,
        market.last_24h_avg_funding_rate // _FUNDING_BUFFER * 24,
    )
    average = sum(clamp(premium, -bound, bound) for premium in premiums) // 3
    average_pct = average * _PERCENT // reserve_price
    if (position + market.base_asset_amount_with_unsettled_lp < 0) != (average_pct < 0):
        return 0
    return clamp(average_pct * ratio // 2, -most, most)
