"""Integers as the programs count with them: division truncates toward zero."""

from __future__ import annotations

__all__ = ["clamp", "div"]


def div(numerator: int, denominator: int) -> int:
    """Divides and drops the fraction, where Python's ``//`` would round down.

    Raises:
        ZeroDivisionError: as in a program, where it fails the transaction.
    """
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def clamp(value: int, low: int, high: int) -> int:
    """Returns ``value`` within [low, high]."""
    return max(low, min(value, high))
