"""The old funding feed's name and calls, over the feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from drift_subscribers.compat.adapter import DriftAdapter
from drift_subscribers.compat.figures import market_totals
from drift_subscribers.compat.guard import never_raises
from drift_subscribers.compat.manager import DriftClientManager
from drift_subscribers.compat.missing import OnlyPublished
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.reader import Reader
from drift_subscribers.compat.shapes import FundingInfo, FundingMarket

__all__ = ["DriftFundingFeed"]


class DriftFundingFeed(OnlyPublished):
    """Funding of the markets in ``MARKETS``. Nothing here raises.

    Args:
        drift_adapter: Where to read. Without one, each call takes a reference of ``DriftClientManager`` for mainnet
            and gives it back: cheap while somebody else holds one, a connection of its own otherwise.
    """

    MARKETS: ClassVar[list[str]] = ["SOL-PERP", "BTC-PERP", "ETH-PERP"]

    def __init__(self, drift_adapter: DriftAdapter | None = None) -> None:
        self._adapter = drift_adapter

    @never_raises(lambda: None)
    async def get_funding_rate(self, market: str) -> FundingInfo | None:
        """Last settled funding of any market, and the time to the next; ``None`` when it is unknown or not fresh."""
        async with self._reading() as reader:
            return None if reader is None else reader.funding_info(market)

    @never_raises(dict[str, FundingInfo])
    async def get_all_funding_rates(self) -> dict[str, FundingInfo]:
        """Funding by market, for those of ``MARKETS`` that are fresh."""
        async with self._reading() as reader:
            return {} if reader is None else self._rates(reader)

    def get_funding_rates_sync(self) -> dict[str, float]:
        """Percent per eight hours by market, for sync code, in an event loop's thread or not.

        It reads the memory of an open feed at once. Without one it opens a feed in a thread, and blocks meanwhile.
        """
        try:
            reader = self._reader_now()
            if reader is not None:
                rates = self._rates(reader)
            else:
                with ThreadPoolExecutor(1, thread_name_prefix="drift-compat-sync") as thread:
                    rates = thread.submit(lambda: asyncio.run(self.get_all_funding_rates())).result()
        except Exception as error:
            NOTES.say("sync", type(error).__name__, text=f"get_funding_rates_sync failed: {type(error).__name__}")
            return {}
        return {market: info.rate_8h for market, info in rates.items()}

    @never_raises(lambda: None)
    async def find_best_opportunity(self, min_rate_pct: float | None = None) -> FundingInfo | None:
        """The market of ``MARKETS`` with the largest rate of either sign, leaving out those that do not settle.

        Args:
            min_rate_pct: Smallest size of the rate in percent per eight hours; ``None`` sets no limit.
        """
        async with self._reading() as reader:
            if reader is None:
                return None
            infos = [info for name, info in self._rates(reader).items() if not reader.funding_is_paused(info.market)]
        best = max(infos, key=lambda info: abs(info.rate_8h), default=None)
        return best if best is not None and best.rate_8h and abs(best.rate_8h) >= (min_rate_pct or 0.0) else None

    @never_raises(list[FundingMarket])
    async def get_funding_markets(self) -> list[FundingMarket]:
        """Rates, open interest and volume, for those of ``MARKETS`` that are fresh."""
        async with self._reading() as reader:
            return [] if reader is None else self._funding_markets(reader)

    @never_raises(dict[str, float])
    async def get_market_stats(self, market: str | None = None) -> Mapping[str, Any]:
        """Sums over ``MARKETS`` as ``MarketTotals``, or one market as ``MarketStats``; ``{}`` without data."""
        async with self._reading() as reader:
            if reader is None:
                return {}
            if market is not None:
                return reader.market_stats(market) or {}
            markets = self._funding_markets(reader)
            return market_totals(markets) if markets else {}

    def _rates(self, reader: Reader) -> dict[str, FundingInfo]:
        infos = {name: reader.funding_info(name) for name in self.MARKETS}
        return {name: info for name, info in infos.items() if info is not None}

    def _funding_markets(self, reader: Reader) -> list[FundingMarket]:
        markets = (reader.funding_market(name) for name in self.MARKETS)
        return [market for market in markets if market is not None]

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Reader | None]:
        if self._adapter is not None:
            yield await self._adapter._reader()
            return
        adapter = DriftAdapter()
        try:
            yield await adapter._reader() if await adapter.connect() else None
        finally:
            await adapter.disconnect()

    def _reader_now(self) -> Reader | None:
        if self._adapter is not None:
            return self._adapter._reader_now()
        session = DriftClientManager._slot.session
        return None if session is None else session.reader_now()
