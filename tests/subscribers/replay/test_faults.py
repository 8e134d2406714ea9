"""A server that is killed and comes back in the middle of a replay."""

from __future__ import annotations

import asyncio

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import Topology, encode
from drift_subscribers.history import HistoryInterrupted, NoHistory
from drift_subscribers.replay import BusReplay, Replay, replay_topology
from tests.subscribers.replay.support import stored
from tests.support.bus_writer import BusWriter, price_event
from tests.support.wait import wait_until

TOPOLOGY = Topology()
COUNT = 3000


async def fill(bus: BusWriter) -> list[bytes]:
    """Changes of nine markets; returns the payloads in the stream's order."""
    events = [price_event(f"M{number % 9}-PERP", number) for number in range(COUNT)]
    for at in range(0, COUNT, 100):
        await asyncio.gather(*(bus.change(event) for event in events[at : at + 100]))
    return [one.payload for one in await stored(bus.client, TOPOLOGY)]


async def kill_and_restart(server: LocalNatsServer) -> None:
    """kill -9, and another process on the same store."""
    await server.kill()
    await server.start()


@pytest.mark.timeout(180)
async def test_a_replay_goes_on_where_it_was(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus)
    found: list[bytes] = []

    async with Replay(nats_server.url, patience_s=90) as replay:
        while len(found) < 500:
            found.append(encode(await anext(replay)))
        await kill_and_restart(nats_server)
        found += [encode(event) async for event in replay]

    assert found == wanted


@pytest.mark.timeout(180)
async def test_a_replay_onto_a_bus_stores_everything_once(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    wanted = await fill(bus)
    topology = replay_topology("x")

    async with BusReplay(nats_server.url, "x", speed="max", patience_s=90) as replay:
        running = asyncio.create_task(replay.run())
        await wait_until(lambda: replay.changes > 500)
        await kill_and_restart(nats_server)
        assert await running

    found = await stored(bus.client, topology)
    assert [one.payload for one in found if not one.is_reassertion] == wanted
    assert [one.sequence for one in found] == list(range(1, len(found) + 1))


@pytest.mark.timeout(120)
async def test_a_history_made_anew_is_another_one(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await fill(bus)

    async with Replay(nats_server.url, patience_s=20) as replay:
        await anext(replay)
        await bus.delete_stream()
        with pytest.raises(NoHistory):
            async for _ in replay:
                pass
    await bus._api("STREAM.CREATE.DRIFT", TOPOLOGY.stream_config())
    await fill(bus)
    async with Replay(nats_server.url, patience_s=20) as replay:
        await anext(replay)
        await bus.delete_stream()
        await bus._api("STREAM.CREATE.DRIFT", TOPOLOGY.stream_config())
        with pytest.raises(HistoryInterrupted, match="made anew"):
            async for _ in replay:
                pass
