"""Static and slow facts of a perp market."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from drift_schemas.event_base import MarketDataEvent, Number, ScaledMarketData
from drift_schemas.quantities import BaseAmount, MarginRatio, Price, QuoteAmount, Seconds
from drift_schemas.rates import open_interest
from drift_schemas.subjects import Kind
from drift_schemas.widths import I128, U64, U128

__all__ = ["MarketEvent", "ScaledMarket"]


class ScaledMarket(ScaledMarketData[Number]):
    """The integer fields of :class:`MarketEvent` in natural units."""

    __slots__ = ()

    open_interest_long: Number
    open_interest_short: Number
    max_open_interest: Number
    volume_24h: Number
    margin_ratio_initial: Number
    margin_ratio_maintenance: Number
    order_step_size: Number
    order_tick_size: Number
    min_order_size: Number
    expiry_ts: Number


class MarketEvent(MarketDataEvent):
    """Static and slow facts of one perp market."""

    kind: ClassVar[Kind] = "market"

    symbol: str
    """The on-chain name as it stands there, right-trimmed."""
    status: str
    """``Active``, ``ReduceOnly``, ``Settlement``, … or ``Unknown(n)``."""
    contract_type: str
    """``Perpetual``, ``Future``, ``Prediction`` or ``Unknown(n)``."""
    contract_tier: str
    """``A``, ``B``, ``C``, ``Speculative``, ``HighlySpeculative``, ``Isolated`` or ``Unknown(n)``."""
    paused_operations: int
    """Bit set: 1 funding, 2 AMM fill, 4 fill, 8 settle PnL, 16 settle PnL with position, 32 liquidation,
    64 AMM immediate fill."""
    open_interest_long: I128[BaseAmount]
    """Sum of all longs. Source: ``amm.base_asset_amount_long``."""
    open_interest_short: I128[BaseAmount]
    """Sum of all shorts, as a positive number. Source: ``-amm.base_asset_amount_short``."""
    max_open_interest: U128[BaseAmount]
    """The cap; 0 means none. Source: ``amm.max_open_interest``."""
    volume_24h: U64[QuoteAmount]
    """The program's running 24 h volume. Source: ``amm.volume_24h``."""
    margin_ratio_initial: MarginRatio
    """Initial margin ratio: 500 is 5 %, 20x."""
    margin_ratio_maintenance: MarginRatio
    """Maintenance margin ratio."""
    order_step_size: U64[BaseAmount]
    """Smallest step of an order's size."""
    order_tick_size: U64[Price]
    """Smallest step of an order's price."""
    min_order_size: U64[BaseAmount]
    """Smallest order."""
    number_of_users: int
    """Users with any position in the market."""
    expiry_ts: Seconds
    """When the market expires; 0 means never."""
    oracle: str
    """Address of the oracle account."""
    oracle_source: str
    """How the oracle account is read, or ``Unknown(n)``."""

    @property
    def open_interest(self) -> int:
        """The larger side, base 1e-9 (not the sum of the two)."""
        return open_interest(self.open_interest_long, self.open_interest_short)

    @property
    def exact(self) -> ScaledMarket[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.open_interest_long``."""
        return ScaledMarket(self, Decimal)

    @property
    def floats(self) -> ScaledMarket[float]:
        """The integer fields in natural units, convenient: ``event.floats.open_interest_long``."""
        return ScaledMarket(self, float)
