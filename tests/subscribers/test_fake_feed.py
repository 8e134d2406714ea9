"""The double behaves as the feed does: one suite for both; and what only the double can do."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, Kind, MarketDataEvent, bucket_ttl_s, encode
from drift_subscribers import (
    Conflate,
    DriftFeed,
    DropOldest,
    FeedClosed,
    FeedError,
    FeedStatus,
    Lossless,
    MarketNotFound,
    StaleData,
    StaleReason,
)
from drift_subscribers.direct import Batch
from drift_subscribers.testing import FakeFeed, funding_event, market_event, price_event, spot_event, status_event
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter
from tests.support.wait import wait_until


class Bus(ABC):
    """A feed, and what a test does to its bus; each step returns when the feed has heard of it."""

    feed: DriftFeed

    @abstractmethod
    async def put(self, *events: MarketDataEvent) -> int: ...
    @abstractmethod
    async def confirm(self, event: MarketDataEvent) -> None: ...
    @abstractmethod
    async def advance(self, seconds: float) -> None: ...
    @abstractmethod
    async def beat(self, **fields: Any) -> None: ...
    @abstractmethod
    async def disconnect(self) -> None: ...


class StoppedClock:
    """Monotonic seconds that pass only when told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class RealBus(Bus):
    """A feed on a real server; its clock is moved by hand."""

    def __init__(self, server: LocalNatsServer, writer: BusWriter, feed: DriftFeed, clock: StoppedClock) -> None:
        self.feed = feed
        self._server = server
        self._writer = writer
        self._clock = clock

    async def put(self, *events: MarketDataEvent) -> int:
        sequence, wanted = 0, self._heard() + len(events)
        for event in events:
            sequence = await self._writer.change(event)
        await wait_until(lambda: self._heard() == wanted)
        return sequence

    async def confirm(self, event: MarketDataEvent) -> None:
        wanted = self.feed.statistics().reassertions + 1
        await self._writer.reassert(event)
        await wait_until(lambda: self.feed.statistics().reassertions == wanted)

    async def advance(self, seconds: float) -> None:
        self._clock.now += seconds

    async def beat(self, **fields: Any) -> None:
        wanted = status_event(**fields)
        await self._writer.beat(**wanted.__dict__)
        await wait_until(lambda: self.feed.status() == wanted and (self.feed.status_age_s() or 0) < 1)

    async def disconnect(self) -> None:
        await self._server.kill()
        await wait_until(lambda: not self.feed.connected)

    def _heard(self) -> int:
        statistics = self.feed.statistics()
        return statistics.changes + sum(statistics.refused.values())


class FakeBus(Bus):
    """A fake feed and nothing else; its publisher beats only when told to, like the other's."""

    def __init__(self, feed: FakeFeed) -> None:
        self.feed = self.fake = feed
        feed.silence()

    async def put(self, *events: MarketDataEvent) -> int:
        return self.fake.put(*events)

    async def confirm(self, event: MarketDataEvent) -> None:
        self.fake.confirm(event.kind, event.market)

    async def advance(self, seconds: float) -> None:
        self.fake.advance(seconds)

    async def beat(self, **fields: Any) -> None:
        self.fake.heartbeat(**fields)
        self.fake.silence()

    async def disconnect(self) -> None:
        self.fake.disconnect()


@pytest.fixture(params=["fake", "real"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """An empty bus and a feed on it: a fake one, then a real one."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "fake":
            yield FakeBus(await stack.enter_async_context(FakeFeed()))
            return
        clock = StoppedClock()
        server = await stack.enter_async_context(LocalNatsServer())
        writer = await stack.enter_async_context(BusWriter(server.url))
        feed = await stack.enter_async_context(DriftFeed(server.url, clock=clock))
        yield RealBus(server, writer, feed, clock)


SAMPLES: dict[Kind, MarketDataEvent] = {
    "funding": funding_event(),
    "price": price_event(),
    "market": market_event(),
    "spot": spot_event(),
}


async def test_reads_give_what_was_put(bus: Bus) -> None:
    sequence = await bus.put(*SAMPLES.values(), price_event("SOL"))
    assert sequence == 5
    for kind, event in SAMPLES.items():
        assert getattr(bus.feed, kind)(event.market) == event
        assert getattr(bus.feed, f"require_{kind}")(event.market) == event
    assert bus.feed.markets() == ["SOL-PERP", "SOL"]
    assert bus.feed.markets("spot") == ["SOL"]
    assert bus.feed.price("BTC-PERP") is None
    assert bus.feed.state is FeedStatus.LIVE
    statistics = bus.feed.statistics()
    assert (statistics.changes, statistics.entries, statistics.resyncs, statistics.connected) == (5, 5, 1, True)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_value_is_fresh_for_its_ttl_and_a_confirmation_renews_it(bus: Bus, kind: Kind) -> None:
    event = SAMPLES[kind]
    await bus.put(event)
    await bus.advance(bucket_ttl_s(kind) - 1)
    assert getattr(bus.feed, kind)(event.market) == event
    await bus.advance(1.1)
    assert getattr(bus.feed, kind)(event.market) is None
    await bus.confirm(event)
    assert getattr(bus.feed, kind)(event.market) == event
    assert (bus.feed.cache_hits, bus.feed.cache_misses) == (2, 1)
    assert bus.feed.statistics().reassertions == 1


async def test_a_stale_value_says_why(bus: Bus) -> None:
    def reason(**wanted: Any) -> StaleReason:
        with pytest.raises(FeedError) as stale:
            bus.feed.require_price("SOL-PERP", **wanted)
        assert isinstance(stale.value, StaleData | MarketNotFound)
        return stale.value.reason

    await bus.advance(5)
    assert reason() is StaleReason.PUBLISHER_SILENT
    await bus.beat()
    assert reason() is StaleReason.NEVER_SEEN
    await bus.put(price_event(oracle_is_valid=False))
    assert reason() is StaleReason.ORACLE_INVALID
    await bus.advance(3)
    assert reason(max_age_s=2) is StaleReason.TOO_OLD
    await bus.advance(8)
    assert reason() is StaleReason.PUBLISHER_SILENT
    await bus.beat(source_state="stalled", reason="no slot for 7 s")
    assert reason() is StaleReason.CHAIN_STALLED
    await bus.beat()
    assert reason() is StaleReason.TOO_OLD
    await bus.disconnect()
    assert reason() is StaleReason.DISCONNECTED
    assert bus.feed.state is FeedStatus.DISCONNECTED


async def test_an_older_epoch_does_not_come_back(bus: Bus) -> None:
    await bus.put(price_event(oracle_price=2, epoch=2))
    await bus.put(price_event(oracle_price=1, epoch=1))
    assert bus.feed.statistics().refused == {"old epoch": 1}
    assert bus.feed.require_price("SOL-PERP").oracle_price == 2


async def test_every_policy(bus: Bus) -> None:
    feed = bus.feed
    streams = {
        policy: feed.stream("price", "SOL-PERP", policy=policy)
        for policy in (Conflate(), DropOldest(3), Lossless(4), Lossless())
    }
    await bus.put(*(price_event(oracle_price=price) for price in range(1, 21)), price_event("BTC-PERP"))
    wanted = {
        Conflate(): [20],
        DropOldest(3): [18, 19, 20],
        Lossless(4): list(range(1, 21)),
        Lossless(): list(range(1, 21)),
    }
    for policy, stream in streams.items():
        prices = wanted[policy]
        assert [event.oracle_price for event in await collect(stream, len(prices))] == prices
    told = {each.policy: each.statistics for each in feed.stream_statistics()}
    assert told[Conflate()].conflated == 19
    assert told[DropOldest(3)].dropped == 17
    assert told[Lossless(4)].repaired == 16
    assert {each.market for each in feed.stream_statistics()} == {"SOL-PERP"}
    for stream in streams.values():
        stream.close()
    assert feed.stream_statistics() == []


async def test_streams_pass_on_changes_and_no_confirmations(bus: Bus) -> None:
    stream = bus.feed.stream("funding")
    await bus.put(funding_event(funding_rate=1))
    await bus.confirm(funding_event(funding_rate=1))
    await bus.put(funding_event(funding_rate=2))
    assert [event.funding_rate for event in await collect(stream, 2)] == [1, 2]
    assert stream.statistics().depth == 0


async def test_streams_begin_where_they_are_told_to(bus: Bus) -> None:
    await bus.put(*(price_event(oracle_price=price) for price in (1, 2, 3)))
    past = bus.feed.stream("price", since=2)
    current = bus.feed.stream("price", current=True)
    long_ago = bus.feed.stream("price", since=datetime(2001, 1, 1, tzinfo=UTC))
    await bus.put(price_event(oracle_price=4))
    assert [event.oracle_price for event in await collect(past, 3)] == [2, 3, 4]
    assert [event.oracle_price for event in await collect(current, 1)] == [4]
    assert [event.oracle_price for event in await collect(long_ago, 4)] == [1, 2, 3, 4]
    assert past.sequence == 4
    with pytest.raises(ValueError, match="Lossless"):
        bus.feed.stream("price", policy=Conflate(), since=1)
    with pytest.raises(ValueError, match="time zone"):
        bus.feed.stream("price", since=datetime(2001, 1, 1))


async def test_a_stream_of_several_markets_hears_those_and_no_other(bus: Bus) -> None:
    feed, wanted = bus.feed, ["SOL-PERP", "ETH-PERP"]
    await bus.put(price_event("SOL-PERP", oracle_price=1), price_event("BTC-PERP", oracle_price=2))
    policies = (Conflate(), DropOldest(8), Lossless(), Lossless(1))
    streams = [feed.stream("price", wanted, policy=policy, current=True) for policy in policies]
    from_the_start = feed.stream("price", (name for name in (*wanted, "ETH-PERP")), since=1)
    await bus.put(
        price_event("ETH-PERP", oracle_price=3),
        price_event("BTC-PERP", oracle_price=4),
        price_event("SOL-PERP", oracle_price=5),
    )

    for stream, policy in zip(streams, policies, strict=True):
        seen = [(event.market, event.oracle_price) for event in await collect(stream, 2 if policy == Conflate() else 3)]
        first = [] if policy == Conflate() else [("SOL-PERP", 1)]
        assert sorted([*first, ("ETH-PERP", 3), ("SOL-PERP", 5)]) == sorted(seen), policy
        assert stream.statistics().depth == 0
    assert [event.oracle_price for event in await collect(from_the_start, 3)] == [1, 3, 5]
    assert {each.market for each in feed.stream_statistics()} == {"SOL-PERP,ETH-PERP"}
    assert feed.statistics().streams == len(policies) + 1  # each once, however many markets it hears
    for stream in (*streams, from_the_start):
        stream.close()
    assert feed.statistics().streams == 0
    with pytest.raises(ValueError, match="name at least one market"):
        feed.stream("price", [])


async def test_each_event_tells_its_place_and_when_it_came(bus: Bus) -> None:
    feed, made = bus.feed, price_event("SOL-PERP", oracle_price=1)
    assert made.sequence is made.received_at_ns is None  # nothing brought it here
    stream = feed.stream("price", "SOL-PERP", policy=Lossless())
    first = await bus.put(made)
    [told] = await collect(stream, 1)
    held = feed.require_price("SOL-PERP")
    assert told.sequence == held.sequence == first
    assert told.received_at_ns is not None
    assert told.received_at_ns > 0
    assert feed.stream("price", since=first).sequence == 0  # a stream's own place is that of what it delivered

    await bus.confirm(made)
    again = feed.require_price("SOL-PERP")
    assert again.sequence is not None
    assert again.sequence > first
    assert (again.received_at_ns or 0) >= told.received_at_ns

    # It is no part of the event: not sent, not compared, not copied.
    assert again == told == made
    assert hash(again) == hash(made)
    assert encode(told) == encode(made)
    assert told.model_dump() == made.model_dump()
    assert "received_at_ns" not in type(told).model_json_schema()["properties"]
    assert told.model_copy(update={"slot": 7}).sequence is None
    assert pickle.loads(pickle.dumps(told)).received_at_ns is None
    with pytest.raises(ValidationError):
        told.slot = 7  # type: ignore[misc]


async def test_a_heartbeat_tells_when_it_came(bus: Bus) -> None:
    await bus.beat()
    status = bus.feed.status()
    assert status is not None
    assert status.sequence is None  # it is not stored
    assert (status.received_at_ns or 0) > 0


async def test_closing_ends_streams_and_the_feed_is_opened_once(bus: Bus) -> None:
    stream = bus.feed.stream("price")
    waiting = asyncio.create_task(anext(stream, None))
    await bus.feed.__aexit__(None, None, None)
    assert await waiting is None
    assert bus.feed.state is FeedStatus.CLOSED
    with pytest.raises(FeedClosed):
        bus.feed.stream("price")
    with pytest.raises(FeedClosed, match="opened once"):
        await bus.feed.__aenter__()


async def test_a_read_sends_nothing_to_the_server(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as writer, DriftFeed(nats_server.url) as feed:
        await writer.change(price_event())
        await wait_until(lambda: feed.price("SOL-PERP"))
        hits, misses = feed.cache_hits, feed.cache_misses
        before = dict(feed._connection.client.stats)
        for _ in range(1000):
            assert feed.price("SOL-PERP") is not None
            assert feed.funding("SOL-PERP") is None
        assert feed._connection.client.stats == before
        assert (feed.cache_hits - hits, feed.cache_misses - misses) == (1000, 1000)


# --- the fake alone ---------------------------------------------------------------------------------------------------


def test_sync_code_needs_no_event_loop() -> None:
    feed = FakeFeed([funding_event("SOL-PERP", funding_rate=-3_000_000)])
    assert feed.require_funding("SOL-PERP").hourly_rate == pytest.approx(-2e-5)
    feed.advance(31)
    with pytest.raises(StaleData) as stale:
        feed.require_funding("SOL-PERP")
    assert (stale.value.reason, stale.value.age_s) == (StaleReason.TOO_OLD, 31)
    feed.silence()
    feed.advance(5)
    with pytest.raises(StaleData, match="no heartbeat of the publisher for 5 s"):
        feed.require_funding("SOL-PERP")
    with pytest.raises(ValueError, match="does not go back"):
        feed.advance(-1)


async def test_a_moment_of_its_own_clock_is_a_place_to_begin() -> None:
    async with FakeFeed([price_event(oracle_price=1)]) as feed:
        feed.advance(60)
        moment = feed.now
        feed.put(price_event(oracle_price=2))
        assert moment - timedelta(seconds=60) == datetime.fromtimestamp(1_700_000_000, UTC)
        assert [event.oracle_price for event in await collect(feed.stream("price", since=moment), 1)] == [2]


async def test_what_was_put_while_the_line_was_cut_is_caught_up_with() -> None:
    async with FakeFeed([price_event(oracle_price=1)], markets=["SOL-PERP"]) as feed:
        every, latest = feed.stream("price", policy=Lossless()), feed.stream("price")
        feed.disconnect()
        feed.put(price_event(oracle_price=2), price_event(oracle_price=3), price_event("BTC-PERP"))
        assert feed.require_price("SOL-PERP").oracle_price == 1
        assert feed.state is FeedStatus.DISCONNECTED
        feed.advance(4)
        feed.reconnect()
        assert feed.require_price("SOL-PERP").oracle_price == 3
        assert feed.age_s("price", "SOL-PERP") == 4  # it is as old as it is, not as late as we heard of it
        assert [event.oracle_price for event in await collect(every, 2)] == [2, 3]
        assert [event.oracle_price for event in await collect(latest, 1)] == [3]
        assert feed.markets() == ["SOL-PERP"]
        assert (feed.statistics().disconnects, feed.statistics().resyncs) == (1, 2)


async def test_the_oldest_event_ages_by_the_feeds_own_clock() -> None:
    feed = FakeFeed()
    stream = feed.stream("price")
    feed.put(price_event())
    feed.advance(7)
    assert stream.statistics().oldest_age_s == 7
    feed.close()
    assert await anext(stream, None) is None
    assert feed.state is FeedStatus.CLOSED


def test_only_what_is_followed_is_heard() -> None:
    feed = FakeFeed(SAMPLES.values(), markets=["SOL-PERP"], kinds=["price"])
    assert (feed.markets(), feed.funding("SOL-PERP")) == (["SOL-PERP"], None)
    with pytest.raises(ValueError, match="follows price"):
        feed.stream("funding")


def test_events_say_that_they_are_invented_and_take_no_unknown_field() -> None:
    assert {event.cluster for event in (*SAMPLES.values(), status_event())} == {"simulated"}
    assert price_event("SOL").bid_price is None
    assert price_event(oracle_price=None).oracle_is_valid is False
    with pytest.raises(TypeError, match="PriceEvent has no orcale_price"):
        price_event(orcale_price=1)
    with pytest.raises(ValueError, match="cannot go on the bus"):
        FakeFeed([price_event("")])


PASSING_TIME = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(["SOL-PERP", "BTC-PERP"])),
        st.tuples(st.just("confirm"), st.sampled_from(["SOL-PERP", "BTC-PERP"])),
        st.tuples(st.just("advance"), st.sampled_from([0.0, 1.0, 3.25, 9.5, 10.0, 10.5])),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps=PASSING_TIME)
def test_within_the_ttl_a_read_asks_nobody_and_after_it_the_value_is_renewed_or_absent(
    steps: list[tuple[str, Any]],
) -> None:
    feed = FakeFeed()
    asked = 0

    async def read(wish: dict[str, Any]) -> Batch:
        nonlocal asked
        asked += 1
        return Batch()

    feed._reader._read = read  # type: ignore[method-assign]
    now, price = 0.0, 0
    known: dict[str, tuple[int, float]] = {}
    for step, argument in steps:
        if step == "put":
            price += 1
            feed.put(price_event(argument, oracle_price=price))
            known[argument] = (price, now)
        elif step == "confirm":
            feed.confirm("price", argument)
            if argument in known:
                known[argument] = (known[argument][0], now)
        else:
            feed.advance(argument)
            now += argument
        for market in ("SOL-PERP", "BTC-PERP"):
            value, confirmed = known.get(market, (None, -99.0))
            event = feed.price(market)
            assert (None if event is None else event.oracle_price) == (value if now - confirmed <= 10 else None)
    assert feed.cache_hits + feed.cache_misses == 2 * len(steps)
    assert asked == 0


def test_the_readmes_test_of_an_engine_runs() -> None:
    text = (Path(__file__).parents[2] / "subscribers" / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(block, {})
