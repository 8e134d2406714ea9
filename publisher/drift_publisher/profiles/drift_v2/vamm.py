"""Bid and ask of the program's virtual AMM, in exact integers.

Source of the formulas: drift-labs/protocol-v2 (``math/amm.rs``, ``math/amm_spread.rs``, ``math/repeg.rs``) as driftpy
``math/amm.py`` evaluates them for a given account state; prices 1e-6, reserves 1e-9, peg 1e-6, spreads 1e-6.
"""

from __future__ import annotations

from math import isqrt
from typing import Final, NamedTuple

from drift_publisher.accounts import OraclePrice
from drift_publisher.integers import clamp
from drift_publisher.profiles.drift_v2.records import PerpMarket
from drift_publisher.profiles.drift_v2.spread import Spreads, reference_offset, spreads

__all__ = ["bid_ask_price"]

_PRICE: Final = 10**6
_PEG: Final = 10**6
_SPREAD: Final = 10**6
_QUOTE_RATIO: Final = 10**3
_RESERVE: Final = 10**9


class Curve(NamedTuple):
    """The AMM's curve after it has followed the oracle."""

    base: int
    quote: int
    sqrt_k: int
    peg: int
    terminal_quote: int
    fee_pool: int
    net_revenue: int

    @property
    def reserve_price(self) -> int:
        """Price at the curve's current point, 1e-6."""
        return _price(self.base, self.quote, self.peg)


def bid_ask_price(market: PerpMarket, oracle: OraclePrice | None, now: int) -> tuple[int, int] | None:
    """Returns (bid, ask), 1e-6, that the AMM would quote at this oracle price.

    Args:
        market: The market's account.
        oracle: The current oracle reading.
        now: Unix time in seconds; volatility and confidence terms fade with it.

    Returns:
        ``None`` where the state has no price: empty reserves, or no oracle price that is positive.
    """
    if oracle is None or oracle.price <= 0:
        return None
    if min(market.base_asset_reserve, market.quote_asset_reserve, market.sqrt_k) <= 0:
        return None
    if market.peg_multiplier <= 0:
        return None
    curve = _follow_oracle(market, oracle.price)
    if curve is None or curve.reserve_price <= 0:
        return None
    quoted = _quoted_spreads(market, curve, oracle, now)
    bid = _side_price(market, curve, quoted.offset - quoted.short, is_bid=True)
    ask = _side_price(market, curve, quoted.offset + quoted.long, is_bid=False)
    return None if bid is None or ask is None else (bid, ask)


def _price(base: int, quote: int, peg: int) -> int:
    return quote * _PRICE * peg // _PEG // base


def _peg_for(price: int, base: int, quote: int) -> int:
    return max(1, price * base // quote)


def _repeg_cost(curve: Curve, peg: int) -> int:
    return (curve.quote - curve.terminal_quote) * (peg - curve.peg) // (_QUOTE_RATIO * _PEG)


def _follow_oracle(market: PerpMarket, oracle_price: int) -> Curve | None:
    """The curve that the next trade would meet: the peg moves to the oracle as far as the fees allow."""
    curve = Curve(
        market.base_asset_reserve,
        market.quote_asset_reserve,
        market.sqrt_k,
        market.peg_multiplier,
        market.terminal_quote_asset_reserve,
        market.total_fee_minus_distributions,
        market.net_revenue_since_last_funding,
    )
    if market.curve_update_intensity == 0:
        return curve
    target, peg, budget = _affordable_peg(market, curve, oracle_price)
    cost = _repeg_cost(curve, peg)
    if cost < budget or cost <= 0:
        return _scaled(curve, market, 1, 1, peg, cost)
    smaller = _scaled(curve, market, 999, 1000, curve.peg, 0)
    if smaller is None:
        return None
    peg = _budgeted_peg(smaller, budget + _freed_by_smaller_k(market, curve, 999, 1000), target)
    cost = _repeg_cost(smaller, peg)
    return smaller._replace(peg=peg, fee_pool=curve.fee_pool - cost, net_revenue=curve.net_revenue - cost)


def _affordable_peg(market: PerpMarket, curve: Curve, oracle_price: int) -> tuple[int, int, int]:
    """Returns (target price, peg, budget): the oracle price, or as near to it as half the maximal spread."""
    peg = _peg_for(oracle_price, curve.base, curve.quote)
    budget = max(0, curve.fee_pool - market.total_exchange_fee // 2)
    if budget < _repeg_cost(curve, peg):
        half_max_spread = market.max_spread // 2 * oracle_price // _SPREAD
        gap = curve.reserve_price - oracle_price
        excess = abs(gap) - half_max_spread
        if excess > 0:
            target = curve.reserve_price + (excess if gap < 0 else -excess)
            peg = _peg_for(target, curve.base, curve.quote)
            return target, peg, _repeg_cost(curve, peg)
    return oracle_price, peg, budget


def _scaled(curve: Curve, market: PerpMarket, numerator: int, denominator: int, peg: int, cost: int) -> Curve | None:
    """The curve with its depth scaled, its peg moved at ``cost``, and where the AMM's position would be closed."""
    base = curve.base * numerator // denominator
    sqrt_k = curve.sqrt_k * numerator // denominator
    balanced = base + market.base_asset_amount_with_amm
    if base <= 0 or balanced <= 0:
        return None
    invariant = sqrt_k * sqrt_k
    quote = invariant // base
    if quote <= 0:
        return None
    return Curve(base, quote, sqrt_k, peg, invariant // balanced, curve.fee_pool - cost, curve.net_revenue - cost)


def _freed_by_smaller_k(market: PerpMarket, curve: Curve, numerator: int, denominator: int) -> int:
    """Quote (1e-6) that closing the AMM's position costs less, in magnitude, when its depth is scaled down.

    As the protocol's TypeScript SDK has it (``calculateAdjustKCost``); driftpy's port of it loses nine digits of one
    factor and all scaling of one term.
    """
    x, d = curve.base, market.base_asset_amount_with_amm
    value = curve.quote * abs(d) * curve.peg
    precise = 10**12
    p = numerator * _PRICE // denominator
    before = value * precise // (x + d)
    after = value * p * precise // _PRICE // (x * p // _PRICE + d)
    return abs(before - after) // (precise * _QUOTE_RATIO * _PEG)


def _budgeted_peg(curve: Curve, budget: int, target_price: int) -> int:
    per_peg = (curve.quote - curve.terminal_quote) // (_RESERVE // _PRICE)
    per_peg += (per_peg > 0) - (per_peg < 0)
    target_peg = target_price * curve.base // curve.quote
    change = target_peg - curve.peg
    if per_peg == 0 or per_peg * change < 0:
        return max(1, target_peg)
    return max(1, curve.peg + budget * _PEG // per_peg)


def _quoted_spreads(market: PerpMarket, curve: Curve, oracle: OraclePrice, now: int) -> Spreads:
    reserve_price = curve.reserve_price
    offset = reference_offset(market, curve.base, reserve_price)
    quoted = spreads(
        market,
        oracle,
        now,
        reserve_price=reserve_price,
        base=curve.base,
        net_quote_value=(curve.quote - curve.terminal_quote) * curve.peg // _RESERVE,
        fee_pool=curve.fee_pool,
        net_revenue=curve.net_revenue,
    )
    return _smoothed(market, quoted, offset)


def _smoothed(market: PerpMarket, quoted: Spreads, offset: int) -> Spreads:
    """A reference offset that changes sides moves there in small steps, with wider spreads meanwhile."""
    before = market.reference_price_offset
    if market.curve_update_intensity <= 100 or (offset < 0) == (before < 0):
        return Spreads(quoted.long, quoted.short, offset)
    step = min(10, abs(before) or abs(offset))
    if offset < before:
        moved = before - step
        return Spreads(quoted.long + step, quoted.short + abs(moved), moved)
    moved = before + step
    return Spreads(quoted.long + abs(moved), quoted.short + step, moved)


def _side_price(market: PerpMarket, curve: Curve, spread: int, *, is_bid: bool) -> int | None:
    quote = curve.quote
    if spread:
        fraction = max(1, abs(spread) // 2)
        if fraction > _SPREAD:
            return None
        quote += (1 if spread > 0 else -1) * (curve.quote // (_SPREAD // fraction))
    if market.contract_type == "Prediction" and spread:
        quote = clamp(quote, *_prediction_bounds(curve, is_bid=is_bid))
    if quote <= 0:
        return None
    base = curve.sqrt_k * curve.sqrt_k // quote if spread else curve.base
    return _price(base, quote, curve.peg) if base > 0 else None


def _prediction_bounds(curve: Curve, *, is_bid: bool) -> tuple[int, int]:
    """A prediction market's price stays between 0 and 1."""
    peg_root = isqrt(curve.peg * _PEG + 1) + 1
    if is_bid:
        return 0, curve.sqrt_k * 97_467 * peg_root // 100_000 // curve.peg
    return curve.sqrt_k * 22_361 * peg_root // 100_000 // curve.peg, curve.sqrt_k * peg_root // curve.peg
