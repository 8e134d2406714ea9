"""Balances, rates and weights of a spot market."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from drift_schemas.event_base import MarketDataEvent, Number, ScaledMarketData
from drift_schemas.quantities import Fraction, Interest, SpotBalance, Weight, YearlyRate
from drift_schemas.subjects import Kind
from drift_schemas.widths import U128

__all__ = ["ScaledSpotMarket", "SpotMarketEvent"]


class ScaledSpotMarket(ScaledMarketData[Number]):
    """The integer fields of :class:`SpotMarketEvent` in natural units."""

    __slots__ = ()

    deposit_balance: Number
    borrow_balance: Number
    utilization: Number
    deposit_rate: Number
    borrow_rate: Number
    cumulative_deposit_interest: Number
    cumulative_borrow_interest: Number
    initial_asset_weight: Number
    maintenance_asset_weight: Number
    initial_liability_weight: Number
    maintenance_liability_weight: Number


class SpotMarketEvent(MarketDataEvent):
    """State of one spot market: balances, rates, weights."""

    kind: ClassVar[Kind] = "spot"

    symbol: str
    """The on-chain name as it stands there, right-trimmed."""
    status: str
    """``Active``, ``ReduceOnly``, … or ``Unknown(n)``."""
    asset_tier: str
    """``Collateral``, ``Protected``, ``Cross``, ``Isolated``, ``Unlisted`` or ``Unknown(n)``."""
    mint: str
    """Address of the token's mint."""
    decimals: int
    """Decimals of the token."""
    deposit_balance: U128[SpotBalance]
    """Scaled deposits: times ``cumulative_deposit_interest`` gives tokens."""
    borrow_balance: U128[SpotBalance]
    """Scaled borrows: times ``cumulative_borrow_interest`` gives tokens."""
    utilization: Fraction
    """Borrowed tokens over deposited tokens."""
    deposit_rate: YearlyRate
    """What depositors earn now, by the program's curve."""
    borrow_rate: YearlyRate
    """What borrowers pay now, by the program's curve."""
    cumulative_deposit_interest: U128[Interest]
    """Tokens per scaled deposit."""
    cumulative_borrow_interest: U128[Interest]
    """Tokens per scaled borrow."""
    initial_asset_weight: Weight
    """Collateral weight of a deposit for opening risk."""
    maintenance_asset_weight: Weight
    """Collateral weight of a deposit for keeping risk."""
    initial_liability_weight: Weight
    """Liability weight of a borrow for opening risk."""
    maintenance_liability_weight: Weight
    """Liability weight of a borrow for keeping risk."""
    oracle: str
    """Address of the oracle account."""
    oracle_source: str
    """How the oracle account is read, or ``Unknown(n)``."""

    @property
    def exact(self) -> ScaledSpotMarket[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.deposit_rate``."""
        return ScaledSpotMarket(self, Decimal)

    @property
    def floats(self) -> ScaledSpotMarket[float]:
        """The integer fields in natural units, convenient: ``event.floats.deposit_rate``."""
        return ScaledSpotMarket(self, float)
