"""From events to what the old calls return: pure functions, and the only place where units change."""

from __future__ import annotations

import math
from typing import NamedTuple

from drift_schemas import (
    BASE_EXPONENT,
    PRICE_EXPONENT,
    QUOTE_EXPONENT,
    FundingEvent,
    MarketEvent,
    PriceEvent,
    apr_percent,
    has_settlements,
    open_interest_usd,
    rate_8h_percent,
    scaled_decimal,
)
from drift_subscribers.compat.day import Day
from drift_subscribers.compat.shapes import (
    FundingInfo,
    FundingMarket,
    FundingRate,
    MarketStats,
    MarketTotals,
    PerpMarket,
)

__all__ = [
    "Figures",
    "funding_info",
    "funding_market",
    "funding_rate",
    "hourly_fraction",
    "market_stats",
    "market_totals",
    "perp_market",
    "usd",
]


class Figures(NamedTuple):
    """A market of which everything is there: its facts, its prices, and its rate as a fraction per hour."""

    market: MarketEvent
    price: PriceEvent
    hourly: float


def hourly_fraction(funding: FundingEvent) -> float | None:
    """Last settled rate as a fraction of price per hour; ``None`` where price or period give none.

    A rate of zero is zero per hour whatever it was settled against: a market that has never settled has no oracle TWAP.
    """
    return 0.0 if funding.funding_rate == 0 and has_settlements(funding.funding_period) else funding.hourly_rate


def usd(price: int | None) -> float | None:
    """A price of 1e-6 in USD; ``None`` where there is none."""
    return _float(price, PRICE_EXPONENT) if price and price > 0 else None


def funding_rate(hourly: float, mark_price: float) -> FundingRate:
    """Makes the dictionary of one market's funding."""
    return {
        "rate_8h": rate_8h_percent(hourly),
        "rate_annual": apr_percent(hourly),
        "is_positive": hourly > 0,
        "mark_price": mark_price,
    }


def funding_info(market: str, rate: FundingRate, seconds: int) -> FundingInfo:
    """Makes the record of one market's funding."""
    return FundingInfo(market, rate["rate_8h"], rate["rate_annual"], rate["is_positive"], rate["mark_price"], seconds)


def perp_market(of: Figures) -> PerpMarket:
    """Makes one row of the list of perp markets."""
    market, price = of.market, of.price
    return {
        "marketIndex": market.market_index,
        "symbol": market.market,
        "markPrice": _float(price.mark_price, PRICE_EXPONENT),
        "oraclePrice": _float(price.oracle_price, PRICE_EXPONENT),
        "fundingRate": of.hourly * 100,
        "openInterest": _float(market.open_interest, BASE_EXPONENT),
        "volume24h": _float(market.volume_24h, QUOTE_EXPONENT),
        "baseAssetAmountLong": _float(market.open_interest_long, BASE_EXPONENT),
        "baseAssetAmountShort": _float(market.open_interest_short, BASE_EXPONENT),
    }


def market_stats(of: Figures, seconds: int, day: Day | None) -> MarketStats:
    """Makes one market's figures; base amounts become USD by the oracle price, ``day`` is of the mark price."""
    market, price = of.market, of.price
    mark = price.mark_price or 0
    long, short = market.open_interest_long, market.open_interest_short
    return {
        "symbol": market.market,
        "markPrice": _float(price.mark_price, PRICE_EXPONENT),
        "indexPrice": _float(price.oracle_price, PRICE_EXPONENT),
        "fundingRate": of.hourly * 100,
        "fundingRate8h": rate_8h_percent(of.hourly),
        "nextFundingTime": seconds,
        "openInterest": _open_interest_usd(of, long, short),
        "volume24h": _float(market.volume_24h, QUOTE_EXPONENT),
        "longOI": _open_interest_usd(of, long, 0),
        "shortOI": _open_interest_usd(of, 0, short),
        "longShortRatio": long / short if short else (math.inf if long else 0.0),
        "priceChange24h": None if day is None else (mark - day.before) / day.before * 100,
        "high24h": None if day is None else usd(max(mark, day.high)),
        "low24h": None if day is None else usd(min(mark, day.low)),
    }


def funding_market(of: Figures) -> FundingMarket:
    """Makes the dashboard's record of one market."""
    market = of.market
    return FundingMarket(
        symbol=market.market,
        rate_1h=of.hourly * 100,
        rate_8h=rate_8h_percent(of.hourly),
        apr=apr_percent(of.hourly),
        direction="shorts" if of.hourly > 0 else "longs",
        open_interest=_open_interest_usd(of, market.open_interest_long, market.open_interest_short),
        volume_24h=_float(market.volume_24h, QUOTE_EXPONENT),
    )


def market_totals(markets: list[FundingMarket]) -> MarketTotals:
    """Sums up a list that is not empty."""
    return {
        "total_oi": sum(market.open_interest for market in markets),
        "volume_24h": sum(market.volume_24h for market in markets),
        "avg_funding": sum(abs(market.apr) for market in markets) / len(markets),
    }


def _float(value: int | None, exponent: int) -> float:
    return float(scaled_decimal(value or 0, exponent))


def _open_interest_usd(of: Figures, long: int, short: int) -> float:
    return float(open_interest_usd(long, short, of.price.oracle_price or 0))
