"""Reading: what is there, what is fresh, and why something is not."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, bucket_ttl_s
from drift_subscribers import (
    CannotConnect,
    DriftFeed,
    FeedClosed,
    FeedStatus,
    MarketNotFound,
    StaleData,
    StaleReason,
)
from drift_subscribers.testing import FakeFeed
from tests.subscribers.support import ManualClock
from tests.support.bus_writer import (
    BusWriter,
    funding_event,
    market_event,
    price_event,
    sample,
    spot_event,
)
from tests.support.wait import wait_until

OUR_ROUND_TRIP_S = 0.5
"""How far the server's time, as the feed has it, may be off."""


async def test_a_snapshot_holds_the_last_value_of_every_market_and_kind(bus: BusWriter) -> None:
    await bus.change(price_event("SOL-PERP", 149_000_000))
    wanted = [price_event("SOL-PERP"), funding_event(), market_event(), spot_event(), price_event("SOL")]
    for event in wanted:
        await bus.change(event)
    async with DriftFeed(bus.client.connected_url.geturl()) as feed:  # type: ignore[union-attr]
        assert feed.price("SOL-PERP") == wanted[0]
        assert feed.funding("SOL-PERP") == wanted[1]
        assert feed.market("SOL-PERP") == wanted[2]
        assert feed.spot("SOL") == wanted[3]
        assert feed.price("SOL") == wanted[4]
        assert feed.markets() == ["SOL-PERP", "SOL"]
        assert feed.markets("funding") == ["SOL-PERP"]
        assert feed.state is FeedStatus.LIVE
        assert feed.price("BTC-PERP") is None


async def test_live_changes_follow_the_snapshot(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("SOL-PERP", 1))
    async with DriftFeed(nats_server.url) as feed:
        await bus.change(price_event("SOL-PERP", 2))
        await bus.change(price_event("BTC-PERP", 3, market_index=1))
        await wait_until(lambda: feed.price("BTC-PERP"))
        price = feed.price("SOL-PERP")
        assert price is not None
        assert price.oracle_price == 2
        assert feed.markets() == ["SOL-PERP", "BTC-PERP"]


async def test_names_that_need_escapes_are_found_by_name(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("weird.name *-PERP"))
    async with DriftFeed(nats_server.url, markets=["weird.name *-PERP"]) as feed:
        assert feed.price("weird.name *-PERP") is not None
        assert feed.missing() == []


async def test_an_empty_bus_opens_at_once_and_fills_when_a_publisher_starts(
    nats_server: LocalNatsServer,
) -> None:
    async with DriftFeed(nats_server.url) as feed, BusWriter(nats_server.url, make=False) as bus:
        assert feed.markets() == []
        await bus.make_stream()
        await bus.change(price_event("SOL-PERP"))
        await wait_until(lambda: feed.price("SOL-PERP"))


async def test_only_named_markets_and_kinds_are_followed(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    for market in ("SOL-PERP", "BTC-PERP"):
        await bus.change(price_event(market))
        await bus.change(funding_event(market))
    async with DriftFeed(nats_server.url, markets=["SOL-PERP", "DOGE-PERP"], kinds=["price"]) as feed:
        await bus.change(price_event("BTC-PERP", 7))
        await bus.change(price_event("SOL-PERP", 8))
        await wait_until(lambda: (p := feed.price("SOL-PERP")) and p.oracle_price == 8)
        assert feed.markets() == ["SOL-PERP"]
        assert feed.funding("SOL-PERP") is None
        assert feed.missing() == ["DOGE-PERP"]
        with pytest.raises(ValueError, match="follows price"):
            feed.stream("funding")
        with pytest.raises(ValueError, match="BTC-PERP"):
            feed.stream("price", "BTC-PERP")


async def test_what_is_missing_is_logged_once(
    bus: BusWriter, nats_server: LocalNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with DriftFeed(nats_server.url, markets=["DOGE-PERP"], snapshot_timeout_s=0.1):
        await wait_until(lambda: "nothing was seen of DOGE-PERP" in caplog.text)
    assert caplog.text.count("nothing was seen of") == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_value_is_fresh_until_its_ttl_is_over(
    kind: str, bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock
) -> None:
    assert kind in KINDS
    event = sample(kind, "SOL-PERP")
    await bus.change(event)
    async with DriftFeed(nats_server.url, clock=clock) as feed:
        read = getattr(feed, kind)
        clock.advance(bucket_ttl_s(kind) - 1)
        assert read("SOL-PERP") == event
        clock.advance(1)
        assert read("SOL-PERP") is None
        age_s = feed.age_s(kind, "SOL-PERP")
        assert age_s is not None
        assert age_s == pytest.approx(bucket_ttl_s(kind), abs=0.9)
        await bus.reassert(event)
        await wait_until(lambda: read("SOL-PERP"), what="a re-assertion renews freshness")


async def test_a_settled_change_of_a_dead_publisher_is_not_taken_for_fresh(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    began = time.monotonic()
    await bus.change(price_event("SOL-PERP"))
    changed = time.monotonic()
    clock = ManualClock()
    async with DriftFeed(nats_server.url, clock=clock) as early:
        assert early.price("SOL-PERP") is not None
    # A feed that opens later learns the age from the server, whatever its own wall clock says.
    await wait_until(lambda: time.monotonic() - changed > 1.2, what="the value is of some age")
    for wall_clock in (time.time, lambda: time.time() - 3600, lambda: time.time() + 3600):
        async with DriftFeed(nats_server.url, wall_clock=wall_clock) as late:
            at_least, age_s = time.monotonic() - changed, late.age_s("price", "SOL-PERP")
            assert age_s is not None
            assert at_least - OUR_ROUND_TRIP_S < age_s < time.monotonic() - began + OUR_ROUND_TRIP_S


async def test_wall_clock_jumps_neither_revive_nor_kill(
    bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.change(price_event("SOL-PERP"))
    async with DriftFeed(nats_server.url, clock=clock) as feed:
        real = time.time
        for jump_s in (3600, -3600):
            monkeypatch.setattr(time, "time", lambda jump_s=jump_s: real() + jump_s)
            assert feed.price("SOL-PERP") is not None
        clock.advance(11)
        for jump_s in (3600, -3600):
            monkeypatch.setattr(time, "time", lambda jump_s=jump_s: real() + jump_s)
            assert feed.price("SOL-PERP") is None


@pytest.mark.parametrize(
    ("odd", "is_usable"),
    [
        ({}, True),
        ({"oracle_is_valid": False}, False),  # too old, too uncertain, too volatile
        ({"oracle_is_valid": False, "oracle_price": None}, False),  # no account
        ({"oracle_price": None}, False),  # no publisher says this; no engine should trip over it
    ],
)
def test_a_price_is_told_and_a_valid_price_can_be_used(odd: dict[str, Any], is_usable: bool) -> None:
    feed = FakeFeed([price_event("SOL-PERP").model_copy(update=odd)])
    told, usable = feed.price("SOL-PERP"), feed.valid_price("SOL-PERP")
    assert told is not None
    assert usable == (told if is_usable else None)
    assert feed.require_price("SOL-PERP", valid_oracle=False) == told
    if is_usable:
        assert feed.require_price("SOL-PERP") == told
    else:
        with pytest.raises(StaleData) as invalid:
            feed.require_price("SOL-PERP")
        assert invalid.value.reason is StaleReason.ORACLE_INVALID


def test_a_valid_price_is_fresh_too() -> None:
    feed = FakeFeed([price_event("SOL-PERP")])
    assert feed.valid_price("SOL-PERP")
    assert feed.valid_price("BTC-PERP") is None
    feed.silence()
    feed.advance(11)
    assert feed.valid_price("SOL-PERP") is None


async def test_require_says_what_is_wrong(bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock) -> None:
    await bus.change(price_event("SOL-PERP"))
    await bus.change(price_event("BONK-PERP", oracle_is_valid=False))
    async with DriftFeed(nats_server.url, clock=clock) as feed:
        assert feed.require_price("SOL-PERP", max_age_s=2).market == "SOL-PERP"
        with pytest.raises(StaleData) as invalid:
            feed.require_price("BONK-PERP")
        assert invalid.value.reason is StaleReason.ORACLE_INVALID
        assert feed.require_price("BONK-PERP", valid_oracle=False).market == "BONK-PERP"

        with pytest.raises(MarketNotFound) as unknown:
            feed.require_price("NOPE-PERP")
        assert unknown.value.reason is StaleReason.PUBLISHER_SILENT
        await bus.beat()
        await wait_until(feed.status)
        with pytest.raises(MarketNotFound) as unknown:
            feed.require_funding("SOL-PERP")
        assert (unknown.value.symbol, unknown.value.kind) == ("SOL-PERP", "funding")
        assert unknown.value.reason is StaleReason.NEVER_SEEN

        clock.advance(3)
        with pytest.raises(StaleData) as stale:
            feed.require_price("SOL-PERP", max_age_s=2)
        assert stale.value.reason is StaleReason.TOO_OLD
        assert 3 <= stale.value.age_s < 4
        clock.advance(8)
        with pytest.raises(StaleData) as stale:
            feed.require_price("SOL-PERP", max_age_s=60)
        assert stale.value.reason is StaleReason.PUBLISHER_SILENT
        await bus.beat(source_state="stalled", reason="no slot for 5 s")
        await wait_until(lambda: (age := feed.status_age_s()) is not None and age < 1)
        with pytest.raises(StaleData, match="no slot for 5 s") as stale:
            feed.require_price("SOL-PERP")
        assert stale.value.reason is StaleReason.CHAIN_STALLED
        await nats_server.kill()
        await wait_until(lambda: not feed.connected)
        assert feed.state is FeedStatus.DISCONNECTED
        with pytest.raises(StaleData) as stale:
            feed.require_price("SOL-PERP")
        assert stale.value.reason is StaleReason.DISCONNECTED
        await nats_server.start()


async def test_the_heartbeat_of_a_deposed_publisher_does_not_count(
    bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock
) -> None:
    async with DriftFeed(nats_server.url, clock=clock) as feed:
        await bus.beat(epoch=2, publisher_id="new")
        await bus.beat(epoch=1, publisher_id="old")
        await bus.beat(epoch=2, publisher_id="new again")
        await wait_until(lambda: (status := feed.status()) and status.publisher_id == "new again")
        clock.advance(10)
        await bus.beat(epoch=1, publisher_id="first of a new stream")
        await wait_until(lambda: (status := feed.status()) and status.publisher_id.startswith("first"))


async def test_no_server_is_a_clear_error_within_the_timeout() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(CannotConnect, match=rf"no NATS at nats://…@127.0.0.1:{port} within 0.6 s: ") as error:
        async with DriftFeed(f"nats://engine:secret@127.0.0.1:{port}", connect_timeout_s=0.6):
            pass
    assert "secret" not in str(error.value)


async def test_a_server_that_never_answers_is_a_clear_error_too() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(CannotConnect):
            async with DriftFeed(f"nats://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_s=0.5):
                pass


async def test_a_closed_feed_keeps_its_memory_but_opens_no_stream(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    feed = DriftFeed(nats_server.url)
    with pytest.raises(FeedClosed):
        feed.stream("price")
    async with feed:
        pass
    assert feed.state is FeedStatus.CLOSED
    with pytest.raises(FeedClosed):
        feed.stream("price")
    with pytest.raises(FeedClosed):
        await feed.__aenter__()


async def test_another_prefix_is_another_bus(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url, prefix="devnet.drift") as bus:
        await bus.change(price_event("SOL-PERP", 1))
        async with DriftFeed(nats_server.url, prefix="devnet.drift") as feed, DriftFeed(nats_server.url) as main:
            assert feed.price("SOL-PERP") is not None
            assert main.price("SOL-PERP") is None


async def test_a_jump_of_the_servers_clock_is_found_out_at_the_next_message(
    bus: BusWriter, nats_server: LocalNatsServer, clock: ManualClock
) -> None:
    await bus.change(price_event("SOL-PERP", 1))
    async with DriftFeed(nats_server.url, clock=clock) as feed:
        clock.advance(3600)  # to the feed this is a server whose clock went back
        assert feed.price("SOL-PERP") is None
        await bus.change(price_event("SOL-PERP", 2))
        await wait_until(lambda: feed.price("SOL-PERP"))
