"""What a simulated cluster and the real publisher left in the stream, replayed: an hour of chain time in half a minute.

The cluster's clock runs a hundred times as fast as ours, so that an hour with its funding settlement passes; stream,
buckets and TTLs live by the server's own clock, and see some forty seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, FundingEvent, Kind, MarketDataEvent, Topology
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import DriftFeed, Lossless
from drift_subscribers.history import as_of
from drift_subscribers.replay import BusReplay, Replay, ReplayClock, replay_topology
from tests.subscribers.replay.support import bucket_of, expire, settled_bucket, stored
from tests.support.bus_writer import BusWriter
from tests.support.programs import only
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

TOPOLOGY = Topology()
CHAIN_SPEED = 100
STILL_S = 0.4

Events = dict[tuple[Kind, str], list[MarketDataEvent]]
Buckets = dict[Kind, dict[str, bytes]]


@contextlib.asynccontextmanager
async def lossless(feed: DriftFeed, *, since: int | None = None) -> AsyncIterator[Events]:
    """Everything that lossless consumers of a feed are given, by kind and market."""
    seen: Events = defaultdict(list)

    async def consume(kind: Kind) -> None:
        async for event in streams[kind]:
            seen[kind, event.market].append(event)

    streams = {kind: feed.stream(kind, policy=Lossless(), since=since) for kind in KINDS}
    async with asyncio.TaskGroup() as tasks:
        for kind in KINDS:
            tasks.create_task(consume(kind))
        yield seen
        for stream in streams.values():
            stream.close()


async def buckets(bus: BusWriter) -> Buckets:
    return {kind: await bucket_of(bus.client, TOPOLOGY, kind) for kind in KINDS}


async def still_buckets(bus: BusWriter) -> tuple[int, Buckets]:
    """The buckets while nothing moved in them for a moment, and the middle of that moment."""
    held, since_ns = await buckets(bus), time.time_ns()

    async def are_still() -> tuple[int, Buckets] | None:
        nonlocal held, since_ns
        found, now_ns = await buckets(bus), time.time_ns()
        if found != held:
            held, since_ns = found, now_ns
        return ((since_ns + now_ns) // 2, held) if now_ns - since_ns > STILL_S * 1e9 else None

    moment: tuple[int, Buckets] = await wait_until(are_still, 90, "buckets that stand still", every_s=0.02)
    return moment


async def rebuilt(bus: BusWriter, moment_ns: int) -> Buckets:
    found: Buckets = {kind: {} for kind in KINDS}
    for tick in await as_of(bus.client, TOPOLOGY, moment_ns):
        found[tick.kind][tick.token] = tick.payload
    return found


program = only("drift-v2", why="a replay tells what was stored, whatever that says")


@pytest.mark.timeout(400)
async def test_an_hour_of_the_simulated_chain(nats_server: LocalNatsServer, program: str) -> None:
    began = time.time()
    config = SimulatorConfig(
        program=program,
        updates_per_second=60,
        perp_markets=5,
        spot_markets=3,
        clock=lambda: began + (time.time() - began) * CHAIN_SPEED,
    )
    moments: list[tuple[int, Buckets]] = []
    async with (
        BusWriter(nats_server.url) as bus,
        DriftFeed(nats_server.url) as feed,
        lossless(feed) as live,
        Simulator(config) as sim,
    ):
        # its clock runs away from ours, which would be taken for a clock of ours that is wrong
        async with running_publisher(sim, nats_server, program=program, max_lag_s=10_000):
            await wait_until(lambda: _settlements(live) > 0 and time.time() - began > 36, 120, "a funding settlement")
            sim.pause_walk()
            moments.append(await still_buckets(bus))
            sim.resume_walk()
            changes = sum(map(len, live.values()))
            await wait_until(lambda: sum(map(len, live.values())) > changes + 50)
            sim.pause_walk()
            moments.append(await still_buckets(bus))

        async def has_run_out(kind: Kind = "price") -> bool:
            return not await bucket_of(bus.client, TOPOLOGY, kind)

        await wait_until(has_run_out, what="prices run out")
        moments.append(await still_buckets(bus))
        whole = await stored(bus.client, TOPOLOGY)
        changes = sum(one.kind is not None and not one.is_reassertion for one in whole)
        await wait_until(lambda: sum(map(len, live.values())) == changes, what="the live consumer has all")
        await expire(bus, *(one.sequence for one in whole if one.is_reassertion))

        async with Replay(nats_server.url) as replay:
            replayed: Events = defaultdict(list)
            async for event in replay:
                replayed[event.kind, event.market].append(event)
        assert replayed == live
        assert len(live) == 5 * 3 + 3 * 2

        for moment_ns, held in moments:
            assert await rebuilt(bus, moment_ns) == held
        assert all(moments[0][1].values())
        assert not moments[2][1]["price"]
        assert moments[2][1]["market"]

        until_ns, held = moments[1]
        await _check_bus(bus, nats_server.url, live, until_ns, held)


async def _check_bus(bus: BusWriter, url: str, live: Events, until_ns: int, held: Buckets) -> None:
    """The replay's own stream and buckets, and a feed on them, are what they were at that moment."""
    async with (
        BusReplay(url, "x", speed="max", until=until_ns) as playing,
        DriftFeed(url, prefix="replay.x", clock=ReplayClock()) as feed,
        lossless(feed, since=1) as seen,
    ):
        assert await playing.run()
        assert playing.now_ns == until_ns
        await wait_until(lambda: sum(map(len, seen.values())) == playing.changes, what="the replay's consumer has all")
        for kind in KINDS:
            await settled_bucket(bus.client, replay_topology("x"), kind, held[kind])
        fresh = {(kind, name) for kind in KINDS for name in feed.markets(kind) if _read(feed, kind, name)}
        assert fresh == {(kind, token) for kind in KINDS for token in held[kind]}
    assert {key: events == live[key][: len(events)] for key, events in seen.items()} == dict.fromkeys(live, True)


def _read(feed: DriftFeed, kind: Kind, name: str) -> MarketDataEvent | None:
    return {"funding": feed.funding, "price": feed.price, "market": feed.market, "spot": feed.spot}[kind](name)


def _settlements(live: Events) -> int:
    """How many funding rates were settled while we watched."""
    return sum(
        len({event.funding_rate_ts for event in events if isinstance(event, FundingEvent)}) - 1
        for (kind, _), events in live.items()
        if kind == "funding"
    )
