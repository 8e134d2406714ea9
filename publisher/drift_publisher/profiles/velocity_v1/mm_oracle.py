"""Velocity's MM oracle, a price that its crank writes into the market itself, and the "safe" price made of both.

Source: velocity-exchange/velocity-v1 ``state/perp_market.rs`` (``get_mm_oracle_price_data``), ``state/oracle.rs``
(``MMOraclePriceData``). Prices and confidence 1e-6.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.velocity_v1.records import PerpMarket, State
from drift_publisher.profiles.velocity_v1.validity import is_too_volatile

__all__ = ["SafePrice", "price_extras", "safe_price"]

_PERCENTAGE: Final = 10**6
_MAX_DIFFERENCE: Final = 10**4
_COMPARABLE_IDS: Final = 10**4
_U64_MAX: Final = 2**64 - 1


class SafePrice(NamedTuple):
    """The price that the program's fills go by."""

    price: int
    confidence: int
    is_mm_sourced: bool


def price_extras(market: PerpMarket, oracle: OraclePrice | None, state: State | None, slot: int) -> dict[str, Any]:
    """What a perp market's price event says beyond the oracle's reading.

    Args:
        market: The market's account.
        oracle: The exchange oracle's reading, or none: then no price is called safe.
        state: The program's State, or none: likewise, for its rails say what is too volatile.
        slot: The chain's newest slot.
    """
    has_mm = market.mm_oracle_price != 0
    safe = None if oracle is None or state is None else safe_price(market, oracle, state, slot)
    return {
        "mm_oracle_price": market.mm_oracle_price if has_mm else None,
        "mm_oracle_slot": market.mm_oracle_slot if has_mm else None,
        "safe_oracle_price": None if safe is None else safe.price,
        "safe_oracle_confidence": None if safe is None else safe.confidence,
    }


def safe_price(market: PerpMarket, oracle: OraclePrice, state: State, slot: int) -> SafePrice:
    """The MM oracle's price where it can be used, its interval reaching to the exchange oracle; else the latter's.

    It can be used unless it is not positive, too far from the average, more than 1 % from the exchange oracle, or
    older than that.
    """
    price = market.mm_oracle_price
    difference = abs(price - oracle.price)
    if (
        price <= 0
        or is_too_volatile(price, market.last_oracle_price_twap, state)
        or difference * _PERCENTAGE // max(1, abs(oracle.price)) > _MAX_DIFFERENCE
        or _exchange_is_newer(market, oracle, slot)
    ):
        return SafePrice(oracle.price, oracle.confidence, is_mm_sourced=False)
    return SafePrice(price, min(oracle.confidence + difference, _U64_MAX), is_mm_sourced=True)


def _exchange_is_newer(market: PerpMarket, oracle: OraclePrice, slot: int) -> bool:
    """By the ids where both are there and of one kind (microseconds a few days apart at most), else by slots."""
    exchange_id, mm_id = oracle.sequence_id, market.mm_oracle_sequence_id
    if exchange_id and mm_id and abs(exchange_id - mm_id) < exchange_id // _COMPARABLE_IDS:
        return exchange_id > mm_id
    delay = slot - oracle.slot
    if market.oracle_source == "Prelaunch":
        delay = max(0, delay)
    return slot - market.mm_oracle_slot > delay
