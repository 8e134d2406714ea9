"""What the two sides are compared by: six figures of a perp market, in the units of the hosted API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import partial
from typing import Final, Literal, get_args

from drift_schemas import FundingEvent, has_settlements

__all__ = [
    "FIELDS",
    "FUNDING_BASES",
    "UNITS",
    "Field",
    "FundingBasis",
    "MarketFigures",
    "bus_funding",
    "funding_cash_flow_percent",
]

Field = Literal[
    "funding_long", "funding_short", "open_interest_long", "open_interest_short", "oracle_price", "mark_price"
]
FundingBasis = Literal["estimated", "settled"]

FIELDS: Final[tuple[Field, ...]] = get_args(Field)
FUNDING_BASES: Final[tuple[FundingBasis, ...]] = get_args(FundingBasis)
UNITS: Final[Mapping[Field, str]] = {
    "funding_long": "percent per hour",
    "funding_short": "percent per hour",
    "open_interest_long": "base",
    "open_interest_short": "base",
    "oracle_price": "quote per base",
    "mark_price": "quote per base",
}
# No decimal fraction holds a quotient exactly; sixty digits are far beyond any tolerance.
_DIGITS: Final = Context(prec=60)
_PRICE_UNITS_PER_RATE_UNIT: Final = 1000
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class MarketFigures:
    """One market as one side shows it.

    Attributes:
        market: Its name.
        index: Its index in the program; ``None`` where the side does not tell.
        values: By field; ``None`` where the side lacks it, which is never the same as 0.
        funding_settled_ts: When funding was last settled, Unix seconds; ``None`` where the side does not tell.
    """

    market: str
    index: int | None
    values: Mapping[Field, Decimal | None]
    funding_settled_ts: int | None


def funding_cash_flow_percent(
    *, rate: int | None, oracle_twap: int, funding_period: int, is_long: bool
) -> Decimal | None:
    """A funding rate of the chain as the hosted API writes it: percent of price per hour that the side receives.

    ``rate / 1000 / oracle_twap * 100`` over the hours of the period, negated for longs: the chain's rates are positive
    where longs pay shorts, and the API shows what flows to a side, so that longs who pay have a negative figure. Source
    of the scales: funding rates 1e-9 quote per base per funding period, prices 1e-6 (``math/constants.rs``,
    ``math/funding.rs``); of the sign and the unit: the answers of ``/stats/markets`` of 2026-09-02 and of 2026-09-13,
    and ``calculateFormattedLiveFundingRate`` of the program's TypeScript SDK, which divides the day by 24 whatever the
    period, and which the API calls with the period of an hour.

    Args:
        rate: Quote per base per funding period, 1e-9, of the side; ``None`` gives ``None``.
        oracle_twap: Quote per base, 1e-6; the price that the rate is a part of.
        funding_period: Seconds between settlements.
        is_long: Which side.

    Returns:
        ``None`` where there is no rate, no positive price to divide by, or no period under which anything settles.
    """
    if rate is None or oracle_twap <= 0 or not has_settlements(funding_period):
        return None
    received = -rate if is_long else rate
    per_period = oracle_twap * _PRICE_UNITS_PER_RATE_UNIT * funding_period
    return _DIGITS.divide(Decimal(received * 100 * _HOUR_S), Decimal(per_period))


def bus_funding(event: FundingEvent, basis: FundingBasis) -> dict[Field, Decimal | None]:
    """Both sides' funding of an event, as cash flow.

    Args:
        event: From the bus.
        basis: ``estimated`` takes the running estimate over the oracle TWAP, which is what the hosted API shows;
            ``settled`` the last settlement over the TWAP that it used.
    """
    if basis == "estimated":
        long, short = event.estimated_funding_rate_long, event.estimated_funding_rate_short
        oracle_twap = event.oracle_twap
    else:
        long, short = event.funding_rate_long, event.funding_rate_short
        oracle_twap = event.oracle_twap_at_funding
    per_hour = partial(funding_cash_flow_percent, oracle_twap=oracle_twap, funding_period=event.funding_period)
    return {
        "funding_long": per_hour(rate=long, is_long=True),
        "funding_short": per_hour(rate=short, is_long=False),
    }
