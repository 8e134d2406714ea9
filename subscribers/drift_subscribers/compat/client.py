"""What ``get_client`` returns: the two getters of a DriftClient that old code reads markets with."""

from __future__ import annotations

from collections.abc import Callable

from drift_subscribers.compat.accounts import OraclePriceData, PerpMarketAccount
from drift_subscribers.compat.missing import OnlyPublished
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.reader import Reader

__all__ = ["FeedClient"]


class FeedClient(OnlyPublished):
    """Accounts by market index, sync and from memory; any other attribute is an error that says what to use."""

    __slots__ = ("_reader",)

    def __init__(self, reader: Callable[[], Reader | None]) -> None:
        self._reader = reader

    def get_perp_market_account(self, market_index: int) -> PerpMarketAccount | None:
        """The market's published fields under driftpy's names; ``None`` when one of its events is not fresh."""
        reader = self._open()
        return None if reader is None else reader.perp_market_account(market_index)

    def get_oracle_price_data_for_perp_market(self, market_index: int) -> OraclePriceData | None:
        """The market's oracle; ``None`` when there is no price or it is not fresh."""
        reader = self._open()
        return None if reader is None else reader.oracle_price_data(market_index)

    def _open(self) -> Reader | None:
        reader = self._reader()
        if reader is None:
            NOTES.say("client", text="this client has no open feed: it was released, or its event loop has ended")
        return reader
