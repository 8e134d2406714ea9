"""Fences: no two messages on their way carry the same one where there are few, and none outlives its term."""

from __future__ import annotations

import asyncio
import time

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.bus import Bus
from drift_publisher.fences import AT_ONCE, Fences
from drift_publisher.lanes import Message
from drift_publisher.nats_connection import connect_nats
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import MSG_ID_HEADER, Topology

TWO = ({"Term": "1.0"}, {"Term": "1.1"})


def test_where_nothing_is_said_all_are_alike_and_many() -> None:
    fences = Fences()
    assert len(fences.free) == AT_ONCE
    assert not any(fences.headers)


def test_a_renewal_changes_what_they_say_and_not_who_has_them() -> None:
    fences = Fences()
    fences.renew(TWO)
    taken = fences.free.popleft()
    fences.renew(({"Term": "2.0"}, {"Term": "2.1"}))
    assert list(fences.free) == [1 - taken]
    fences.give_back(taken)
    assert sorted(fences.free) == [0, 1]
    assert fences.headers[taken] == {"Term": f"2.{taken}"}


async def test_who_finds_none_waits_for_one() -> None:
    fences = Fences()
    fences.renew(TWO)
    assert {await fences.take(), await fences.take()} == {0, 1}
    waiting = asyncio.create_task(fences.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    fences.give_back(1)
    assert await waiting == 1


async def test_no_more_messages_are_on_their_way_than_there_are_fences(nats_server: LocalNatsServer) -> None:
    topology = Topology()
    async with connect_nats([nats_server.url], name="test", timeout_s=60, reconnected=asyncio.Event()) as client:
        await ensure_topology(client, topology)
        bus = Bus(client)
        bus.lead(TWO, lambda: True)
        at_once: list[int] = []
        running = asyncio.create_task(bus.run(), name="bus")
        try:
            for number in range(400):
                subject = f"in.drift.price.M{number % 40}"
                headers = {MSG_ID_HEADER: str(number)}
                bus.submit(
                    Message(
                        subject,
                        b"x",
                        headers,
                        time.monotonic() + 60,
                        lambda: at_once.append(bus.queue_depths()["sent"]),
                    )
                )
            assert await bus.drained(45)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert bus.counts == {"stored": 400}
        assert max(at_once) <= len(TWO)


async def test_what_waits_is_not_sent_once_its_subject_is_another_markets(
    nats_server: LocalNatsServer,
) -> None:
    topology, moved = Topology(), False
    async with connect_nats([nats_server.url], name="test", timeout_s=60, reconnected=asyncio.Event()) as client:
        await ensure_topology(client, topology)
        bus = Bus(client)
        stored: list[str] = []
        running = asyncio.create_task(bus.run(), name="bus")
        try:
            with bus.held():
                for market in ("DEAD-PERP", "LIVE-PERP"):
                    bus.submit(
                        Message(
                            *(f"in.drift.price.{market}", b"x", {MSG_ID_HEADER: market}, time.monotonic() + 60),
                            on_stored=lambda market=market: stored.append(market),  # type: ignore[misc]
                            is_withdrawn=lambda market=market: moved and market == "DEAD-PERP",  # type: ignore[misc]
                        )
                    )
                moved = True
            assert await bus.drained(45)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert (stored, dict(bus.counts)) == (["LIVE-PERP"], {"stored": 1, "stale": 1})


class Recorder:
    """Stands where the NATS client does, and notes what is asked of it."""

    is_connected = True

    def __init__(self) -> None:
        self.requests: list[str] = []

    def new_inbox(self) -> str:
        return "_INBOX.test"

    async def request(self, subject: str, *_: object, **__: object) -> None:
        self.requests.append(subject)


async def test_what_is_to_be_sent_again_is_not_sent_in_the_next_term() -> None:
    """It waits for a fence when its term ends; the one that it then gets belongs to the next."""
    client = Recorder()
    bus = Bus(client)  # type: ignore[arg-type]
    bus.lead(TWO[:1], lambda: True)
    fence = await bus._fences.take()
    message = Message("in.drift.price.SOL-PERP", b"x", {}, time.monotonic() + 60, lambda: None)
    again = asyncio.create_task(bus._ask(message, reign=0))
    await asyncio.sleep(0)
    bus.abandon()
    bus.lead(({"Term": "2.0"},), lambda: True)
    bus._fences.give_back(fence)
    with pytest.raises(RuntimeError, match="not ours to send"):
        await again
    assert not client.requests
    assert len(bus._fences.free) == 1
