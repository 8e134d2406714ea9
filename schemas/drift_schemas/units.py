"""The program's fixed-point scales and the exact conversions between them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

__all__ = [
    "BASE_PRECISION",
    "FUNDING_RATE_PRECISION",
    "HOURS_PER_YEAR",
    "MARGIN_PRECISION",
    "PRICE_PRECISION",
    "QUOTE_PRECISION",
    "Unit",
    "hourly_rate",
    "scaled_decimal",
]

PRICE_PRECISION: Final = 10**6
BASE_PRECISION: Final = 10**9
QUOTE_PRECISION: Final = 10**6
FUNDING_RATE_PRECISION: Final = 10**9
MARGIN_PRECISION: Final = 10**4
HOURS_PER_YEAR: Final = 24 * 365.25
_EXACT: Final = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Unit:
    """What an integer field counts: ``value * 10**-exponent`` of ``name``."""

    name: str
    exponent: int

    @property
    def scale(self) -> str:
        """The scale as the documentation writes it: ``1e-6``, or ``1`` for whole numbers."""
        return f"1e-{self.exponent}" if self.exponent else "1"

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), "x-unit": self.name, "x-scale": self.scale}


def scaled_decimal(value: int, exponent: int) -> Decimal:
    """Returns ``value * 10**-exponent`` exactly, whatever the size of ``value``."""
    return Decimal(value).scaleb(-exponent, _EXACT)


def hourly_rate(funding_rate: int, oracle_twap: int) -> float | None:
    """Converts an on-chain funding rate to a fraction of price per hour.

    Args:
        funding_rate: Quote per base per hour, 1e-9.
        oracle_twap: The oracle TWAP that the rate was settled against, 1e-6.

    Returns:
        ``funding_rate / 1e9 / (oracle_twap / 1e6)``: 0.0001 is 0.01 % an hour and longs pay shorts
        where it is positive. ``None`` where the TWAP is not positive.
    """
    if oracle_twap <= 0:
        return None
    return funding_rate / (oracle_twap * (FUNDING_RATE_PRECISION // PRICE_PRECISION))
