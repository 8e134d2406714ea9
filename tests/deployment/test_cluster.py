"""Three nats-servers, three copies: any one of them dies under load, and nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from drift_schemas import KINDS, Topology
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import DriftFeed
from tests.deployment.ledger import Acknowledged, Witness, repeated, stored_changes
from tests.support.nats_cluster import NatsCluster
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

LIMITS = {"stream_max_bytes": 256 * 1024**2, "funding_max_bytes": 64 * 1024**2}
TOPOLOGY = Topology()
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
        for victim in cluster.nodes:
            await cluster.wait_until_whole(STREAMS)
            await cluster.nodes[victim].kill()
            await go_on(f"events are acknowledged without {victim}")
            await cluster.nodes[victim].start()
        leader = await cluster.leader_of(TOPOLOGY.stream)
        await cluster.wait_until_whole(STREAMS)
        await cluster.nodes[leader].kill()
        await go_on("events are acknowledged without the stream's leader")
        sim.pause_walk()
        await wait_until(lambda: publisher.bus and not publisher.bus.outstanding, 90, "all is acknowledged")

        def seen() -> list[int]:
            return sorted(place for witness in witnesses for place in witness.seen)

        stored: dict[int, str] = {}

        async def engine_has_all() -> bool:
            nonlocal stored
            stored = await stored_changes(cluster.url, TOPOLOGY)
            in_force = await stored_changes(cluster.url, TOPOLOGY, in_force=True)
            return set(seen()) >= in_force.keys() - already

        await wait_until(engine_has_all, 90, "the engine has seen every change", every_s=0.5)

    assert not set(acknowledged) - set(stored.values()), "acknowledged, and not stored"
    assert not repeated(list(stored.values())), "stored twice"
    assert not repeated(seen()), "seen twice"
    assert not set(seen()) - stored.keys(), "seen, and not stored"
