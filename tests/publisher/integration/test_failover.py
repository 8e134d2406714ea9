"""Two publishers, one leads: whatever happens to it, the other goes on, and an engine sees one clean stream."""

from __future__ import annotations

from collections.abc import Callable

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Simulator
from tests.cli.support import drift_bus
from tests.support.failover import PATIENCE_S, Contender, Scene, scene
from tests.support.programs import only
from tests.support.wait import wait_until

program = only("velocity-v1", why="who leads does not depend on what is published")

WARM: dict[str, str] = {}
SHARP = {"DRIFT_BUS_SLOT_SILENCE_S": "2.5"}
COLD = {"DRIFT_BUS_STANDBY": "cold"}


async def overcome(stage: Scene, fault: Callable[[Contender], None], markets: tuple[str, str]) -> tuple[int, Contender]:
    """Settles funding before and after the fault of the leader, and waits until all of it came from the other."""
    leader, before = await stage.ready(), stage.epoch
    stage.settle(markets[0])
    fault(leader)
    stage.settle(markets[1])
    await stage.taken_over(before)
    await wait_until(lambda: stage.leader is stage.other(leader), PATIENCE_S, "the other says that it leads")
    await stage.settlements_seen()
    await wait_until(lambda: stage.feed.price("SOL-PERP"), PATIENCE_S, "reads are fresh")
    return before, leader


async def is_seen_cleanly(stage: Scene) -> None:
    """The engine was given a stream of some length, and all of it once, in order, with every settlement."""
    await wait_until(lambda: stage.events > 30, PATIENCE_S, "a stream of some length")
    verdict = await stage.verdict()
    assert verdict == verdict.as_it_should_be


async def test_a_leader_that_is_killed(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with scene(sim, nats_server, WARM, WARM) as stage:
        await overcome(stage, lambda leader: leader.process.kill(), ("SOL-PERP", "BTC-PERP"))
        await is_seen_cleanly(stage)


async def test_a_leader_that_is_stopped_hands_over(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with scene(sim, nats_server, WARM, WARM) as stage:
        leader = await stage.ready()

        async def is_shown() -> bool:
            (said,) = (await drift_bus("status", "--json", "--nats-url", nats_server.url)).objects
            endpoints = said["leader"] and [one["rpc_endpoint"] for one in (said["leader"], *said["standbys"])]
            return endpoints == [leader.http.url, stage.other(leader).http.url] and not said["complaints"]

        await wait_until(is_shown, PATIENCE_S, "drift-bus status shows both")
        _, stopped = await overcome(stage, lambda leader: leader.process.terminate(), ("SOL-PERP", "BTC-PERP"))
        await wait_until(lambda: stopped.process.returncode is not None, PATIENCE_S, "the old leader ends")
        assert stopped.process.returncode == 0
        await is_seen_cleanly(stage)


async def test_a_frozen_leader_that_goes_on_later(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """What it still sends bears a fence that has moved on: the stream takes none of it."""
    async with scene(sim, nats_server, WARM, WARM) as stage:
        _, former = await overcome(stage, lambda leader: leader.freeze(), ("SOL-PERP", "BTC-PERP"))
        former.thaw()
        await wait_until(lambda: stage.stands_by(former), PATIENCE_S, "the old leader stands by")
        await is_seen_cleanly(stage)


async def test_a_leader_cut_off_from_nats(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """First packets are lost, and what was held back arrives late; then connections are reset."""
    names = [market.name for market in sim.cluster.perp_markets]
    async with scene(sim, nats_server, WARM, WARM) as stage:
        _, former = await overcome(stage, lambda leader: leader.nats.hold(), ("SOL-PERP", "BTC-PERP"))
        former.mend()
        await wait_until(lambda: stage.stands_by(former), PATIENCE_S, "the old leader stands by")
        _, former = await overcome(stage, lambda leader: leader.nats.cut(), (names[2], names[3]))
        former.mend()
        await wait_until(lambda: stage.stands_by(former), PATIENCE_S, "the old leader stands by again")
        await is_seen_cleanly(stage)


async def test_a_leader_that_does_not_hear_the_chain_yields(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with scene(sim, nats_server, WARM, WARM) as stage:
        _, former = await overcome(stage, lambda leader: leader.deafen(), ("SOL-PERP", "BTC-PERP"))
        former.mend()
        await wait_until(lambda: stage.stands_by(former), PATIENCE_S, "the old leader hears the chain again")
        await is_seen_cleanly(stage)


async def test_where_nobody_hears_the_chain_the_lead_stays(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """At most it passes once, to the one that heard a slot more; the heartbeat says why there is no data."""
    async with scene(sim, nats_server, SHARP, SHARP) as stage:
        await stage.ready()
        before = stage.epoch
        for contender in stage.contenders:
            contender.deafen()

        def all_stalled() -> bool:
            said = [stage.status(one) for one in stage.contenders]
            return stage.leader is not None and all(one and one.source_state == "stalled" for one in said)

        await wait_until(all_stalled, PATIENCE_S, "both say that they hear nothing")
        assert stage.leader is not None
        said = stage.status(stage.leader)
        assert said is not None
        assert said.reason
        epoch = max(one.epoch for _, one in stage.beats.values())
        assert epoch <= before + 1
        for contender in stage.contenders:
            contender.mend()
        await stage.ready()
        assert max(one.epoch for _, one in stage.beats.values()) <= epoch + 1
        await is_seen_cleanly(stage)


async def test_a_cold_standby_opens_no_socket_before_it_leads(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with scene(sim, nats_server, WARM) as stage, stage.contender(**COLD) as cold:
        warm = stage.other(cold)

        def stands_by_cold() -> bool:
            status = stage.status(cold)
            return status is not None and status.role == "standby" and "cold standby" in status.reason

        await wait_until(lambda: stage.leader is warm and stands_by_cold(), PATIENCE_S, "the warm one leads")
        await wait_until(lambda: stage.epoch, PATIENCE_S, "events")
        before = stage.epoch
        assert cold.ws.connections == 0
        stage.settle("SOL-PERP")
        await stage.settlements_seen()
        warm.process.kill()
        stage.settle("BTC-PERP")
        await stage.taken_over(before)
        await stage.settlements_seen()
        assert cold.ws.connections > 0
        await is_seen_cleanly(stage)
