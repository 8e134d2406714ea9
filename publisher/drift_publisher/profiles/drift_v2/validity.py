"""Whether the program itself would trust an oracle reading now.

Source: drift-labs/protocol-v2 ``math/oracle.rs`` (``oracle_validity``, ``is_oracle_valid_for_action``). A perp market
asks what its AMM asks before it fills, a spot market what margin calculation asks.
"""

from __future__ import annotations

from typing import Final

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.drift_v2.records import PerpMarket, SpotMarket, State

__all__ = ["oldest_oracle_slots", "oracle_is_valid"]

_CONFIDENCE_PRECISION: Final = 10**6
_STABLE_COIN_PATIENCE: Final = 3
_STABLE_COIN_SOURCES: Final = frozenset({"PythStableCoinPull", "PythLazerStableCoin"})
_AGELESS_SOURCES: Final = frozenset({"Prelaunch", "QuoteAsset"})
_PERP_CONFIDENCE: Final = {"A": 1, "B": 1, "C": 2, "Speculative": 10}
_SPOT_CONFIDENCE: Final = {"Collateral": 1, "Protected": 1, "Cross": 5}
_WIDEST_CONFIDENCE: Final = 50


def oracle_is_valid(market: PerpMarket | SpotMarket, oracle: OraclePrice, state: State, slot: int) -> bool:
    """Positive, not too volatile, not too uncertain, not too old at ``slot``; perp markets want enough data points."""
    price, twap = oracle.price, market.last_oracle_price_twap
    if price <= 0 or max(price, twap) // max(1, min(price, twap)) > state.too_volatile_ratio:
        return False
    oldest = oldest_oracle_slots(market, state)
    if isinstance(market, PerpMarket):
        if not oracle.has_sufficient_data_points:
            return False
        multiplier = _PERP_CONFIDENCE.get(market.contract_tier, _WIDEST_CONFIDENCE)
        if oldest is not None:
            oldest = min(oldest, state.slots_before_stale_for_amm)
    else:
        multiplier = _SPOT_CONFIDENCE.get(market.asset_tier, _WIDEST_CONFIDENCE)
    if oracle.confidence * _CONFIDENCE_PRECISION // price > state.confidence_interval_max_size * multiplier:
        return False
    return oldest is None or slot - oracle.slot <= oldest


def oldest_oracle_slots(market: PerpMarket | SpotMarket, state: State) -> int | None:
    """How many slots old a price may be for margin calculation; ``None`` where the program does not ask."""
    if market.oracle_source in _AGELESS_SOURCES:
        return None
    patience = _STABLE_COIN_PATIENCE if market.oracle_source in _STABLE_COIN_SOURCES else 1
    return state.slots_before_stale_for_margin * patience
