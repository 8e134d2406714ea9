"""Bid and ask of Velocity's virtual AMM: its reserves, and the spreads that it keeps in the account.

Source: velocity-exchange/velocity-v1 ``vlp/amm/state.rs`` (``reserve_price``, ``bid_price``, ``ask_price``). The
program brings peg and spreads up to date when somebody trades or cranks; until then the account says what it quoted
last, at ``last_spread_update_slot``. That last word is published: nothing is guessed on top of it.
"""

from __future__ import annotations

from typing import Final

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.velocity_v1.records import PerpMarket

__all__ = ["quote", "reserve_price"]

_SPREAD: Final = 10**6
_U64_MAX: Final = 2**64 - 1


def reserve_price(market: PerpMarket) -> int | None:
    """Price at the curve's point, 1e-6; ``None`` where an empty reserve or peg gives none that fits 64 bits."""
    if min(market.base_asset_reserve, market.quote_asset_reserve, market.peg_multiplier) <= 0:
        return None
    price = market.quote_asset_reserve * market.peg_multiplier // market.base_asset_reserve
    return price if 0 < price <= _U64_MAX else None


def quote(market: PerpMarket, oracle: OraclePrice | None = None, now_s: int = 0) -> tuple[int, int] | None:  # noqa: ARG001 - other programs need them
    """Returns (bid, ask), 1e-6, or ``None`` where the state has no price.

    Neither the oracle nor the time is asked: their part is in the spreads that the account keeps.
    """
    middle = reserve_price(market)
    if middle is None:
        return None
    offset = market.reference_price_offset
    bid = middle * (_SPREAD - market.short_spread + offset) // _SPREAD
    ask = middle * (_SPREAD + market.long_spread + offset) // _SPREAD
    return (bid, ask) if 0 < bid <= ask <= _U64_MAX else None
