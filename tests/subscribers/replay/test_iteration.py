"""A replay as an async iterator: the same events however it is paced, paused and stepped."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import MarketDataEvent, encode
from drift_subscribers import CannotConnect, FeedClosed
from drift_subscribers.history import BadMoment, EmptyHistory, HistoryPurged
from drift_subscribers.replay import BadSpeed, Replay, Speed
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until


async def fill(bus: BusWriter, count: int = 30, pause_s: float = 0.0) -> list[bytes]:
    """Changes of two markets in turn; returns their bytes."""
    events: list[MarketDataEvent] = []
    for number in range(count):
        event = price_event("SOL-PERP", 100 + number) if number % 2 else funding_event("BTC-PERP", number)
        await bus.change(event)
        events.append(event)
        await asyncio.sleep(pause_s)
    await bus.reassert(events[-1])
    return [encode(event) for event in events]


async def test_every_change_in_its_order_and_no_re_assertion(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus)

    async with Replay(nats_server.url) as replay:
        found = [event async for event in replay]

    assert [encode(event) for event in found] == wanted
    places = [event.sequence or 0 for event in found]
    assert places == sorted(set(places))
    assert places[-1] == replay.sequence
    assert all(event.received_at_ns for event in found)
    assert not replay.refused


async def test_servers_may_be_written_as_a_feeds(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus, 2)
    for servers in (f"nats://127.0.0.1:9, {nats_server.url}", ["nats://127.0.0.1:9", nats_server.url]):
        async with Replay(servers, connect_timeout_s=60) as replay:
            assert [encode(event) async for event in replay] == wanted
    with pytest.raises(ValueError, match="no NATS server in"):
        async with Replay(" , "):
            pass


async def test_raw_messages_are_as_they_were_stored(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus)

    async with Replay(bus.client, kinds=["price"]) as replay:
        found = [message async for message in replay.messages()]

    assert [message.payload for message in found] == wanted[1::2]
    assert {message.subject for message in found} == {"drift.price.SOL-PERP"}
    assert all("Drift-Schema" in message.headers for message in found)
    assert bus.client.is_connected


@pytest.mark.parametrize("speed", [1, 4])
async def test_paced_by_the_events_own_times(bus: BusWriter, nats_server: LocalNatsServer, speed: float) -> None:
    wanted = await fill(bus, 12, 0.1)

    async with Replay(nats_server.url, speed=speed) as replay:
        began, seen = time.monotonic(), []
        async for event in replay:
            seen.append((encode(event), time.monotonic() - began, replay.now_ns))
        first_ns = replay.span.first_ns

    assert [payload for payload, _, _ in seen] == wanted
    for _, real_s, now_ns in seen:
        assert real_s * speed >= (now_ns - first_ns) / 1e9 - 0.01


async def test_replayed_time_waits_for_the_next_event(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus, 2, 0.3)

    async with Replay(nats_server.url, speed=100) as replay:
        await anext(replay)
        at_first = replay.now_ns
        await asyncio.sleep(0.05)
        assert at_first <= replay.now_ns
        await anext(replay)
        at_second = replay.now_ns
        await asyncio.sleep(0.05)
        assert replay.now_ns >= at_second > at_first


async def test_paused_and_resumed_from_another_task(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus, 20, 0.02)
    seen: list[bytes] = []

    async with Replay(nats_server.url, speed=1) as replay:

        async def consume() -> None:
            async for event in replay:
                seen.append(encode(event))
                if len(seen) == 5:
                    replay.pause()

        consuming = asyncio.create_task(consume())
        await wait_until(lambda: replay.is_paused)
        stands_at = replay.now_ns
        await asyncio.sleep(0.2)
        assert len(seen) == 5
        assert replay.now_ns == stands_at
        replay.resume()
        await consuming

    assert seen == wanted


async def test_stepped(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus)

    async with Replay(nats_server.url, speed=1) as replay:
        replay.pause()
        stepped = [encode(event) for event in [*await replay.step(), *await replay.step(3)]]
        assert replay.is_paused
        assert replay.sequence == 4
        replay.speed = "max"
        replay.resume()
        rest = [encode(event) async for event in replay]
        assert await replay.step(5) == []

    assert stepped + rest == wanted
    assert len(stepped) == 4


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.tuples(st.sampled_from(["step", "take", "pause", "fast", "slow"]), st.integers(0, 4)), max_size=8),
    speed=st.sampled_from([20.0, 500.0, "max"]),
)
async def test_whatever_is_done_to_it_the_bytes_are_the_same(
    filled: tuple[str, list[bytes]], plan: list[tuple[str, int]], speed: Speed
) -> None:
    url, wanted = filled
    found: list[MarketDataEvent] = []

    async with Replay(url, speed=speed) as replay:
        for what, count in plan:
            if what == "step":
                found += await replay.step(count)
            elif what == "pause":
                replay.pause()
            elif what == "take":
                replay.resume()
                found += [event for _ in range(count) if (event := await anext(replay, None))]
            else:
                replay.speed = "max" if what == "fast" else 30
        replay.speed = "max"
        replay.resume()
        found += [event async for event in replay]

    assert [encode(event) for event in found] == wanted


@pytest.fixture
async def filled(bus: BusWriter, nats_server: LocalNatsServer) -> tuple[str, list[bytes]]:
    """A server with a short history, and its bytes."""
    return nats_server.url, await fill(bus, 24, 0.01)


async def test_it_resumes_from_a_sequence(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus)
    async with Replay(nats_server.url) as replay:
        first = [encode(await anext(replay)) for _ in range(11)]
        at = replay.sequence

    async with Replay(nats_server.url, first_sequence=at + 1) as replay:
        rest = [encode(event) async for event in replay]

    assert first + rest == wanted


async def test_by_datetime_and_by_text(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus, 4)
    later = datetime.now(UTC) + timedelta(hours=1)

    async with Replay(nats_server.url, until=later, markets=["SOL-PERP"]) as replay:
        assert [event.market async for event in replay] == ["SOL-PERP"] * 2
    with pytest.raises(HistoryPurged):
        async with Replay(nats_server.url, since="-2h"):
            pass
    with pytest.raises(EmptyHistory):
        async with Replay(nats_server.url, since="now"):
            pass
    with pytest.raises(BadMoment, match="time zone"):
        Replay(nats_server.url, since=datetime(2026, 11, 21))
    with pytest.raises(BadMoment):
        Replay(nats_server.url, since="last week")


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf"), "fast"])
def test_a_speed_that_is_none(speed: Speed) -> None:
    with pytest.raises(BadSpeed, match="above 0"):
        Replay(speed=speed)


async def test_a_message_that_is_no_event_is_left_out_and_counted(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus, 2)
    await bus.raw("drift.price.SOL-PERP", b"\xc1")
    last = price_event("SOL-PERP", 7)
    await bus.change(last)

    async with Replay(nats_server.url) as replay:
        assert [encode(event) async for event in replay] == [*wanted, encode(last)]
        assert replay.refused == {"MalformedMessage": 1}


async def test_used_only_while_it_is_open(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus, 2)
    replay = Replay(nats_server.url)
    with pytest.raises(FeedClosed):
        await anext(replay)
    async with replay:
        await anext(replay)
    with pytest.raises(FeedClosed):
        await anext(replay)
    with pytest.raises(FeedClosed):
        async with replay:
            pass


async def test_no_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CannotConnect):
            async with Replay(url, connect_timeout_s=1):
                pass
