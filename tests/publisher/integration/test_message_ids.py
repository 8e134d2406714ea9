"""Ids on a real server: no clock makes two messages one, and what is one message is told so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import publisher as publisher_module
from drift_publisher import standing as standing_module
from drift_publisher.bus import Bus
from drift_publisher.lanes import Message
from drift_publisher.nats_connection import connect_nats
from drift_publisher.projector import Projector
from drift_publisher.stream_setup import ensure_topology
from drift_publisher.term_ids import TermIds
from drift_schemas import MSG_ID_HEADER, REASSERTION_HEADER, Topology
from drift_simulator import Simulator
from tests.support.programs import drift_only
from tests.support.publishing import BusReader, bus_reader, running_publisher
from tests.support.wait import wait_until

OFTEN_S = 0.2
STEP_NS = 34 * 10**9


@asynccontextmanager
async def running_bus(server: LocalNatsServer) -> AsyncIterator[Bus]:
    """A bus on a connection of its own, with the stream there."""
    async with connect_nats([server.url], name="test", timeout_s=60, reconnected=asyncio.Event()) as client:
        await ensure_topology(client, Topology())
        bus = Bus(client)
        running = asyncio.create_task(bus.run(), name="bus")
        try:
            yield bus
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@drift_only("the clock is the publisher's, whatever the program")
async def test_a_clock_that_is_set_back_or_stands_still_costs_no_confirmation(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resting markets, a leader whose clock stands still and is then set back by 34 s, and a successor behind it."""
    now_ns = 1_800_000_000 * 10**9
    monkeypatch.setattr(publisher_module, "Projector", partial(Projector, wall_ns=lambda: now_ns))
    monkeypatch.setattr(standing_module, "reassert_every_s", lambda kind: OFTEN_S)
    sim.pause_walk()
    prices = {f"price.{market.name}" for market in sim.cluster.markets}
    async with bus_reader(nats_server) as bus:
        for _ in range(2):
            async with running_publisher(sim, nats_server) as publisher:
                await wait_until(_confirmed(bus, prices), 30, "every price is confirmed again and again")
                now_ns -= STEP_NS
                await wait_until(_confirmed(bus, prices), 30, "and with the clock set back as well")
                assert publisher.bus is not None
                assert publisher.bus.counts["duplicate"] == 0
            now_ns -= STEP_NS


def _confirmed(bus: BusReader, prices: set[str]) -> Callable[[], bool]:
    """Each of these was stored as a re-assertion three times more than now."""
    before = {key: len(bus.reassertions[key]) for key in prices}
    return lambda: all(len(bus.reassertions[key]) >= before[key] + 3 for key in prices)


async def test_what_the_stream_has_had_is_no_confirmation(nats_server: LocalNatsServer) -> None:
    """Neither is told to the journal, and neither counts as stored; a message of its own does."""
    told: list[str] = []
    heard: list[int] = []

    def message(identity: str) -> Message:
        headers = {MSG_ID_HEADER: identity, REASSERTION_HEADER: "1", "Nats-TTL": "10"}
        return Message(
            "in.drift.price.SOL-PERP", b"\x80", headers, float("inf"), lambda: told.append(f"{identity} stored"),
            is_reassertion=True, on_duplicate=lambda is_retry: told.append(f"{identity} duplicate {is_retry}"),
        )  # fmt: skip

    ids = TermIds(1)
    one, other = ids.next(), ids.next()
    async with running_bus(nats_server) as bus:
        bus.on_reassertion = lambda _, sequence: heard.append(sequence)
        for identity in (one, one, other):
            bus.submit(message(identity))
            assert await bus.drained(10)
        assert told == [f"{one} stored", f"{one} duplicate False", f"{other} stored"]
        assert len(heard) == 2
        assert (bus.counts["stored"], bus.counts["duplicate"]) == (2, 1)
        await wait_until(lambda: bus.deliveries.published()["price", "SOL-PERP", "reassertion"] == 2, 10, "the counts")


async def test_a_retry_whose_answer_got_lost_is_told_as_such(
    nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    answers, lose = Bus._on_ack, [True]

    def losing(bus: Bus, sent_as: bytes, data: bytes, status: str | None) -> None:
        if lose:
            lose.pop()
        else:
            answers(bus, sent_as, data, status)

    monkeypatch.setattr("drift_publisher.bus._ACK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(Bus, "_on_ack", losing)
    message = Message(
        "in.drift.price.SOL-PERP",
        b"\x80",
        {MSG_ID_HEADER: "x"},
        float("inf"),
        lambda: told.append("stored"),
        on_duplicate=lambda is_retry: told.append(f"duplicate {is_retry}"),
    )
    async with running_bus(nats_server) as bus:
        bus.submit(message)
        assert await bus.drained(10)
    assert told == ["duplicate True"]
