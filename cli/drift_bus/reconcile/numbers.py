"""Decimals as text: short for people, exact for programs."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from drift_bus import formats

__all__ = ["exact", "plain", "signed"]

# A quotient has sixty digits; twelve decimals are more than the chain's integers carry.
_WRITTEN: Final = Decimal(1).scaleb(-12)
_SHOWN: Final = Decimal(1).scaleb(-6)
_WIDE: Final = Context(prec=200)


def plain(value: Decimal | None) -> str:
    """At most six decimals, thousands apart."""
    return formats.ABSENT if value is None else f"{Decimal(_text(value, _SHOWN)):,f}"


def signed(value: Decimal | None) -> str:
    """The same with its sign; a difference too small to show is ``+0`` or ``-0``, none is ``0``."""
    if value is None:
        return formats.ABSENT
    sign = "" if not value else "-" if value < 0 else "+"
    return sign + plain(value.copy_abs())


def exact(value: Decimal | None) -> str | None:
    """A plain number without an exponent, with at most twelve decimals."""
    return None if value is None else _text(value, _WRITTEN)


def _text(value: Decimal, step: Decimal) -> str:
    text = f"{value.quantize(step, context=_WIDE):f}".rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text
