"""The old in-process manager's names over the feed, for code that was written against a DriftClient of its own.

Failures give ``None``, ``[]`` or ``{}``, are logged once until they pass, and never raise. ``docs/migration.md`` tells
what each call returns and how to leave this package behind.
"""

from drift_subscribers.compat.accounts import AMM, HistoricalOracleData, OraclePriceData, PerpMarketAccount
from drift_subscribers.compat.adapter import DriftAdapter
from drift_subscribers.compat.client import FeedClient
from drift_subscribers.compat.funding_feed import DriftFundingFeed
from drift_subscribers.compat.manager import DriftClientManager
from drift_subscribers.compat.shapes import (
    FundingInfo,
    FundingMarket,
    FundingRate,
    MarketStats,
    MarketTotals,
    PerpMarket,
)

__all__ = [
    "AMM",
    "DriftAdapter",
    "DriftClientManager",
    "DriftFundingFeed",
    "FeedClient",
    "FundingInfo",
    "FundingMarket",
    "FundingRate",
    "HistoricalOracleData",
    "MarketStats",
    "MarketTotals",
    "OraclePriceData",
    "PerpMarket",
    "PerpMarketAccount",
]
