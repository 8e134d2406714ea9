"""What the integers of an event count: one annotated type a unit."""

from __future__ import annotations

from typing import Annotated

from drift_schemas.units import Unit

__all__ = [
    "BaseAmount",
    "CumulativeFunding",
    "Fraction",
    "FundingRate",
    "Interest",
    "MarginRatio",
    "Nanoseconds",
    "Price",
    "QuoteAmount",
    "Seconds",
    "SpotBalance",
    "Weight",
    "YearlyRate",
]

Price = Annotated[int, Unit("quote per base", 6)]
FundingRate = Annotated[int, Unit("quote per base per funding period", 9)]
CumulativeFunding = Annotated[int, Unit("quote per base", 9)]
BaseAmount = Annotated[int, Unit("base", 9)]
QuoteAmount = Annotated[int, Unit("quote", 6)]
MarginRatio = Annotated[int, Unit("fraction of notional", 4)]
Weight = Annotated[int, Unit("fraction of value", 4)]
Fraction = Annotated[int, Unit("fraction", 6)]
YearlyRate = Annotated[int, Unit("fraction per year", 6)]
SpotBalance = Annotated[int, Unit("scaled token balance", 9)]
Interest = Annotated[int, Unit("token per scaled balance", 10)]
Nanoseconds = Annotated[int, Unit("ns since the Unix epoch", 0)]
Seconds = Annotated[int, Unit("s since the Unix epoch", 0)]
