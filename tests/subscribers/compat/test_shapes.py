"""Every return shape, with figures worked out by hand.

SOL-PERP: rate 0.0015 quote per base per hour at an oracle TWAP of 150 is 0.00001 of price, 0.001 % an hour, 0.008 % in
eight hours, 0.001 % × 8766 = 8.766 % a year. 500,000 long and 400,000 short at 150 are 75 and 60 million USD.
"""

from __future__ import annotations

import math
import time
from dataclasses import astuple

import pytest

from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed, FundingMarket
from tests.subscribers.compat.conftest import MARKETS
from tests.support.bus_writer import BusWriter, funding_event, market_event
from tests.support.wait import wait_until

RATE = {"rate_8h": 0.008, "rate_annual": 8.766, "is_positive": True, "mark_price": 150.3}
ROW = {
    "marketIndex": 0,
    "symbol": "SOL-PERP",
    "markPrice": 150.3,
    "oraclePrice": 150.0,
    "fundingRate": 0.001,
    "openInterest": 500_000.0,
    "volume24h": 100_000_000.0,
    "baseAssetAmountLong": 500_000.0,
    "baseAssetAmountShort": 400_000.0,
}
STATS = {
    "symbol": "SOL-PERP",
    "markPrice": 150.3,
    "indexPrice": 150.0,
    "fundingRate": 0.001,
    "fundingRate8h": 0.008,
    "nextFundingTime": 0,
    "openInterest": 75_000_000.0,
    "volume24h": 100_000_000.0,
    "longOI": 75_000_000.0,
    "shortOI": 60_000_000.0,
    "longShortRatio": 1.25,
    "priceChange24h": None,
    "high24h": None,
    "low24h": None,
}


async def test_the_manager(market_data: BusWriter) -> None:
    await DriftClientManager.get_client()
    rate = await DriftClientManager.get_funding_rate("SOL-PERP")
    assert rate == pytest.approx(RATE)
    assert rate is not None
    assert list(rate) == list(RATE)
    rows = await DriftClientManager.get_all_perp_markets()
    assert [row["symbol"] for row in rows] == list(MARKETS)
    assert list(rows[0]) == list(ROW)
    assert rows[0]["symbol"] == ROW["symbol"]
    for name in ROW.keys() - {"symbol"}:
        assert rows[0][name] == pytest.approx(ROW[name]), name  # type: ignore[literal-required]
    await DriftClientManager.release_client()


@pytest.mark.parametrize("use_singleton", [True, False])
async def test_the_adapter(use_singleton: bool, market_data: BusWriter) -> None:
    adapter = DriftAdapter(use_singleton=use_singleton)
    assert await adapter.connect() is True
    assert adapter.connected
    assert DriftClientManager.reference_count() == use_singleton
    assert await adapter.get_funding_rate("SOL-PERP") == pytest.approx(RATE)
    assert (await adapter.get_all_perp_markets())[2]["symbol"] == "ETH-PERP"
    stats = await adapter.get_market_stats("SOL-PERP")
    assert list(stats) == list(STATS)
    assert stats == pytest.approx(STATS)
    assert await adapter.get_oracle_price("SOL-PERP") == 150.0
    assert await adapter.get_mark_price("SOL-PERP") == 150.3
    await adapter.disconnect()
    assert not adapter.connected


@pytest.mark.parametrize("given", [True, False])
async def test_the_funding_feed(given: bool, market_data: BusWriter) -> None:
    await market_data.change(funding_event("BTC-PERP", -6_000_000, market_index=1))
    adapter = DriftAdapter()
    await adapter.connect()
    feed = DriftFundingFeed(adapter if given else None)
    info = await feed.get_funding_rate("SOL-PERP")
    assert info is not None
    assert astuple(info) == pytest.approx(("SOL-PERP", 0.008, 8.766, True, 150.3, 0))
    assert info.direction == "SHORT_PERP"
    assert info.expected_8h_usd == pytest.approx(0.008)  # 0.008 % of 100 USD
    assert str(info) == "SOL-PERP: +0.0080 % / 8 h (+8.8 % a year)"
    rates = await feed.get_all_funding_rates()
    assert list(rates) == feed.MARKETS == list(MARKETS)
    assert rates["BTC-PERP"].direction == "LONG_PERP"
    assert feed.get_funding_rates_sync() == {market: info.rate_8h for market, info in rates.items()}
    assert await feed.find_best_opportunity() == rates["BTC-PERP"]
    markets = await feed.get_funding_markets()
    assert isinstance(markets[0], FundingMarket)
    assert astuple(markets[0]) == pytest.approx(("SOL-PERP", 0.001, 0.008, 8.766, "shorts", 75e6, 1e8))
    assert markets[1].direction == "longs"
    assert markets[1].rate_1h == pytest.approx(-0.004)
    totals = await feed.get_market_stats()
    assert totals == pytest.approx({"total_oi": 225e6, "volume_24h": 3e8, "avg_funding": 8.766 * (1 + 4 + 1) / 3})
    assert await feed.get_market_stats("SOL-PERP") == pytest.approx(STATS)
    await adapter.disconnect()


async def test_a_rate_of_eight_hours_is_told_as_what_it_is(market_data: BusWriter) -> None:
    """Eight times the rate in a period of eight hours costs what the others cost in an hour."""
    await market_data.change(funding_event(funding_rate=8 * 1_500_000, funding_period=8 * 3600))
    adapter = DriftAdapter()
    await adapter.connect()
    feed = DriftFundingFeed(adapter)
    assert await adapter.get_funding_rate("SOL-PERP") == pytest.approx(RATE)
    assert await adapter.get_market_stats("SOL-PERP") == pytest.approx(STATS)
    assert (await adapter.get_all_perp_markets())[0]["fundingRate"] == pytest.approx(0.001)
    markets = await feed.get_funding_markets()
    assert astuple(markets[0]) == pytest.approx(("SOL-PERP", 0.001, 0.008, 8.766, "shorts", 75e6, 1e8))

    await market_data.change(funding_event(funding_rate=8 * 1_500_000, funding_period=0))

    async def is_told_as_absent() -> bool:
        return await adapter.get_funding_rate("SOL-PERP") is None

    await wait_until(is_told_as_absent, 30)
    assert await adapter.get_market_stats("SOL-PERP") == {}
    assert [market.symbol for market in await feed.get_funding_markets()] == ["BTC-PERP", "ETH-PERP"]
    await adapter.disconnect()


async def test_the_best_opportunity_pays(market_data: BusWriter) -> None:
    """0.032 % in eight hours in BTC, which is paused; 0.008 % elsewhere."""
    await market_data.change(funding_event("BTC-PERP", -6_000_000, market_index=1, is_paused=True))
    feed = DriftFundingFeed()
    best = await feed.find_best_opportunity()
    assert best is not None
    assert best.market in {"SOL-PERP", "ETH-PERP"}
    assert await feed.find_best_opportunity(0.007) is not None
    assert await feed.find_best_opportunity(0.009) is None
    for index, market in enumerate(MARKETS):
        await market_data.change(funding_event(market, 0, market_index=index))
    assert await feed.find_best_opportunity() is None


async def test_time_to_funding_is_the_programs_next_settlement(market_data: BusWriter) -> None:
    """Not the next full hour: a market may skip one, be overdue, or be paused."""
    now = int(time.time())
    due = {"SOL-PERP": now + 7_000, "BTC-PERP": now - 50, "ETH-PERP": now + 5_000}
    for index, (market, at) in enumerate(due.items()):
        await market_data.change(funding_event(market, market_index=index, next_funding_ts=at))
    adapter = DriftAdapter()
    await adapter.connect()
    seconds = await adapter.get_time_to_funding()
    assert seconds is not None
    assert 5_000 - 100 <= seconds <= 5_000
    feed = DriftFundingFeed(adapter)
    infos = await feed.get_all_funding_rates()
    assert 7_000 - 100 <= infos["SOL-PERP"].time_to_next_funding <= 7_000
    assert infos["BTC-PERP"].time_to_next_funding == 0
    await market_data.change(funding_event("ETH-PERP", market_index=2, next_funding_ts=due["ETH-PERP"], is_paused=True))

    async def next_is_sol() -> bool:
        seconds = await adapter.get_time_to_funding()
        return seconds is not None and seconds > 5_000

    await wait_until(next_is_sol, 30)
    await adapter.disconnect()


@pytest.mark.parametrize(("long", "short", "ratio"), [(3, 0, math.inf), (0, 0, 0.0), (0, 5, 0.0), (10, 4, 2.5)])
async def test_one_sided_markets_have_a_ratio(long: int, short: int, ratio: float, market_data: BusWriter) -> None:
    await market_data.change(market_event(open_interest_long=long, open_interest_short=short))
    stats = await DriftFundingFeed().get_market_stats("SOL-PERP")
    assert stats["longShortRatio"] == ratio


@pytest.mark.parametrize("name", ["SOL-PERP", "SOL", "sol", "sol-perp", " Sol-Perp "])
async def test_markets_are_found_by_loose_names(name: str, market_data: BusWriter) -> None:
    info = await DriftFundingFeed().get_funding_rate(name)
    assert info is not None
    assert info.market == "SOL-PERP"
