"""Nothing on the engine's side knows a program: every kind of event of each goes the whole way, unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, MarketDataEvent, Topology, decode_event
from drift_subscribers import DriftFeed, Lossless
from drift_subscribers.archive import ExportSource, export_history, import_history
from drift_subscribers.archive.files import FORMATS
from drift_subscribers.history import as_of
from drift_subscribers.replay import Replay
from drift_subscribers.testing import FakeFeed, funding_event, market_event, price_event, spot_event, status_event
from tests.subscribers.archive.support import events_in
from tests.subscribers.replay.support import stored, stored_at
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter
from tests.support.wait import wait_until

ELSEWHERE = Topology("imported.drift")
BY_PREFIX = {"drift": "drift-v2", "velocity": "velocity-v1"}


@pytest.fixture
def events(program: str) -> list[MarketDataEvent]:
    """Every kind, of a perp and of a spot market; of Velocity with the prices that it alone has."""
    return [
        price_event("SOL-PERP", program=program),
        price_event("SOL", program=program),
        funding_event("SOL-PERP", program=program),
        market_event("SOL-PERP", program=program),
        spot_event("SOL", program=program),
    ]


def held(feed: DriftFeed, events: Sequence[MarketDataEvent]) -> list[MarketDataEvent | None]:
    """What a feed's sync reads give in the place of each event."""
    return [getattr(feed, event.kind)(event.market) for event in events]


async def test_every_kind_goes_the_whole_way(
    bus: BusWriter, nats_server: LocalNatsServer, events: list[MarketDataEvent], program: str, tmp_path: Path
) -> None:
    """Live, by snapshot, from the stream, replayed, as of a time, exported, imported: equal, with every field."""
    assert {event.kind for event in events} == set(KINDS)
    async with DriftFeed(nats_server.url) as feed:
        sequences = [await bus.change(event) for event in events]
        await wait_until(lambda: held(feed, events) == events, what="the live feed has them")
        await bus.beat(program=program)
        status = await wait_until(feed.status)
        assert status.program == program

    async with DriftFeed(nats_server.url) as late:
        assert held(late, events) == events
        for event in events:
            stream = late.stream(event.kind, event.market, policy=Lossless(), since=1)
            assert await collect(stream, 1) == [event]
            stream.close()

    async with Replay(nats_server.url) as replay:
        assert [event async for event in replay] == events
    last_ns = await stored_at(bus.client, bus.topology, sequences[-1])
    then = await as_of(bus.client, bus.topology, last_ns + 1)
    in_order = sorted(then, key=lambda tick: tick.sequence)
    assert [decode_event(tick.kind, tick.payload, tick.headers) for tick in in_order] == events

    for file_format in FORMATS:
        await export_history(bus.client, bus.topology, tmp_path / file_format, file_format=file_format)
        assert [one.event for one in events_in(tmp_path / file_format)] == events
    await import_history(bus.client, ELSEWHERE, ExportSource(tmp_path / FORMATS[0]), listen_s=0.1)
    again = await stored(bus.client, ELSEWHERE)
    assert [decode_event(one.kind, one.payload, one.headers) for one in again if one.kind] == events


async def test_two_programs_live_side_by_side_under_two_prefixes(nats_server: LocalNatsServer) -> None:
    """The same markets, the same server, and no word of one in the feed of the other."""
    prices = {prefix: price_event(program=program) for prefix, program in BY_PREFIX.items()}
    async with (
        BusWriter(nats_server.url, prefix="drift") as first,
        BusWriter(nats_server.url, prefix="velocity") as second,
        DriftFeed(nats_server.url, prefix="drift") as of_first,
        DriftFeed(nats_server.url, prefix="velocity") as of_second,
    ):
        for bus in (first, second):
            await bus.change(prices[bus.topology.subjects.prefix])
        for prefix, feed in (("drift", of_first), ("velocity", of_second)):
            await wait_until(partial(feed.price, "SOL-PERP"))
            assert feed.price("SOL-PERP") == prices[prefix]
            assert feed.statistics().refused == {}


def test_the_fake_feed_has_the_program_of_its_events(events: list[MarketDataEvent], program: str) -> None:
    feed = FakeFeed(events)
    feed.heartbeat(program=program)
    assert held(feed, events) == events
    assert {event.program for event in events} == {program}
    status = feed.status()
    assert status is not None
    assert status.program == status_event(program=program).program == program


def test_what_a_program_lacks_is_none() -> None:
    drift, velocity = (price_event(program=program) for program in BY_PREFIX.values())
    lacking = {name for name, value in drift.model_dump().items() if value is None}
    assert lacking == {"mm_oracle_price", "mm_oracle_slot", "safe_oracle_price", "safe_oracle_confidence"}
    assert None not in velocity.model_dump().values()
    for without in (price_event("SOL", program="velocity-v1"), price_event(oracle_price=None, program="velocity-v1")):
        assert all(getattr(without, name) is None for name in lacking)
