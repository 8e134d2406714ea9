"""Opening and closing under every circumstance: bounded in time, and nothing left behind."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator

import pytest

import drift_subscribers
from drift_bus.nats_server import LocalNatsServer
from drift_schemas.access import close_quietly
from drift_subscribers import DriftFeed, FeedStatus, Lossless, SnapshotIncomplete
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter, price_event
from tests.support.wait import wait_until

READ_ONLY = """
authorization {
  users = [
    { user: publisher, password: p }
    { user: engine, password: e, permissions: {
        subscribe: ["drift.>", "_INBOX_eng.>"]
        publish: ["$JS.API.DIRECT.GET.DRIFT"]
    } }
    { user: blind, password: b, permissions: { subscribe: ["drift.>", "_INBOX_eng.>"], publish: { deny: ">" } } }
  ]
}
"""


@pytest.fixture
async def guarded() -> AsyncIterator[LocalNatsServer]:
    """A server that lets engines read and nothing else."""
    async with LocalNatsServer(extra_config=READ_ONLY) as server:
        yield server


def _as(user: str, server: LocalNatsServer) -> str:
    return server.url.replace("nats://", f"nats://{user}:{user[0]}@")


async def test_an_engine_needs_no_more_than_to_read(guarded: LocalNatsServer) -> None:
    async with BusWriter(_as("publisher", guarded)) as bus:
        await bus.change(price_event("SOL-PERP", 1))
        async with DriftFeed(_as("engine", guarded), inbox_prefix="_INBOX_eng") as feed:
            assert feed.price("SOL-PERP") is not None
            stream = feed.stream("price", policy=Lossless(1))
            for price in (2, 3, 4):
                await bus.change(price_event("SOL-PERP", price))
            assert [event.oracle_price for event in await collect(stream, 3)] == [2, 3, 4]


async def test_a_stream_that_may_not_be_read_is_a_clear_error(guarded: LocalNatsServer) -> None:
    async with BusWriter(_as("publisher", guarded)):
        with pytest.raises(SnapshotIncomplete, match=r"no snapshot within 0\.5 s: .*permissions violation"):
            async with DriftFeed(_as("blind", guarded), inbox_prefix="_INBOX_eng", snapshot_timeout_s=0.5):
                pass


async def test_a_feed_closes_while_the_server_is_gone(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed:
        await nats_server.kill()
        await wait_until(lambda: feed.state is FeedStatus.DISCONNECTED)
    await nats_server.start()


async def test_a_feed_closes_while_the_server_hangs(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url) as feed:
        stream = feed.stream("price", policy=Lossless(), since=1)
        reading = asyncio.ensure_future(anext(stream, None))
        nats_server.signal(signal.SIGSTOP)
    assert await reading is None
    nats_server.signal(signal.SIGCONT)


async def test_opening_can_be_cancelled(nats_server: LocalNatsServer) -> None:
    nats_server.signal(signal.SIGSTOP)
    opening = asyncio.ensure_future(DriftFeed(nats_server.url).__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    nats_server.signal(signal.SIGCONT)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 20, 40])
async def test_opening_can_be_cancelled_at_any_point(turns: int, bus: BusWriter, nats_server: LocalNatsServer) -> None:
    opening = asyncio.ensure_future(DriftFeed(nats_server.url).__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    if opening.cancel():
        with pytest.raises(asyncio.CancelledError):
            await opening
    else:
        await opening.result().__aexit__(None, None, None)


async def test_every_task_of_the_feed_has_a_name(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with DriftFeed(nats_server.url, markets=["SOL-PERP"]):
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {"drift-feed-keeper", "drift-feed-connection", "drift-feed-missing"} <= names


async def test_a_client_that_gave_up_is_replaced(
    bus: BusWriter, nats_server: LocalNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        await bus.change(price_event("SOL-PERP", 1))
        await collect(stream, 1)
        with caplog.at_level(logging.WARNING):
            await close_quietly(feed._connection.client)  # as nats-py does when a login is refused
            await bus.change(price_event("SOL-PERP", 2))
            assert (await collect(stream, 1))[0].oracle_price == 2
        await bus.change(price_event("SOL-PERP", 3))
        assert (await collect(stream, 1))[0].oracle_price == 3
        assert "a new one takes over" in caplog.text
        assert feed.statistics().repairs_failed == 0


async def test_a_burst_beyond_the_clients_buffer_is_repaired(
    bus: BusWriter, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drift_subscribers.feed._LIVE_MESSAGES", 8)
    async with DriftFeed(nats_server.url) as feed, feed.stream("price", policy=Lossless()) as stream:
        feed._keeper.gate.clear()  # as while it joins
        for price in range(1, 101):
            await bus.change(price_event("SOL-PERP", price))
        await wait_until(lambda: feed.statistics().overflows > 0)
        feed._keeper.gate.set()
        assert [event.oracle_price for event in await collect(stream, 100)] == list(range(1, 101))


def test_what_the_package_offers() -> None:
    assert sorted(drift_subscribers.__all__) == drift_subscribers.__all__
    for name in drift_subscribers.__all__:
        assert getattr(drift_subscribers, name).__doc__
