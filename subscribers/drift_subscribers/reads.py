"""The reading half of a feed: sync, from memory, never waiting for a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from drift_schemas import (
    FundingEvent,
    Kind,
    MarketDataEvent,
    MarketEvent,
    PriceEvent,
    SpotMarketEvent,
    StatusEvent,
)
from drift_subscribers.diagnosis import explain
from drift_subscribers.errors import MarketNotFound, StaleData, StaleReason
from drift_subscribers.heartbeat import Heartbeat
from drift_subscribers.memory import Memory

__all__ = ["Reads"]


class Reads:
    """Values by kind and market name, what is known about their age, and why they are not to be used.

    Attributes:
        cache_hits: Reads that were given a value.
        cache_misses: Reads of what is absent or not fresh.
    """

    def __init__(self, memories: Mapping[Kind, Memory], heartbeat: Heartbeat) -> None:
        self._memories = memories
        self._funding = memories["funding"]
        self._price = memories["price"]
        self._market = memories["market"]
        self._spot = memories["spot"]
        self._heartbeat = heartbeat
        self.cache_hits = 0
        self.cache_misses = 0

    @property
    def connected(self) -> bool:
        """Values can arrive now."""
        raise NotImplementedError

    @property
    def unreadable(self) -> str:
        """Why the stream cannot be read now; empty while it can."""
        return ""

    def funding(self, market: str) -> FundingEvent | None:
        """Funding of a perp market; ``None`` when it is absent or not fresh."""
        return cast("FundingEvent | None", self._counted(self._funding.fresh(market)))

    def price(self, market: str) -> PriceEvent | None:
        """Prices of a perp or spot market, whatever its oracle is like; ``None`` when they are absent or not fresh.

        A fresh event also tells that the oracle is not to be used: ``oracle_is_valid`` is false where it is too old,
        too uncertain or too far from its average, and ``oracle_price`` is ``None`` where its account is missing. Ask
        :meth:`valid_price` to be given no such event.
        """
        return cast("PriceEvent | None", self._counted(self._price.fresh(market)))

    def valid_price(self, market: str) -> PriceEvent | None:
        """As :meth:`price`, but ``None`` also while the program itself would refuse the oracle.

        :meth:`require_price` raises in the same cases, and says which it is.
        """
        event = cast("PriceEvent | None", self._price.fresh(market))
        usable = event is not None and event.oracle_is_valid and event.oracle_price is not None
        return cast("PriceEvent | None", self._counted(event if usable else None))

    def market(self, market: str) -> MarketEvent | None:
        """Slow facts of a perp market; ``None`` when they are absent or not fresh."""
        return cast("MarketEvent | None", self._counted(self._market.fresh(market)))

    def spot(self, market: str) -> SpotMarketEvent | None:
        """State of a spot market; ``None`` when it is absent or not fresh."""
        return cast("SpotMarketEvent | None", self._counted(self._spot.fresh(market)))

    def require_funding(self, market: str, *, max_age_s: float | None = None) -> FundingEvent:
        """As ``funding``, but raises; the arguments and errors of ``require_price``."""
        return cast(FundingEvent, self._require("funding", market, max_age_s))

    def require_price(self, market: str, *, max_age_s: float | None = None, valid_oracle: bool = True) -> PriceEvent:
        """As :meth:`valid_price`, but raises where there is nothing to use.

        Args:
            market: The market's name.
            max_age_s: Longest time since the last change or confirmation; never longer than the kind's TTL.
            valid_oracle: Refuse a price whose oracle the program itself would refuse; ``False``: as :meth:`price`.

        Raises:
            MarketNotFound: nothing was ever seen of it.
            StaleData: it is too old, or its oracle is invalid.
        """
        event = cast(PriceEvent, self._require("price", market, max_age_s))
        if valid_oracle and (not event.oracle_is_valid or event.oracle_price is None):
            age_s = self._price.age_s(market) or 0.0
            raise StaleData(market, "price", age_s, StaleReason.ORACLE_INVALID, "its oracle is invalid now")
        return event

    def require_market(self, market: str, *, max_age_s: float | None = None) -> MarketEvent:
        """As ``market``, but raises; the arguments and errors of ``require_price``."""
        return cast(MarketEvent, self._require("market", market, max_age_s))

    def require_spot(self, market: str, *, max_age_s: float | None = None) -> SpotMarketEvent:
        """As ``spot``, but raises; the arguments and errors of ``require_price``."""
        return cast(SpotMarketEvent, self._require("spot", market, max_age_s))

    def markets(self, kind: Kind | None = None) -> list[str]:
        """Names of all markets seen, fresh or not: perp markets, then spot markets, each by index."""
        memories = self._memories.values() if kind is None else [self._memories[kind]]
        events = (entry.event for memory in memories for entry in memory.entries())
        places = {event.market: (event.market_type, event.market_index) for event in events}
        return sorted(places, key=lambda name: (*places[name], name))

    def age_s(self, kind: Kind, market: str) -> float | None:
        """Seconds since the value last changed or was confirmed; ``None`` when it was never seen."""
        return self._memories[kind].age_s(market)

    def status(self) -> StatusEvent | None:
        """The publisher's last heartbeat, however old; ``None`` when none was heard."""
        return self._heartbeat.status()

    def status_age_s(self) -> float | None:
        """Seconds since the last heartbeat; ``None`` when none was heard."""
        return self._heartbeat.age_s()

    def _counted(self, event: MarketDataEvent | None) -> MarketDataEvent | None:
        if event is None:
            self.cache_misses += 1
        else:
            self.cache_hits += 1
        return event

    def _require(self, kind: Kind, market: str, max_age_s: float | None) -> MarketDataEvent:
        memory = self._memories[kind]
        entry, age_s = memory.entry(market), memory.age_s(market)
        limit_s = memory.ttl_s if max_age_s is None else min(max_age_s, memory.ttl_s)
        if entry is not None and age_s is not None and age_s <= limit_s:
            self.cache_hits += 1
            return entry.event
        self.cache_misses += 1
        cause = explain(
            connected=self.connected,
            unreadable=self.unreadable,
            status=self.status(),
            status_age_s=self.status_age_s(),
        )
        if entry is None or age_s is None:
            never = (StaleReason.NEVER_SEEN, "the bus has no such market")
            raise MarketNotFound(market, kind, *(cause or never))
        detail = f"neither changed nor confirmed within {limit_s:g} s"
        raise StaleData(market, kind, age_s, *(cause or (StaleReason.TOO_OLD, detail)))
