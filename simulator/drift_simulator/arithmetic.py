"""The program's integer arithmetic: truncating division, time-weighted averages, price clamps."""

from __future__ import annotations

__all__ = [
    "FIVE_MINUTES",
    "ONE_DAY",
    "ONE_HOUR",
    "ONE_MINUTE",
    "PERCENTAGE",
    "clamp",
    "new_twap",
    "quotient",
    "rolling_sum",
    "sanitize_price",
    "sign",
    "weighted_average",
]

PERCENTAGE = 1_000_000
ONE_MINUTE = 60
FIVE_MINUTES = 300
ONE_HOUR = 3_600
ONE_DAY = 86_400
_DEFAULT_PRICE_BAND = 3


def quotient(numerator: int, denominator: int) -> int:
    """Divide as the chain does: toward zero, where Python's ``//`` goes toward minus infinity."""
    result = abs(numerator) // abs(denominator)
    return result if (numerator < 0) == (denominator < 0) else -result


def clamp(value: int, low: int, high: int) -> int:
    """Bound ``value`` to ``low`` … ``high``."""
    return low if value < low else high if value > high else value


def sign(value: int) -> int:
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)


def weighted_average(first: int, second: int, weight1: int, weight2: int, bias: int | None = None) -> int:
    """Average two prices by weight, nudged by one unit toward the heavier product so that it can converge."""
    if weight1 == 0:
        return second
    if weight2 == 0:
        return first
    product1, product2 = first * weight1, second * weight2
    if bias is None:
        bias = sign(product2 - product1) if weight2 > 1 else 0
    average = quotient(product1 + product2, weight1 + weight2)
    if average == 0 and bias < 0:
        return average
    return average + bias


def new_twap(price: int, now: int, last_twap: int, last_ts: int, period_s: int) -> int:
    """Bring a time-weighted average to ``now`` with a new price."""
    since_last = max(0, now - last_ts)
    return weighted_average(price, last_twap, since_last, max(1, period_s - since_last))


def rolling_sum(total: int, addition: int, elapsed_s: int, window_s: int) -> int:
    """Let a sum decay over a window and add to it, counting missing time as zeros."""
    return total * max(0, window_s - elapsed_s) // window_s + addition


def sanitize_price(price: int, last_twap: int, band_denominator: int | None) -> int:
    """Keep a new price within 1/denominator of the running average (a third when None)."""
    if last_twap == 0:
        return price
    band = abs(quotient(last_twap, band_denominator or _DEFAULT_PRICE_BAND))
    return clamp(price, last_twap - band, last_twap + band)
