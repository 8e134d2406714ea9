"""What the old calls return: their dictionaries and records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

__all__ = ["FundingInfo", "FundingMarket", "FundingRate", "MarketStats", "MarketTotals", "PerpMarket"]


class FundingRate(TypedDict):
    """Last settled funding of a market; rates in percent of price, ``mark_price`` in USD."""

    rate_8h: float
    rate_annual: float
    is_positive: bool
    mark_price: float


class PerpMarket(TypedDict):
    """One perp market: prices and volume in USD, ``fundingRate`` in percent per hour, the rest in base units.

    ``openInterest`` is the larger side, and both sides are positive numbers.
    """

    marketIndex: int
    symbol: str
    markPrice: float
    oraclePrice: float
    fundingRate: float
    openInterest: float
    volume24h: float
    baseAssetAmountLong: float
    baseAssetAmountShort: float


class MarketStats(TypedDict):
    """One perp market's figures: prices, open interest and volume in USD, rates in percent.

    ``nextFundingTime`` is in seconds from now; ``longShortRatio`` is ``inf`` without shorts, 0 without either. The
    figures of 24 hours are of the mark price, ``priceChange24h`` in percent. They are ``None`` until the stream's
    history was read, which the first call begins, and where it is not whole.
    """

    symbol: str
    markPrice: float
    indexPrice: float
    fundingRate: float
    fundingRate8h: float
    nextFundingTime: int
    openInterest: float
    volume24h: float
    longOI: float
    shortOI: float
    longShortRatio: float
    priceChange24h: float | None
    high24h: float | None
    low24h: float | None


class MarketTotals(TypedDict):
    """Sums over the funding feed's markets in USD; ``avg_funding`` is the mean size of their APR in percent."""

    total_oi: float
    volume_24h: float
    avg_funding: float


@dataclass(frozen=True, slots=True)
class FundingInfo:
    """Funding of one market.

    Attributes:
        market: The market's on-chain name.
        rate_8h: Last settled rate in percent of price per eight hours; positive: longs pay shorts.
        rate_annual: The same per year of 365.25 days, not compounded.
        is_positive: Longs pay shorts.
        mark_price: USD.
        time_to_next_funding: Seconds until the program settles next; 0 where that is overdue.
    """

    market: str
    rate_8h: float
    rate_annual: float
    is_positive: bool
    mark_price: float
    time_to_next_funding: int

    @property
    def direction(self) -> str:
        """The side that receives: ``SHORT_PERP`` where the rate is positive, ``LONG_PERP`` otherwise."""
        return "SHORT_PERP" if self.is_positive else "LONG_PERP"

    @property
    def expected_8h_usd(self) -> float:
        """What the receiving side earns in eight hours on a position of 100 USD, at the last settled rate."""
        return abs(self.rate_8h)

    def __str__(self) -> str:
        return f"{self.market}: {self.rate_8h:+.4f} % / 8 h ({self.rate_annual:+.1f} % a year)"


@dataclass(frozen=True, slots=True)
class FundingMarket:
    """One market as a dashboard shows it: rates in percent, ``open_interest`` and ``volume_24h`` in USD.

    ``direction`` is who receives: ``shorts`` where the rate is positive, ``longs`` otherwise.
    """

    symbol: str
    rate_1h: float
    rate_8h: float
    apr: float
    direction: str
    open_interest: float
    volume_24h: float
