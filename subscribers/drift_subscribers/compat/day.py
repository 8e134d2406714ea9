"""The last 24 hours of a market's mark price, from the stream's history: read beside the calls, never invented."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from nats.aio.msg import Msg

from drift_schemas import SEQUENCE_HEADER, MessageError, PriceEvent
from drift_schemas.access import end
from drift_schemas.codec import unpack
from drift_subscribers.direct import ReadFailed
from drift_subscribers.feed import DriftFeed
from drift_subscribers.server_clock import stored_at_ns

__all__ = ["Day", "Days", "PriceDay"]

_BATCH: Final = 128
_MINUTE_NS: Final = 60 * 10**9
_DAY: Final = 24 * 60
_LONGEST_GAP: Final = 15
_AGAIN_S: Final = 5.0


class Day(NamedTuple):
    """Prices are 1e-6, as the bus has them.

    Attributes:
        before: The price 24 hours ago, to the minute.
        high: The highest since then.
        low: The lowest since then.
    """

    before: int
    high: int
    low: int


class PriceDay:
    """Prices by minute: the last, the highest and the lowest of each."""

    def __init__(self) -> None:
        self._minutes: dict[int, tuple[int, int, int]] = {}

    def add(self, price: int, at_ns: int) -> None:
        """Takes a price, in the order of the stream."""
        minute = at_ns // _MINUTE_NS
        _, high, low = self._minutes.get(minute, (price, price, price))
        self._minutes[minute] = (price, max(high, price), min(low, price))

    def forget_before(self, now_ns: int) -> None:
        """Drops what no day can need any more."""
        oldest = now_ns // _MINUTE_NS - _DAY - _LONGEST_GAP
        self._minutes = {minute: prices for minute, prices in self._minutes.items() if minute >= oldest}

    def ending(self, now_ns: int) -> Day | None:
        """The day that ends now; ``None`` where the history does not reach back so far, or has a gap.

        A gap is 15 minutes without a change: nobody knows the prices of a time in which no publisher ran.
        """
        now = now_ns // _MINUTE_NS
        begin = now - _DAY
        before = max((minute for minute in self._minutes if minute <= begin), default=None)
        if before is None or begin - before > _LONGEST_GAP:
            return None
        since = sorted(minute for minute in self._minutes if begin < minute <= now)
        if any(later - earlier > _LONGEST_GAP for earlier, later in zip([before, *since], [*since, now], strict=True)):
            return None
        first, *_ = self._minutes[before]
        prices = [first, *(price for minute in since for price in self._minutes[minute])]
        return Day(first, max(prices), min(prices))


class _Origin(NamedTuple):
    """What a price must be of, to be of this history."""

    market: str
    program: str
    cluster: str


class _Reading:
    """How far one market's history was read."""

    def __init__(self) -> None:
        self.prices = PriceDay()
        self.next_sequence: int | None = None
        self.is_whole = False
        self.read_at = float("-inf")


class Days:
    """The days of the markets that somebody asked for, one read after the other.

    Args:
        feed: Whose connection reads, and whose bus is meant.
        wall_ns: Nanoseconds since the epoch.
    """

    def __init__(self, feed: DriftFeed, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._feed = feed
        self._wall_ns = wall_ns
        self._recreations = 0
        self._readings: dict[_Origin, _Reading] = {}
        self._wanted: dict[_Origin, None] = {}
        self._task: asyncio.Task[None] | None = None

    def before(self, price: PriceEvent) -> Day | None:
        """The day of a market that ends now, as far as it is read; reads on in the running event loop's background."""
        recreations = self._feed._counters.recreations
        if self._recreations != recreations:
            self._recreations, self._readings = recreations, {}
        origin = _Origin(price.market, price.program, price.cluster)
        reading = self._readings.setdefault(origin, _Reading())
        if time.monotonic() - reading.read_at > _AGAIN_S:
            self._wanted[origin] = None
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._read_wanted(), name="drift-price-history")
        return reading.prices.ending(self._wall_ns()) if reading.is_whole else None

    async def stop(self) -> None:
        """Ends a read that is under way."""
        self._wanted.clear()
        if self._task is not None:
            await end(self._task)

    async def _read_wanted(self) -> None:
        while self._wanted:
            origin = next(iter(self._wanted))
            reading = self._readings.get(origin)
            if reading is not None:
                try:
                    await self._read(origin, reading)
                except (ReadFailed, LookupError, ValueError):
                    reading.is_whole = False  # a later call tries again
                reading.read_at = time.monotonic()
            self._wanted.pop(origin, None)

    async def _read(self, origin: _Origin, reading: _Reading) -> None:
        reader, subject = self._feed._reader, self._feed._topology.subjects.public("price", origin.market)
        if reading.next_sequence is None:
            begin_ns = self._wall_ns() - (_DAY + _LONGEST_GAP) * _MINUTE_NS
            moment = datetime.fromtimestamp(begin_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            reading.next_sequence = await reader.since(subject, moment) or None
            if reading.next_sequence is None:
                return
        while True:
            batch = await reader.following(subject, reading.next_sequence, limit=_BATCH)
            for message in batch.messages:
                reading.next_sequence = int((message.headers or {})[SEQUENCE_HEADER]) + 1
                price = _mark_price(message, origin)
                if price is not None:
                    reading.prices.add(price, stored_at_ns(message.headers or {}))
            if not batch.messages or not batch.pending:
                break
        reading.prices.forget_before(self._wall_ns())
        reading.is_whole = True


def _mark_price(message: Msg, origin: _Origin) -> int | None:
    """What a stored price says; what cannot be read, is of another program or cluster, or not a price, is not there."""
    try:
        fields = unpack(message.data)
    except MessageError:
        return None
    price = fields.get("mark_price")
    if (fields.get("market"), fields.get("program"), fields.get("cluster")) != origin:
        return None
    return price if isinstance(price, int) and not isinstance(price, bool) and price > 0 else None
