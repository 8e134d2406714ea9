"""What an engine sees now, gathered from a feed for the view and for the summary."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from drift_schemas import FundingEvent, Kind, MarketEvent, PriceEvent, SpotMarketEvent, StatusEvent

__all__ = ["Board", "Feed", "Row"]


class Feed(Protocol):
    """The part of a ``DriftFeed`` that the board reads."""

    def funding(self, symbol: str, /) -> FundingEvent | None:
        """The fresh funding of a market."""

    def price(self, symbol: str, /) -> PriceEvent | None:
        """Its fresh price."""

    def market(self, symbol: str, /) -> MarketEvent | None:
        """Its fresh facts, of a perp market."""

    def spot(self, symbol: str, /) -> SpotMarketEvent | None:
        """Its fresh state, of a spot market."""

    def age_s(self, kind: Kind, symbol: str, /) -> float | None:
        """Seconds since a value changed or was confirmed."""

    def status(self) -> StatusEvent | None:
        """The last heartbeat."""

    def status_age_s(self) -> float | None:
        """Seconds since it came."""


@dataclass(frozen=True, slots=True)
class Row:
    """One market: what is fresh of it, ``None`` where nothing is.

    Attributes:
        name: The market's name.
        age_s: Seconds since its price changed or was confirmed.
        trend: +1 or -1 by the last change of the oracle's price, 0 before the first.
    """

    name: str
    price: PriceEvent | None
    funding: FundingEvent | None
    market: MarketEvent | None
    spot: SpotMarketEvent | None
    age_s: float | None
    trend: int

    @property
    def is_live(self) -> bool:
        """A price is there that an engine may use."""
        return self.price is not None and self.price.oracle_price is not None

    @property
    def open_interest_usd(self) -> float | None:
        """The larger side at the oracle's price."""
        if self.market is None or self.price is None or self.price.oracle_price is None:
            return None
        return self.market.open_interest * self.price.oracle_price / 1e15


@dataclass
class Board:
    """The latest rows, and what the whole run has seen.

    Attributes:
        perps: Perp markets in the order of their index.
        spots: Spot markets likewise.
        status: The publisher's last heartbeat.
        status_age_s: Its age.
        ever_live: Every market that had a usable price at some time, perp or spot.
        first_data_s: Seconds from the start of the run to the first price.
    """

    started: float = field(default_factory=time.monotonic)
    perps: list[Row] = field(default_factory=list)
    spots: list[Row] = field(default_factory=list)
    status: StatusEvent | None = None
    status_age_s: float | None = None
    ever_live: dict[str, str] = field(default_factory=dict)
    first_data_s: float | None = None
    _known: dict[str, tuple[str, int]] = field(default_factory=dict)
    _last_price: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def program(self) -> str:
        """The on-chain program that the heartbeats name; empty before the first of them."""
        return "" if self.status is None else self.status.program

    @property
    def live_now(self) -> list[Row]:
        """Rows with a usable price."""
        return [row for row in (*self.perps, *self.spots) if row.is_live]

    def update(self, feed: Feed) -> None:
        """Reads everything from the feed again."""
        self.status, self.status_age_s = feed.status(), feed.status_age_s()
        names = dict.fromkeys((*(self.status.markets if self.status else ()), *self._known))
        rows = [self._row(feed, name) for name in names]
        for row in rows:
            event = row.price or row.funding or row.spot or row.market
            if event is not None:
                self._known[row.name] = (event.market_type, event.market_index)
            if row.is_live and event is not None:
                self.ever_live.setdefault(row.name, event.market_type)
        if self.first_data_s is None and self.ever_live:
            self.first_data_s = self.elapsed_s
        self.perps, self.spots = self._of_type(rows, "perp"), self._of_type(rows, "spot")

    def _of_type(self, rows: list[Row], market_type: str) -> list[Row]:
        known = [row for row in rows if self._known.get(row.name, ("", 0))[0] == market_type]
        return sorted(known, key=lambda row: self._known[row.name][1])

    def _row(self, feed: Feed, name: str) -> Row:
        price = feed.price(name)
        return Row(
            name=name,
            price=price,
            funding=feed.funding(name),
            market=feed.market(name),
            spot=feed.spot(name),
            age_s=feed.age_s("price", name),
            trend=self._trend(name, price),
        )

    def _trend(self, name: str, price: PriceEvent | None) -> int:
        last, trend = self._last_price.get(name, (0, 0))
        now = price.oracle_price if price else None
        if now is not None and now != last:
            trend = 0 if not last else 1 if now > last else -1
            self._last_price[name] = (now, trend)
        return trend
