"""Prices of a perp or spot market."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from drift_schemas.event_base import MarketDataEvent, Number, ScaledMarketData
from drift_schemas.quantities import Price
from drift_schemas.rates import basis
from drift_schemas.subjects import Kind
from drift_schemas.widths import U64

__all__ = ["PriceEvent", "ScaledPrice"]


class ScaledPrice(ScaledMarketData[Number]):
    """The integer fields of :class:`PriceEvent` in natural units."""

    __slots__ = ()

    oracle_price: Number | None
    oracle_confidence: Number | None
    bid_price: Number | None
    ask_price: Number | None
    mark_price: Number | None
    mark_twap: Number | None
    mark_twap_5min: Number | None
    oracle_twap: Number
    oracle_twap_5min: Number
    mm_oracle_price: Number | None
    safe_oracle_price: Number | None
    safe_oracle_confidence: Number | None


class PriceEvent(MarketDataEvent):
    """Oracle and mark prices of one market. Spot markets have an oracle price only."""

    kind: ClassVar[Kind] = "price"

    oracle_price: Price | None
    """Price in the oracle account, brought to 1e-6; ``None`` where the account is missing."""
    oracle_confidence: U64[Price] | None
    """Confidence interval in the oracle account, brought to 1e-6."""
    oracle_slot: U64[int] | None
    """Slot at which the oracle account was posted."""
    oracle_source: str
    """How the oracle account is read: ``PythLazer``, ``PythPull``, … or ``Unknown(n)``."""
    oracle_is_valid: bool
    """The program's own test: positive, fresh, not too volatile, not too uncertain."""
    bid_price: U64[Price] | None
    """The AMM's bid for the next trade; ``None`` for a spot market or without an oracle."""
    ask_price: U64[Price] | None
    """The AMM's ask for the next trade; ``None`` for a spot market or without an oracle."""
    mark_price: U64[Price] | None
    """Mid of the AMM's bid and ask, rounded down; ``None`` for a spot market or without an oracle."""
    mark_twap: U64[Price] | None
    """Mark TWAP over the funding period. Source: ``amm.last_mark_price_twap``; ``None`` for a spot market."""
    mark_twap_5min: U64[Price] | None
    """Mark TWAP over five minutes. Source: ``amm.last_mark_price_twap_5min``; ``None`` for a spot market."""
    oracle_twap: Price
    """Oracle TWAP. Source: ``historical_oracle_data.last_oracle_price_twap``."""
    oracle_twap_5min: Price
    """Oracle TWAP over five minutes. Source: ``historical_oracle_data.last_oracle_price_twap_5min``."""
    mm_oracle_price: Price | None = None
    """Price that market makers post into the market itself; ``None`` in a program without it, for a spot market, or
    where none was posted. Source: ``market_stats.mm_oracle_price``."""
    mm_oracle_slot: U64[int] | None = None
    """Slot at which it was posted. Source: ``market_stats.mm_oracle_slot``."""
    safe_oracle_price: Price | None = None
    """The price by which the program's AMM fills: the market makers' where it is newer and agrees, else
    ``oracle_price``; ``None`` where there is no such choice."""
    safe_oracle_confidence: U64[Price] | None = None
    """Confidence interval of ``safe_oracle_price``: the oracle's, wider by how far the two prices are apart."""

    @property
    def basis(self) -> float | None:
        """``mark_price / oracle_price - 1``: 0.001 is 10 bp above the oracle."""
        if self.mark_price is None or self.oracle_price is None:
            return None
        return basis(self.mark_price, self.oracle_price)

    @property
    def exact(self) -> ScaledPrice[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.oracle_price``."""
        return ScaledPrice(self, Decimal)

    @property
    def floats(self) -> ScaledPrice[float]:
        """The integer fields in natural units, convenient: ``event.floats.oracle_price``."""
        return ScaledPrice(self, float)
