"""The old in-process manager's name and calls, over the feed."""

from __future__ import annotations

from typing import ClassVar

from drift_subscribers.compat.client import FeedClient
from drift_subscribers.compat.guard import never_raises
from drift_subscribers.compat.missing import OnlyMarketData
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.reader import Reader
from drift_subscribers.compat.session import process_feed
from drift_subscribers.compat.shapes import FundingRate, PerpMarket
from drift_subscribers.compat.slot import ClientSlot

__all__ = ["DriftClientManager"]


class DriftClientManager(metaclass=OnlyMarketData):
    """One client for the whole process, counted: ``get_client`` takes a reference, ``release_client`` gives it back.

    Data calls read memory and need a reference that somebody holds. Nothing here raises.
    """

    _slot: ClassVar[ClientSlot] = ClientSlot(lambda: process_feed)

    @classmethod
    @never_raises(lambda: None)
    async def get_client(cls, network: str = "mainnet") -> FeedClient | None:
        """The client, the same for all until the last reference is released; ``None`` when no feed can be opened.

        Args:
            network: ``mainnet`` (or ``mainnet-beta``) or ``devnet``; data of another cluster is never returned.
        """
        session = await cls._slot.take(network)
        return None if session is None else session.client

    @classmethod
    @never_raises(lambda: None)
    async def release_client(cls) -> None:
        """Gives one reference back; the last one closes the feed."""
        await cls._slot.give_back()

    @classmethod
    @never_raises(lambda: None)
    async def get_funding_rate(cls, market: str) -> FundingRate | None:
        """Last settled funding of a market in percent; ``None`` when it is unknown or not fresh."""
        reader = await cls._reader()
        return None if reader is None else reader.funding_rate(market)

    @classmethod
    @never_raises(list[PerpMarket])
    async def get_all_perp_markets(cls) -> list[PerpMarket]:
        """Every perp market whose funding, prices and facts are fresh, by index."""
        reader = await cls._reader()
        return [] if reader is None else reader.perp_markets()

    @classmethod
    async def is_initialized(cls) -> bool:
        """Somebody holds a reference."""
        return cls.reference_count() > 0

    @classmethod
    @never_raises(bool)
    async def force_reconnect(cls) -> bool:
        """Closes the feed and opens it anew under the same client and references; ``True`` when it is connected.

        A feed whose connection is down reconnects by itself and is given some seconds to do so. One that other code
        of this process holds by ``shared_feed`` stays open.
        """
        return await cls._slot.reopen()

    @classmethod
    def reference_count(cls) -> int:
        """References taken and not yet released."""
        return cls._slot.references

    @classmethod
    async def _reader(cls) -> Reader | None:
        session = cls._slot.session
        reader = None if session is None else await session.reader()
        if reader is None:
            NOTES.say("no client", text="DriftClientManager has no open client: call and check get_client() first")
        else:
            NOTES.passed("no client")
        return reader
