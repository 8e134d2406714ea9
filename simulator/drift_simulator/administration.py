"""What an admin changes of a market that is there already: its name, its status, its funding period."""

from __future__ import annotations

from typing import Final

from .config import SimulatorError
from .perps import PerpMarket
from .spots import SpotMarket

__all__ = ["amend"]

_NAME_BYTES: Final = 32


def amend(
    market: PerpMarket | SpotMarket,
    *,
    name: str | None = None,
    status: str | None = None,
    funding_period_s: int | None = None,
) -> None:
    """Write into a market's account what is given, and leave the rest as it is.

    Args:
        market: Whose account.
        name: Its new name, at most 32 bytes; another market may have it already, the programs do not look.
        status: Variant of MarketStatus, such as ``Delisted``.
        funding_period_s: Of a perp market: seconds between settlements. The programs take any number that is not
            negative; over a day they can settle nothing any more.

    Raises:
        SimulatorError: The account cannot hold it.
        LayoutError: The program has no such status.
    """
    if name is not None:
        written = name.encode()
        if len(written) > _NAME_BYTES:
            raise SimulatorError(f"a name has at most {_NAME_BYTES} bytes: {name!r} has {len(written)}")
        market.record["name"] = written.ljust(_NAME_BYTES)
        market.name = name
    if status is not None:
        market.record.choose("status", status)
    if funding_period_s is not None:
        if isinstance(market, SpotMarket) or funding_period_s < 0:
            raise SimulatorError(f"{market.name} cannot have a funding period of {funding_period_s} s")
        market.record["funding_period"] = funding_period_s
