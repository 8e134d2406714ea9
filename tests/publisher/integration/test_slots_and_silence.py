"""What a node says without an error: slots that cannot be, and subscriptions that it forgot."""

from __future__ import annotations

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Fault, Simulator
from tests.support.programs import only
from tests.support.publishing import bus_reader, chain_of, running_publisher
from tests.support.wait import wait_until

program = only("velocity-v1", why="what is shown is how silence is noticed")


async def test_a_heartbeat_from_the_future_does_not_make_true_slots_look_old(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        status = chain_of(publisher).status
        await wait_until(lambda: status.state == "live")
        sim.faults.inject(Fault(kind="slot_from_the_future", slots=10**9))
        await wait_until(lambda: status.reconnects)
        assert status.slot < 10**9
        sim.faults.clear()
        await wait_until(lambda: status.state == "live")
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen)
        assert all(event.slot < 10**9 for events in bus.changes.values() for event in events)


async def test_an_account_from_the_future_is_refused_and_the_next_true_one_is_taken(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        store, status = chain_of(publisher).store, chain_of(publisher).status
        await wait_until(lambda: status.state == "live")
        market = store.perp_markets[0]
        sim.faults.inject(Fault(kind="slot_from_the_future", slots=10**9, pubkey=market.oracle))
        await wait_until(lambda: store.refused["slot from the future"])
        sim.faults.clear()
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 2)
        assert all(event.slot < 10**9 for events in bus.changes.values() for event in events)
        assert status.reconnects == 0


async def test_a_subscription_that_the_node_forgot_is_made_anew(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """Slots go on and other accounts too; only this oracle, and what comes with it, would stand still for ever."""
    async with bus_reader(nats_server), running_publisher(sim, nats_server, subscription_silence_s=1) as publisher:
        chain = chain_of(publisher)
        oracle = chain.store.perp_markets[0].oracle
        await wait_until(lambda: chain.status.state == "live")
        await wait_until(lambda: sim.counters.notifications > 700, what="every subscription shows its rhythm")
        sim.faults.inject(Fault(kind="deaf_subscription", pubkey=oracle))
        version = chain.store.version(oracle)
        assert version is not None
        await wait_until(lambda: chain.status.renewed, what="the silence is noticed")
        await wait_until(lambda: (now := chain.store.version(oracle)) and now.slot > version.slot and not now.was_read)
        assert chain.status.reconnects == 0
        assert chain.status.sockets == 1
