"""The old adapter's name and calls, over the feed."""

from __future__ import annotations

from drift_subscribers.compat.guard import never_raises
from drift_subscribers.compat.manager import DriftClientManager
from drift_subscribers.compat.missing import OnlyPublished
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.reader import Reader
from drift_subscribers.compat.session import Session, own_feed
from drift_subscribers.compat.shapes import FundingRate, MarketStats, PerpMarket
from drift_subscribers.compat.slot import ClientSlot

__all__ = ["DriftAdapter"]


class DriftAdapter(OnlyPublished):
    """Market data between ``connect`` and ``disconnect``; it reads only and never trades. No call here raises.

    Args:
        network: ``mainnet`` (or ``mainnet-beta``) or ``devnet``; data of another cluster is never returned.
        use_singleton: Hold a reference of ``DriftClientManager``; ``False`` opens a feed of its own.
    """

    def __init__(self, network: str = "mainnet", use_singleton: bool = True) -> None:
        self.network = network
        self.use_singleton = use_singleton
        self._slot = DriftClientManager._slot if use_singleton else ClientSlot(lambda: own_feed)
        self._session: Session | None = None

    @never_raises(bool)
    async def connect(self, wallet: object = None, sub_account: int = 0, max_retries: int | None = None) -> bool:
        """Takes a reference, at most one for this adapter; ``False`` when no feed can be opened.

        Args:
            wallet: Not used: nothing is signed here.
            sub_account: Not used.
            max_retries: Attempts at opening the feed, all in all; by default ``DRIFT_MAX_RETRIES``.
        """
        if wallet is not None or sub_account:
            text = "DriftAdapter reads market data only: wallet and sub_account are not used"
            NOTES.say("wallet", text=text)
        if self._session is None:
            session = await self._slot.take(self.network, max_retries=max_retries)
            if session is not None and not self._adopt(session):
                await self._slot.give_back()
        return self._session is not None

    @never_raises(lambda: None)
    async def disconnect(self) -> None:
        """Gives the reference back; a second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            await self._slot.give_back()

    @property
    def connected(self) -> bool:
        """``connect`` has succeeded, and the connection is not known to be down now."""
        return self._session is not None and self._session.connected

    @never_raises(lambda: None)
    async def get_funding_rate(self, market: str) -> FundingRate | None:
        """Last settled funding of a market in percent; ``None`` when it is unknown or not fresh."""
        reader = await self._reader()
        return None if reader is None else reader.funding_rate(market)

    @never_raises(lambda: None)
    async def get_time_to_funding(self) -> int | None:
        """Seconds until the next settlement of any market, by the program's rule; ``None`` when none is known."""
        reader = await self._reader()
        return None if reader is None else reader.time_to_funding()

    @never_raises(list[PerpMarket])
    async def get_all_perp_markets(self) -> list[PerpMarket]:
        """Every perp market whose funding, prices and facts are fresh, by index."""
        reader = await self._reader()
        return [] if reader is None else reader.perp_markets()

    @never_raises(dict[str, float])
    async def get_market_stats(self, market: str) -> MarketStats | dict[str, float]:
        """Prices, funding, open interest and volume of a market; ``{}`` when one of them is unknown or not fresh."""
        reader = await self._reader()
        return {} if reader is None else reader.market_stats(market) or {}

    @never_raises(lambda: None)
    async def get_oracle_price(self, market: str) -> float | None:
        """Oracle price in USD."""
        reader = await self._reader()
        return None if reader is None else reader.oracle_price(market)

    @never_raises(lambda: None)
    async def get_mark_price(self, market: str) -> float | None:
        """Mark price in USD."""
        reader = await self._reader()
        return None if reader is None else reader.mark_price(market)

    def _adopt(self, session: Session) -> bool:
        """Keeps a reference; ``False`` where another call of ``connect`` brought one meanwhile."""
        if self._session is not None:
            return False
        self._session = session
        return True

    async def _reader(self) -> Reader | None:
        session = self._session
        reader = None if session is None else await session.reader()
        if reader is None:
            NOTES.say("no adapter", text="this DriftAdapter is not connected: call and check connect() first")
        else:
            NOTES.passed("no adapter")
        return reader

    def _reader_now(self) -> Reader | None:
        return None if self._session is None else self._session.reader_now()
