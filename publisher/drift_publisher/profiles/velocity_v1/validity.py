"""Whether Velocity itself would trust an oracle reading now, by the guard rails in its State.

Source: velocity-exchange/velocity-v1 ``math/oracle.rs`` (``oracle_validity``, ``is_oracle_valid_for_action``),
``state/spot_market.rs``, ``state/oracle_map.rs``. A perp market asks what its AMM asks before it fills with low risk, a
spot market what margin calculation asks. The verdict is on the exchange oracle's reading, which is the one that is
published as the oracle's; the program's fills judge the safe price (see ``mm_oracle``) by the same rails.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.velocity_v1.records import PerpMarket, SpotMarket, State
from drift_publisher.profiles.velocity_v1.slots import is_older, slots_of

__all__ = ["OracleVerdict", "is_too_volatile", "oldest_oracle_slots", "oracle_is_valid", "oracle_validity"]

_CONFIDENCE_PRECISION: Final = 10**6
_STABLE_COIN_SOURCE: Final = "PythLazerStableCoin"
_STABLE_COIN_PATIENCE: Final = 3
_AGELESS_SOURCE: Final = "QuoteAsset"
_CONTRACT_TIERS: Final = {"A": 1, "B": 1, "C": 2, "Speculative": 10}
_ASSET_TIERS: Final = {"Collateral": 1, "Protected": 1, "Cross": 5}
_OTHER_TIERS: Final = 50


class OracleVerdict(StrEnum):
    """What the program finds, the gravest first; the last but one still lets the AMM fill with low risk."""

    NON_POSITIVE = "NonPositive"
    TOO_VOLATILE = "TooVolatile"
    TOO_UNCERTAIN = "TooUncertain"
    STALE_FOR_MARGIN = "StaleForMargin"
    INSUFFICIENT_DATA_POINTS = "InsufficientDataPoints"
    STALE_FOR_AMM = "StaleForAMM"
    STALE_FOR_IMMEDIATE_FILLS = "StaleForImmediateFills"
    VALID = "Valid"


_FILLS_WITH_LOW_RISK: Final = frozenset({OracleVerdict.STALE_FOR_IMMEDIATE_FILLS, OracleVerdict.VALID})
_COUNTS_FOR_MARGIN: Final = frozenset({OracleVerdict.INSUFFICIENT_DATA_POINTS, OracleVerdict.VALID})


def oracle_is_valid(market: PerpMarket | SpotMarket, oracle: OraclePrice, state: State, slot: int) -> bool:
    """Whether the AMM would fill at this reading with low risk (perp), or margin would count it (spot)."""
    trusted = _FILLS_WITH_LOW_RISK if isinstance(market, PerpMarket) else _COUNTS_FOR_MARGIN
    return oracle_validity(market, oracle, state, slot) in trusted


def oracle_validity(market: PerpMarket | SpotMarket, oracle: OraclePrice, state: State, slot: int) -> OracleVerdict:
    """The program's verdict on a reading at ``slot``. A spot market has no AMM, and no verdict about one."""
    if oracle.price <= 0:
        return OracleVerdict.NON_POSITIVE
    if is_too_volatile(oracle.price, market.last_oracle_price_twap, state):
        return OracleVerdict.TOO_VOLATILE
    if oracle.confidence * _CONFIDENCE_PRECISION // oracle.price > (
        state.confidence_interval_max_size * _confidence_multiplier(market)
    ):
        return OracleVerdict.TOO_UNCERTAIN
    posted = slot if market.oracle_source == _AGELESS_SOURCE else oracle.slot
    if is_older(state, posted, slot, state.slots_before_stale_for_margin, patience=_patience(market)):
        return OracleVerdict.STALE_FOR_MARGIN
    if not oracle.has_sufficient_data_points:
        return OracleVerdict.INSUFFICIENT_DATA_POINTS
    if isinstance(market, SpotMarket):
        return OracleVerdict.VALID
    if is_older(state, posted, slot, market.oracle_low_risk_slot_delay_override or state.slots_before_stale_for_amm):
        return OracleVerdict.STALE_FOR_AMM
    # 0 forbids immediate fills; unset (below 0), the exchange oracle must be of this very slot
    if market.oracle_slot_delay_override == 0 or is_older(state, posted, slot, market.oracle_slot_delay_override):
        return OracleVerdict.STALE_FOR_IMMEDIATE_FILLS
    return OracleVerdict.VALID


def oldest_oracle_slots(market: PerpMarket | SpotMarket, state: State) -> int | None:
    """How many slots old a price may be for margin calculation; ``None`` where the program does not ask.

    In slots as short as the State announces, staged ones included: up to an epoch before a switch that is the more
    patient by an eighth or so. :func:`oracle_validity` knows its slot and is exact.
    """
    if market.oracle_source == _AGELESS_SOURCE:
        return None
    return slots_of(state, state.slots_before_stale_for_margin) * _patience(market)


def is_too_volatile(price: int, twap: int, state: State) -> bool:
    """Whether price and average are too many whole multiples apart; the price is positive."""
    return max(price, twap) // max(1, min(price, twap)) > state.too_volatile_ratio


def _patience(market: PerpMarket | SpotMarket) -> int:
    return _STABLE_COIN_PATIENCE if market.oracle_source == _STABLE_COIN_SOURCE else 1


def _confidence_multiplier(market: PerpMarket | SpotMarket) -> int:
    if isinstance(market, PerpMarket):
        return _CONTRACT_TIERS.get(market.contract_tier, _OTHER_TIERS)
    return _ASSET_TIERS.get(market.asset_tier, _OTHER_TIERS)
