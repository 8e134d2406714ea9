"""Three nats-servers, three copies: any one dies under load and nothing acknowledged is lost; never two leaders."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from drift_publisher.bus import Bus
from drift_publisher.epoch import claim_epoch
from drift_publisher.lanes import Message
from drift_publisher.nats_connection import connect_nats
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import KINDS, MSG_ID_HEADER, Topology
from drift_schemas.access import close_quietly
from drift_schemas.codec import unpack
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import DriftFeed
from tests.deployment.ledger import Acknowledged, Witness, repeated, stored_changes, stored_epochs
from tests.support.failover import PATIENCE_S, scene
from tests.support.nats_cluster import NatsCluster
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

LIMITS = {"stream_max_bytes": 256 * 1024**2, "funding_max_bytes": 64 * 1024**2}
TOPOLOGY = Topology(replicas=3, max_bytes=LIMITS["stream_max_bytes"], funding_max_bytes=LIMITS["funding_max_bytes"])
STREAMS = [config["name"] for config in TOPOLOGY.configs()]
ENOUGH = 200

# nats-py leaves the socket of a reconnection that failed half-way to the garbage collector.
pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture(autouse=True)
def sockets_of_failed_reconnections_are_collected() -> Iterator[None]:
    """Collected here, where the warning of it is expected, and not during somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
async def cluster() -> AsyncIterator[NatsCluster]:
    """Three empty servers with a leader."""
    async with NatsCluster() as cluster:
        yield cluster


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A chain with a few markets that change quickly."""
    config = SimulatorConfig(port=0, seed=7, updates_per_second=100.0, perp_markets=8, spot_markets=4)
    async with Simulator(config) as simulator:
        yield simulator


@pytest.mark.timeout(600)
async def test_any_node_and_the_streams_leader_may_be_killed(
    cluster: NatsCluster, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged = Acknowledged(monkeypatch)

    async def go_on(what: str) -> None:
        enough = len(acknowledged) + ENOUGH
        await wait_until(lambda: len(acknowledged) > enough, 90, what)

    async with (
        running_publisher(sim, cluster, stream_replicas=3, **LIMITS) as publisher,
        contextlib.AsyncExitStack() as stack,
    ):
        await go_on("events are acknowledged")
        sim.pause_walk()
        await wait_until(lambda: publisher.bus and not publisher.bus.outstanding, 90, "all of them")
        already = set(await stored_changes(cluster.url, TOPOLOGY))
        feed = await stack.enter_async_context(DriftFeed(cluster.url))
        witnesses = [await stack.enter_async_context(Witness(feed, kind)) for kind in KINDS]
        sim.resume_walk()
        leader = await cluster.leader_of(TOPOLOGY.stream)
        for victim in (leader, *(cluster.nodes.keys() - {leader})):
            await cluster.wait_until_whole(STREAMS)
            await cluster.nodes[victim].kill()
            await go_on(f"events are acknowledged without {victim}")
            await cluster.nodes[victim].start()
        sim.pause_walk()
        await wait_until(lambda: publisher.bus and not publisher.bus.outstanding, 90, "all is acknowledged")
        await cluster.wait_until_whole(STREAMS)

        def seen() -> list[int]:
            return sorted(place for witness in witnesses for place in witness.seen)

        stored: dict[int, str] = {}

        async def engine_has_all() -> bool:
            nonlocal stored
            with contextlib.suppress(NatsError):  # the last server has only just come back
                stored = await stored_changes(cluster.url, TOPOLOGY)
                return set(seen()) >= stored.keys() - already
            return False

        await wait_until(engine_has_all, 90, "the engine has seen every change", every_s=0.5)
        epochs = await stored_epochs(cluster.url, TOPOLOGY)

    assert epochs == sorted(epochs), "stored after the next term began"
    assert not set(acknowledged) - set(stored.values()), "acknowledged, and not stored"
    assert not repeated(list(stored.values())), "stored twice"
    assert not repeated(seen()), "seen twice"
    assert not set(seen()) - stored.keys(), "seen, and not stored"


@pytest.mark.timeout(300)
async def test_a_frozen_leader_that_goes_on_later(cluster: NatsCluster, sim: Simulator) -> None:
    """What it sent before, and what the network held back: the stream takes none of it once the next term has begun."""
    setting = {
        "DRIFT_BUS_STREAM_REPLICAS": "3",
        "DRIFT_BUS_STREAM_MAX_BYTES": str(LIMITS["stream_max_bytes"]),
        "DRIFT_BUS_FUNDING_MAX_BYTES": str(LIMITS["funding_max_bytes"]),
    }
    arrived: list[int] = []

    async def at_the_door(message: Msg) -> None:
        if ".ctl." not in message.subject:
            arrived.append(int(unpack(message.data)["epoch"]))

    door = await nats.connect(cluster.nodes["n2"].url)
    async with (
        contextlib.AsyncExitStack() as stack,
        scene(sim, cluster.nodes["n1"], setting, setting) as stage,
        asyncio.timeout(240),
    ):
        stack.push_async_callback(close_quietly, door)
        await door.subscribe("in.drift.>", cb=at_the_door)
        former, before = await stage.ready(), stage.epoch
        former.nats.hold()
        await asyncio.sleep(0.7)  # it goes on publishing, for its lease is good for longer
        former.freeze()
        await stage.taken_over(before)
        so_far = len(arrived)
        former.mend()
        former.thaw()
        await wait_until(lambda: stage.stands_by(former), PATIENCE_S, "the old leader stands by")
        await wait_until(lambda: before in arrived[so_far:], PATIENCE_S, "what was held back arrives")
        epochs = await stored_epochs(cluster.url, TOPOLOGY)
        assert epochs[-1] > before
        assert epochs == sorted(epochs), "stored after the next term began"
        verdict = await stage.verdict()
        assert verdict == verdict.as_it_should_be


@pytest.mark.timeout(300)
async def test_the_stream_refuses_all_that_a_former_leader_sends(cluster: NatsCluster) -> None:
    """Even from one that never looks at its clock; and while it leads, none of what it sends all at once."""
    servers = cluster.url.split(",")
    async with connect_nats(servers, name="former", timeout_s=60, reconnected=asyncio.Event()) as client:
        await ensure_topology(client, TOPOLOGY)
        await cluster.wait_until_whole(STREAMS)
        term = await claim_epoch(client, TOPOLOGY)
        bus = Bus(client)
        bus.lead(term.fences, lambda: True)

        def say(number: int, subject: str) -> None:
            headers = {MSG_ID_HEADER: f"{subject}-{number}"}
            bus.submit(Message(f"in.{subject}", b"x", headers, time.monotonic() + 120, lambda: None))

        running = asyncio.create_task(bus.run(), name="bus")
        try:
            for number in range(5):
                for market in range(100):
                    say(number, f"drift.price.M{market}")
            assert await bus.drained(60)
            assert bus.counts == {"stored": 500}
            await claim_epoch(client, TOPOLOGY)
            for market in range(100):
                say(5, f"drift.price.M{market}")
            await wait_until(lambda: bus.counts["refused"] >= 100, 60, "all of it is refused")
            assert bus.counts["stored"] == 500
        finally:
            bus.abandon()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert len(await stored_changes(cluster.url, TOPOLOGY)) == 500


@pytest.mark.timeout(300)
async def test_publishers_that_start_together_make_the_streams_together(cluster: NatsCluster) -> None:
    """Nobody answers for a stream that is just being created; who asks then asks again."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [node.url for node in cluster.nodes.values()] * 2
        clients = [
            await stack.enter_async_context(
                connect_nats([url], name="together", timeout_s=60, reconnected=asyncio.Event())
            )
            for url in servers
        ]
        await asyncio.gather(*(ensure_topology(client, TOPOLOGY, patience_s=60) for client in clients))
        await cluster.wait_until_whole(STREAMS)
        assert not await ensure_topology(clients[0], TOPOLOGY)
