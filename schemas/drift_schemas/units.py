"""The program's fixed-point scales and the exact conversions between them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

__all__ = [
    "BASE_EXPONENT",
    "BASE_PRECISION",
    "FUNDING_RATE_EXPONENT",
    "FUNDING_RATE_PRECISION",
    "MARGIN_EXPONENT",
    "MARGIN_PRECISION",
    "PRICE_EXPONENT",
    "PRICE_PRECISION",
    "QUOTE_EXPONENT",
    "QUOTE_PRECISION",
    "Unit",
    "chain_integer",
    "scaled_decimal",
]

PRICE_EXPONENT: Final = 6
BASE_EXPONENT: Final = 9
QUOTE_EXPONENT: Final = 6
FUNDING_RATE_EXPONENT: Final = 9
MARGIN_EXPONENT: Final = 4
PRICE_PRECISION: Final = 10**PRICE_EXPONENT
BASE_PRECISION: Final = 10**BASE_EXPONENT
QUOTE_PRECISION: Final = 10**QUOTE_EXPONENT
FUNDING_RATE_PRECISION: Final = 10**FUNDING_RATE_EXPONENT
MARGIN_PRECISION: Final = 10**MARGIN_EXPONENT
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


def chain_integer(value: Decimal | int | str, exponent: int) -> int:
    """Returns the chain's integer for a value in natural units: the inverse of :func:`scaled_decimal`.

    >>> chain_integer("150.25", PRICE_EXPONENT)
    150250000

    Raises:
        ValueError: it is no number, or the chain's scale cannot express it; nothing is rounded.
        TypeError: it is a float, which rarely is the number that it shows: say ``"0.1"`` or ``Decimal("0.1")``.
    """
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float, which is not exact: give a Decimal, an int or a string")
    try:
        number = Decimal(value)
        scaled = number.scaleb(exponent, _EXACT)
        integer = int(scaled)
    except (ArithmeticError, ValueError):
        raise ValueError(f"{value!r} is no number that 1e-{exponent} can express") from None
    if integer != scaled or scaled.scaleb(-exponent, _EXACT) != number:
        raise ValueError(f"{value!r} has more digits than 1e-{exponent} can express: round it first")
    return integer
