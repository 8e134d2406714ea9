"""The figures of 24 hours: of what the stream really holds, or ``None``; no call waits for them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_schemas import CONTENT_TYPE, SCHEMA_HEADER, STORED_AT_HEADER, encode, schema_of
from drift_subscribers.compat import DriftAdapter
from drift_subscribers.compat.day import PriceDay
from tests.subscribers.compat.conftest import publish
from tests.support.bus_writer import BusWriter, price_event
from tests.support.wait import wait_until

MINUTE_NS = 60 * 10**9
DAY = 24 * 60
FIGURES = ("priceChange24h", "high24h", "low24h")


async def keep(bus: BusWriter, market: str, marks: Mapping[int, int], **fields: Any) -> None:
    """Stores mark prices as they were, by minutes before now; the oldest first."""
    now_ns = time.time_ns()
    for minutes, mark in sorted(marks.items(), reverse=True):
        event = price_event(market, mark_price=mark, **fields)
        stored_at = str(now_ns - minutes * MINUTE_NS)
        headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of("price"), STORED_AT_HEADER: stored_at}
        await bus.raw(f"drift.price.{market}", encode(event), headers)


def a_day(**changed: int) -> dict[int, int]:
    """A price every 12 minutes for 25 hours: 140, with what ``changed`` says at so many minutes before now."""
    marks = dict.fromkeys(range(0, DAY + 60, 12), 140_000_000)
    return marks | {int(name.removeprefix("at_")): mark for name, mark in changed.items()}


async def test_they_come_from_the_history_and_no_call_waits(bus: BusWriter, engine: object) -> None:
    # A peak before the day began does not count; one inside does; so does a price of another cluster not.
    await keep(bus, "SOL-PERP", a_day(at_1490=999_000_000, at_1440=120_000_000, at_700=180_500_000, at_300=90_250_000))
    await keep(bus, "SOL-PERP", {200: 5_000_000_000}, cluster="devnet")
    await publish(bus, "SOL-PERP")
    adapter = DriftAdapter()
    assert await adapter.connect()
    first: Mapping[str, Any] = await adapter.get_market_stats("SOL-PERP")
    assert first["symbol"] == "SOL-PERP"
    assert [first[name] for name in FIGURES] == [None, None, None]

    async def known() -> Mapping[str, Any] | None:
        stats = await adapter.get_market_stats("sol")
        return stats if stats["high24h"] is not None else None

    stats = await wait_until(known)
    assert (stats["high24h"], stats["low24h"]) == (180.5, 90.25)
    assert stats["priceChange24h"] == pytest.approx((150.3 - 120) / 120 * 100)
    await adapter.disconnect()


@pytest.mark.parametrize("why", ["begins today", "has a gap", "is of another cluster", "nothing"])
async def test_a_history_that_is_not_whole_gives_none(why: str, bus: BusWriter, engine: object) -> None:
    marks = {
        "begins today": {minutes: mark for minutes, mark in a_day().items() if minutes < 600},
        "has a gap": {minutes: mark for minutes, mark in a_day().items() if not 300 < minutes < 340},
        "is of another cluster": a_day(),
        "nothing": {},
    }[why]
    await keep(bus, "SOL-PERP", marks, cluster="devnet" if why == "is of another cluster" else "simulated")
    await publish(bus, "SOL-PERP")
    adapter = DriftAdapter()
    assert await adapter.connect()
    session = adapter._session
    assert session is not None

    async def was_read() -> bool:
        await adapter.get_market_stats("SOL-PERP")
        return any(reading.is_whole for days in session._days.values() for reading in days._readings.values())

    await wait_until(was_read)
    stats: Mapping[str, Any] = await adapter.get_market_stats("SOL-PERP")
    assert stats["markPrice"] == 150.3
    assert [stats[name] for name in FIGURES] == [None, None, None]
    await adapter.disconnect()


@given(st.dictionaries(st.integers(0, DAY + 30), st.integers(1, 10**9), max_size=60), st.integers(0, 59))
def test_high_and_low_are_those_of_the_minutes_of_the_day(extra: dict[int, int], second: int) -> None:
    prices = dict.fromkeys(range(0, DAY + 31, 10), 10**6) | extra  # by minute
    day, last = PriceDay(), DAY + 30
    for minute, price in sorted(prices.items()):
        day.add(price, (10**7 + minute) * MINUTE_NS + second * 10**9)
    now_ns = (10**7 + last) * MINUTE_NS + 59 * 10**9
    found = day.ending(now_ns)
    assert found is not None
    before = max(minute for minute in prices if minute <= last - DAY)
    within = [price for minute, price in prices.items() if minute >= before]
    assert found == (prices[before], max(within), min(within))
    day.forget_before(now_ns)
    assert day.ending(now_ns) == found
    assert day.ending(now_ns + 16 * MINUTE_NS) is None  # nothing came since
