"""What Prometheus sees of a feed, from whatever thread it asks."""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers import Conflate, DriftFeed, DropOldest, Lossless, metrics, shared_feed
from drift_subscribers.metrics import FeedCollector
from drift_subscribers.testing import FakeFeed, funding_event, price_event
from tests.support.bus_writer import BusWriter
from tests.support.wait import wait_until


def registry_of(collector: FeedCollector) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)
    return registry


def test_reads_are_counted_as_hits_and_misses() -> None:
    feed = FakeFeed([price_event()])
    value = registry_of(FeedCollector(feed)).get_sample_value
    for _ in range(3):
        feed.price("SOL-PERP")
    feed.require_price("SOL-PERP")
    feed.funding("SOL-PERP")
    feed.advance(11)
    feed.price("SOL-PERP")
    with pytest.raises(LookupError):
        feed.require_spot("SOL")
    assert (value("drift_cache_hits_total"), value("drift_cache_misses_total")) == (4, 3)


async def test_references_are_those_to_shared_feeds(nats_server: LocalNatsServer) -> None:
    first, second = shared_feed(nats_server.url), shared_feed(nats_server.url)
    async with first as feed, second:
        value = registry_of(FeedCollector(feed)).get_sample_value
        assert value("drift_client_ref_count") == 2
        assert value("drift_feed_connected") == 1
        await second.release()
        assert value("drift_client_ref_count") == 1
    assert (value("drift_client_ref_count"), value("drift_feed_connected")) == (0, 0)


def test_what_the_feed_counts() -> None:
    feed = FakeFeed([price_event(epoch=2), price_event(epoch=1), funding_event()])
    feed.confirm()
    feed.silence()
    feed.advance(3)
    feed.disconnect()
    value = registry_of(FeedCollector(feed)).get_sample_value

    def feed_value(name: str, labels: Mapping[str, str] | None = None) -> float | None:
        return value(f"drift_feed_{name}", dict(labels or {}))

    assert feed_value("messages_total", {"what": "changes"}) == 2
    assert feed_value("messages_total", {"what": "reassertions"}) == 1
    assert feed_value("refused_total", {"cause": "old epoch"}) == 2
    assert (feed_value("connected"), feed_value("disconnects_total")) == (0, 1)
    assert (feed_value("markets"), feed_value("entries"), feed_value("streams")) == (1, 2, 0)
    assert (feed_value("gaps_total"), feed_value("resyncs_total")) == (0, 1)
    assert feed_value("heartbeat_age_seconds") == 3


async def test_what_each_stream_counts() -> None:
    async with FakeFeed() as feed:
        value = registry_of(FeedCollector(feed)).get_sample_value
        latest = feed.stream("price", policy=Conflate())
        last = feed.stream("price", "SOL-PERP", policy=DropOldest(2))
        every = feed.stream("price", "SOL-PERP", policy=Lossless(3))
        feed.put(*(price_event(oracle_price=price) for price in range(1, 6)))
        feed.advance(7)
        await anext(latest)

        def of(number: int, name: str, market: str, policy: str) -> float | None:
            labels = {"stream": str(number), "kind": "price", "market": market, "policy": policy}
            return value(f"drift_stream_{name}", labels)

        assert [of(1, name, "", "Conflate") for name in ("delivered_total", "conflated_total", "depth")] == [1, 4, 0]
        assert of(1, "oldest_age_seconds", "", "Conflate") == 0
        assert [of(2, name, "SOL-PERP", "DropOldest") for name in ("dropped_total", "depth")] == [3, 2]
        assert of(2, "oldest_age_seconds", "SOL-PERP", "DropOldest") == 7
        assert [of(3, name, "SOL-PERP", "Lossless") for name in ("depth", "behind")] == [3, 1]
        for _ in range(5):
            await anext(every)
        assert of(3, "repaired_total", "SOL-PERP", "Lossless") == 2
        last.close()
        assert of(2, "depth", "SOL-PERP", "DropOldest") is None


async def test_prometheus_scrapes_while_the_feed_is_busy(
    nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_PATIENCE_S", 60.0)
    async with BusWriter(nats_server.url) as writer, DriftFeed(nats_server.url) as feed:
        server, thread = start_http_server(0, "127.0.0.1", registry_of(FeedCollector(feed)))
        done = asyncio.Event()

        async def write() -> None:
            price = 0
            while not done.is_set():
                price += 1
                await writer.change(price_event(f"M{price % 50}-PERP", oracle_price=price))

        def scrape() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=60) as answer:
                return str(answer.read().decode())

        streams = [feed.stream("price", policy=policy) for policy in (Conflate(), DropOldest(8), Lossless(8))]
        writing = asyncio.create_task(write())
        try:
            for _ in range(20):
                text = await asyncio.to_thread(scrape)
                assert text.count("drift_stream_depth{") == len(streams)
            await wait_until(lambda: feed.statistics().markets == 50)
            assert "drift_feed_markets 50.0" in await asyncio.to_thread(scrape)
        finally:
            done.set()
            await writing
            server.shutdown()
            server.server_close()
            thread.join()


async def test_a_blocking_feed_is_scraped_alike(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as writer:
        await writer.change(price_event())

        def engine() -> tuple[float | None, float | None]:
            with DriftFeed.open_sync(nats_server.url) as feed:
                value = registry_of(FeedCollector(feed)).get_sample_value
                feed.price("SOL-PERP")
                return value("drift_cache_hits_total"), value("drift_feed_entries")

        assert await asyncio.to_thread(engine) == (1, 1)


def test_without_prometheus_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"drift-bus\[metrics\]"):
        FeedCollector(FakeFeed())
