"""What the numbers mean for a position: funding rates, funding payments, basis, open interest. Pure functions.

Four things go wrong easily. A funding rate on the chain is quote per base, not a fraction of price: only
divided by the price is it a percentage. It is what one funding period costs, and a period need not be an hour.
Where it is positive, longs pay shorts. Open interest is the larger side of the market, not the sum of the two.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from drift_schemas.units import BASE_EXPONENT, FUNDING_RATE_PRECISION, PRICE_EXPONENT, PRICE_PRECISION, scaled_decimal

__all__ = [
    "HOURS_PER_YEAR",
    "MAX_FUNDING_PERIOD_S",
    "annual_rate",
    "apr_percent",
    "basis",
    "basis_bps",
    "compound_annual_rate",
    "expected_funding_usd",
    "has_settlements",
    "hourly_rate",
    "open_interest",
    "open_interest_usd",
    "rate_8h_percent",
]

HOURS_PER_YEAR: Final = 24 * 365.25
MAX_FUNDING_PERIOD_S: Final = 24 * 3600
"""Longest funding period under which the programs settle: they divide the day by it, in integers."""
_HOUR_S: Final = 3600


def has_settlements(funding_period: int) -> bool:
    """Whether a program settles funding under this period (seconds), so that a rate per period means something.

    A period of zero or less is none. Under one of more than a day the programs divide by ``86400 // period``, which
    is zero, and refuse the settlement.
    """
    return 0 < funding_period <= MAX_FUNDING_PERIOD_S


def hourly_rate(funding_rate: int, oracle_twap: int, funding_period: int) -> float | None:
    """Converts an on-chain funding rate to a fraction of price per hour.

    Args:
        funding_rate: Quote per base per funding period, 1e-9.
        oracle_twap: The oracle TWAP that the rate was settled against, 1e-6.
        funding_period: Seconds between settlements: 3600 for an hour, 28800 for eight.

    Returns:
        ``funding_rate / 1e9 / (oracle_twap / 1e6)``, which one period costs, over the period's hours: 0.0001 is
        0.01 % an hour and longs pay shorts where it is positive. ``None`` where the TWAP is not positive, or where
        nothing settles under that period (:func:`has_settlements`).
    """
    if oracle_twap <= 0 or not has_settlements(funding_period):
        return None
    return funding_rate * _HOUR_S / (oracle_twap * (FUNDING_RATE_PRECISION // PRICE_PRECISION) * funding_period)


def rate_8h_percent(hourly: float) -> float:
    """Percent of price per eight hours, from a fraction per hour."""
    return hourly * 8 * 100


def annual_rate(hourly: float) -> float:
    """Fraction of price per year of 365.25 days, not compounded, from a fraction per hour."""
    return hourly * HOURS_PER_YEAR


def compound_annual_rate(hourly: float, *, funding_period: int = _HOUR_S) -> float | None:
    """Growth per year, as a fraction, of a position that adds each settlement's funding to itself; -1 loses everything.

    Args:
        hourly: Fraction per hour.
        funding_period: Seconds between settlements.

    Returns:
        ``None`` where nothing settles under that period (:func:`has_settlements`).

    Raises:
        ValueError: a loss of more than all in one period cannot be compounded.
        OverflowError: the result is beyond a float.
    """
    if not has_settlements(funding_period):
        return None
    hours = funding_period / _HOUR_S
    if hourly * hours < -1:
        raise ValueError(f"hourly={hourly}: at least {-1 / hours:g}, which is all of it in a period of {hours:g} h")
    return float((1 + hourly * hours) ** (HOURS_PER_YEAR / hours)) - 1


def apr_percent(hourly: float) -> float:
    """Percent of price per year of 365.25 days, not compounded, from a fraction per hour."""
    return annual_rate(hourly) * 100


def expected_funding_usd(
    position: float, funding_rate: int, *, funding_period: int, hours: float = 1.0
) -> float | None:
    """What a position gets if the rate stays as it is: positive is received, negative is paid.

    Args:
        position: Base units: 10.0 is long ten, -10.0 short ten.
        funding_rate: Quote per base per funding period, 1e-9, of the position's side: ``funding_rate_long`` for a long.
        funding_period: Seconds between settlements: the event's ``funding_period``.
        hours: How long the position is held.

    Returns:
        ``-position * funding_rate / 1e9 * hours / period hours`` in quote, which is USDC. No price takes part: the
        rate is per base unit already. ``None`` where nothing settles under that period (:func:`has_settlements`).
    """
    if not has_settlements(funding_period):
        return None
    return -position * funding_rate / FUNDING_RATE_PRECISION * (hours / (funding_period / _HOUR_S))


def basis(mark_price: int, oracle_price: int) -> float | None:
    """``mark_price / oracle_price - 1``, both 1e-6: 0.001 is 10 bp above the oracle; ``None`` for an oracle at 0."""
    return mark_price / oracle_price - 1 if oracle_price else None


def basis_bps(mark_price: int, oracle_price: int) -> float | None:
    """The basis in hundredths of a percent: 10.0 is 0.1 % above the oracle; ``None`` for an oracle at 0."""
    fraction = basis(mark_price, oracle_price)
    return None if fraction is None else fraction * 10_000


def open_interest(long: int, short: int) -> int:
    """The larger side, base 1e-9 like the two; a short side may be given with its sign or without."""
    return max(abs(long), abs(short))


def open_interest_usd(long: int, short: int, price: int) -> Decimal:
    """The larger side at a price, in quote, exact.

    Args:
        long: Sum of all longs, base 1e-9.
        short: Sum of all shorts, base 1e-9, with its sign or without.
        price: Quote per base, 1e-6; the oracle price as a rule.
    """
    return scaled_decimal(open_interest(long, short) * price, BASE_EXPONENT + PRICE_EXPONENT)
