"""What the stream holds already is confirmed by a new leader, and is not news to anyone."""

from __future__ import annotations

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.epoch import Term, claim_epoch
from drift_publisher.last_values import last_contents
from drift_schemas import KINDS, Topology
from drift_simulator import Simulator
from tests.support.connecting import nats_client
from tests.support.publishing import BusReader, bus_reader, running_publisher
from tests.support.wait import wait_until

TOPOLOGY = Topology()


def values(bus: BusReader, sim: Simulator) -> set[str]:
    """The subjects on which each market of the cluster has a value."""
    perps = {f"{kind}.{market.name}" for market in sim.cluster.perp_markets for kind in ("price", "funding", "market")}
    return perps | {f"{kind}.{market.name}" for market in sim.cluster.spot_markets for kind in ("price", "spot")}


async def test_a_new_leader_confirms_what_it_finds_and_tells_changes_only(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    sim.pause_walk()
    async with bus_reader(nats_server) as bus:
        every = values(bus, sim)
        async with running_publisher(sim, nats_server):
            await wait_until(lambda: every <= bus.changes.keys(), what="every value is told once")
        settled = {
            key for key in every if key.startswith(("market.", "spot."))
        }  # prices and estimates age by themselves
        told = {key: len(events) for key, events in bus.changes.items()}
        bus.reassertions.clear()
        async with running_publisher(sim, nats_server) as second:

            def confirmed() -> bool:
                """An estimate may have moved on before it was due, for its account is read again."""
                return all(bus.reassertions[key] or len(bus.changes[key]) > told[key] for key in every)

            await wait_until(confirmed, what="every value is confirmed")
            assert settled <= {key for key, events in bus.reassertions.items() if events}
            assert second.bus is not None
            assert second.bus.counts["duplicate"] == 0
            assert {key: len(bus.changes[key]) for key in settled} == {key: told[key] for key in settled}, "no news"
            name = sim.cluster.perp_markets[0].name
            sim.set_oracle_price(name, 123_000_000)
            await wait_until(lambda: len(bus.changes[f"price.{name}"]) > told[f"price.{name}"], what="a change is")


@pytest.mark.parametrize("foreign", [{"program": "another"}, {"cluster": "devnet"}])
async def test_values_of_another_program_or_cluster_are_none_of_ours(
    sim: Simulator, nats_server: LocalNatsServer, foreign: dict[str, str]
) -> None:
    async with running_publisher(sim, nats_server) as publisher:
        await wait_until(lambda: publisher.bus is not None and publisher.bus.counts["stored"] > 20, what="values")
    async with nats_client(nats_server.url) as client:
        term = await claim_epoch(client, TOPOLOGY)
        ours = {"program": sim.cluster.program.name, "cluster": "simulated"}
        held = await last_contents(client, TOPOLOGY, term, **ours)
        assert held is not None
        assert {subject.split(".")[2] for subject in held} == set(KINDS)
        assert await last_contents(client, TOPOLOGY, term, **{**ours, **foreign}) == {}


async def test_a_replica_that_has_not_heard_of_the_term_is_not_believed(
    sim: Simulator, nats_server: LocalNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_publisher(sim, nats_server) as publisher:
        await wait_until(lambda: publisher.bus is not None and publisher.bus.counts["stored"] > 20, what="values")
    async with nats_client(nats_server.url) as client:
        term = await claim_epoch(client, TOPOLOGY)
        later = Term(term.epoch + 1, term.sequence + 10_000, term.fences)
        held = await last_contents(client, TOPOLOGY, later, program=sim.cluster.program.name, cluster="simulated")
        assert held is None
        assert "every value is published anew" in caplog.text
