"""Reading one feed as the old code asks: by loose names, within the old TTLs, from the right network only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from drift_schemas import FundingEvent, Kind, MarketDataEvent, MarketEvent, PriceEvent, has_settlements
from drift_subscribers.compat.accounts import OraclePriceData, PerpMarketAccount, perp_market_account
from drift_subscribers.compat.day import Day
from drift_subscribers.compat.figures import (
    Figures,
    funding_info,
    funding_market,
    funding_rate,
    hourly_fraction,
    market_stats,
    perp_market,
    usd,
)
from drift_subscribers.compat.networks import agrees
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.shapes import FundingInfo, FundingMarket, FundingRate, MarketStats, PerpMarket
from drift_subscribers.diagnosis import explain
from drift_subscribers.reads import Reads

__all__ = ["Reader"]

_E = TypeVar("_E", bound=MarketDataEvent)
_V = TypeVar("_V", int, float)


class Reader:
    """Sync reads of perp markets; whatever is absent, not fresh, or of another cluster is ``None``.

    A market's result is whole or ``None``: no figure is made up for one that is missing.

    Args:
        feed: The open feed.
        cluster: The cluster that was asked for.
        ttl_s: Oldest entry to use, in seconds by kind.
        days: Tells the 24 hours before a price; ``None`` where they are not known.
    """

    def __init__(
        self, feed: Reads, cluster: str, ttl_s: Mapping[Kind, float], days: Callable[[PriceEvent], Day | None]
    ) -> None:
        self._feed = feed
        self._cluster = cluster
        self._ttl_s = ttl_s
        self._days = days

    def funding_rate(self, market: object) -> FundingRate | None:
        """Last settled funding and the mark price."""
        name = self._name(market)
        hourly, mark = (None, None) if name is None else (self._hourly(name), self._mark(name))
        return None if hourly is None or mark is None else funding_rate(hourly, mark)

    def funding_info(self, market: object) -> FundingInfo | None:
        """The same with the time to the next settlement."""
        name = self._name(market)
        rate, seconds = (None, None) if name is None else (self.funding_rate(name), self._seconds(name))
        return None if name is None or rate is None or seconds is None else funding_info(name, rate, seconds)

    def funding_market(self, market: object) -> FundingMarket | None:
        """Rates, open interest and volume of one market."""
        name = self._name(market)
        figures = None if name is None else self._figures(name)
        return None if figures is None else funding_market(figures)

    def funding_is_paused(self, market: str) -> bool:
        """Funding does not settle there, so nobody receives any."""
        funding = self._funding(market)
        return funding is None or funding.is_paused

    def perp_markets(self) -> list[PerpMarket]:
        """Every perp market that is whole, by index."""
        return [perp_market(figures) for name in self._names() if (figures := self._figures(name))]

    def market_stats(self, market: object) -> MarketStats | None:
        """Prices, funding, open interest and volume of one market."""
        name = self._name(market)
        figures, seconds = (None, None) if name is None else (self._figures(name), self._seconds(name))
        if figures is None or seconds is None:
            return None
        return market_stats(figures, seconds, self._days(figures.price))

    def oracle_price(self, market: object) -> float | None:
        """Oracle price in USD."""
        name = self._name(market)
        return None if name is None else self._oracle(name)

    def mark_price(self, market: object) -> float | None:
        """Mark price in USD."""
        name = self._name(market)
        return None if name is None else self._mark(name)

    def time_to_funding(self) -> int | None:
        """Seconds until the next settlement of any market; 0 where all of them are overdue."""
        events = [event for name in self._names() if (event := self._funding(name)) and not event.is_paused]
        moments = [event.next_funding_ts for event in events if event.next_funding_ts is not None]
        now = int(time.time())
        return min((at - now for at in moments if at > now), default=0) if moments else None

    def perp_market_account(self, index: object) -> PerpMarketAccount | None:
        """The market's account as driftpy shows it."""
        name = self._name_at(index)
        if name is None:
            return None
        market, funding, price = self._market(name), self._funding(name), self._price(name)
        if market is None or funding is None or price is None:
            return None
        return perp_market_account(market, funding, price)

    def oracle_price_data(self, index: object) -> OraclePriceData | None:
        """The market's oracle as driftpy shows it."""
        name = self._name_at(index)
        price = None if name is None else self._price(name)
        if price is None or price.oracle_price is None or self._oracle(price.market) is None:
            return None
        return OraclePriceData(price.oracle_price, price)

    def _names(self) -> list[str]:
        return self._feed.markets("funding")

    def _name(self, market: object) -> str | None:
        """The on-chain name behind ``SOL-PERP``, ``sol-perp`` or ``SOL``."""
        if isinstance(market, str):
            if self._feed.age_s("funding", market) is not None:
                return market
            typed = market.strip().casefold()
            names = {name.casefold(): name for name in reversed(self._names())}
            found = names.get(typed) or names.get(f"{typed}-perp")
            if found is not None:
                NOTES.passed("unknown", market)
                return found
        text = f"no funding of {market!r} was ever seen: unknown to this bus, or no publisher has run yet"
        NOTES.say("unknown", str(market), text=text)
        return None

    def _name_at(self, index: object) -> str | None:
        """The market's name now: for a while after it changed, the value under the old one is still fresh."""
        events = (event for name in self._names() if (event := self._feed.funding(name)))
        of_index = [event for event in events if event.market_index == index]
        event = max(of_index, key=lambda event: event.published_at_ns, default=None)
        if event is None:
            NOTES.say("unknown", str(index), text=f"no perp market with index {index!r} is on the bus now")
            return None
        NOTES.passed("unknown", str(index))
        return event.market

    def _figures(self, name: str) -> Figures | None:
        market, hourly, price = self._market(name), self._hourly(name), self._price(name)
        if market is None or hourly is None or price is None:
            return None
        whole = self._mark(name) is not None and self._oracle(name) is not None
        return Figures(market, price, hourly) if whole else None

    def _hourly(self, name: str) -> float | None:
        funding = self._funding(name)
        rate = None if funding is None else hourly_fraction(funding)
        why = "its last funding was settled against no oracle price"
        if funding is not None and not has_settlements(funding.funding_period):
            why = f"nothing settles under its funding period of {funding.funding_period} s"
        return self._noted(rate, "rate", name, why, funding)

    def _seconds(self, name: str) -> int | None:
        funding = self._funding(name)
        at = None if funding is None else funding.next_funding_ts
        seconds = None if at is None else max(0, at - int(time.time()))
        return self._noted(seconds, "next funding", name, "nothing settles under its funding period", funding)

    def _mark(self, name: str) -> float | None:
        price = self._price(name)
        mark = None if price is None else usd(price.mark_price)
        return self._noted(mark, "mark", name, "the AMM has no price, for its oracle has none", price)

    def _oracle(self, name: str) -> float | None:
        price = self._price(name)
        oracle = None if price is None else usd(price.oracle_price)
        if price is not None and oracle is not None:
            if price.oracle_is_valid:
                NOTES.passed("invalid oracle", name)
            else:
                NOTES.say("invalid oracle", name, text=f"{name}: the program itself would refuse this oracle price now")
        return self._noted(oracle, "oracle", name, "its oracle has no price", price)

    def _noted(self, value: _V | None, what: str, name: str, why: str, event: object) -> _V | None:
        """Passes a figure on; one that is missing though its event is there is logged once."""
        if value is not None:
            NOTES.passed(what, name)
        elif event is not None:
            NOTES.say(what, name, text=f"{name} gives None: {why}")
        return value

    def _cause(self) -> str:
        """What the feed knows about it, to end a log line with."""
        feed = self._feed
        cause = explain(connected=feed.connected, status=feed.status(), status_age_s=feed.status_age_s())
        return "" if cause is None else f" ({cause[0]}: {cause[1]})"

    def _funding(self, name: str) -> FundingEvent | None:
        return self._usable("funding", name, self._feed.funding(name))

    def _price(self, name: str) -> PriceEvent | None:
        return self._usable("price", name, self._feed.price(name))

    def _market(self, name: str) -> MarketEvent | None:
        return self._usable("market", name, self._feed.market(name))

    def _usable(self, kind: Kind, name: str, event: _E | None) -> _E | None:
        age_s, limit_s = self._feed.age_s(kind, name), self._ttl_s[kind]
        if event is None or age_s is None or age_s > limit_s:
            what = "was never seen" if age_s is None else f"was neither changed nor confirmed within {limit_s:g} s"
            NOTES.say("stale", kind, name, text=f"{name} gives None: its {kind} {what}{self._cause()}")
            return None
        NOTES.passed("stale", kind, name)
        return event if agrees(event.cluster, self._cluster) else None
