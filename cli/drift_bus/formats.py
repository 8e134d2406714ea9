"""Numbers as a trader reads them: prices, rates, amounts, ages."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["age", "amount", "clock", "percent", "price", "signed"]

ABSENT = "–"


def price(value: int | None) -> str:
    """A 1e-6 price with as many decimals as its size deserves: ``97,123.45``, ``0.002104``."""
    if value is None:
        return ABSENT
    number = Decimal(value).scaleb(-6)
    decimals = 2 if abs(number) >= 1000 else 4 if abs(number) >= 1 else 6
    return f"{number:,.{decimals}f}"


def amount(value: float | None) -> str:
    """Three significant digits and a suffix: ``1.23k``, ``45.6M``."""
    if value is None:
        return ABSENT
    for limit, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}" if abs(value) < 1000 * limit else f"{value / limit:,.0f}{suffix}"
    return f"{value:.3g}"


def percent(value: float | None, decimals: int = 2) -> str:
    """A value that is in percent already, unsigned: ``4.21``."""
    return ABSENT if value is None else f"{value:.{decimals}f}"


def signed(value: float | None, decimals: int) -> str:
    """With its sign, and a plain zero: ``+0.0012``, ``-1.5``, ``0.00``."""
    if value is None:
        return ABSENT
    text = f"{value:+,.{decimals}f}"
    return text[1:] if not text.strip("+-0.,") else text


def age(seconds: float | None) -> str:
    """``0.3 s``, ``42 s``, ``5 min``, ``3 h``."""
    if seconds is None:
        return ABSENT
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def clock(seconds: float | None) -> str:
    """Time that is left: ``59:03``, ``1:02:03``; ``due`` where it is over."""
    if seconds is None:
        return ABSENT
    if seconds <= 0:
        return "due"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
