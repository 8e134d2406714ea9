"""Proven before published: what a node tells reaches nobody before it is shown to be current, at every connect."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.lag import CLOCK_SYSVAR
from drift_simulator import Fault, Simulator, SimulatorConfig
from tests.support.publishing import BusReader, bus_reader, chain_of, running_publisher
from tests.support.wait import wait_until

FAST = {"poll_every_s": 0.2, "rpc_rate_per_s": 50.0, "slot_silence_s": 2.0}


@dataclass
class Lagging:
    """A chain whose clock is ``behind_s`` seconds behind; everything else about it is alive."""

    behind_s: float = 120.0

    def clock(self) -> float:
        """The chain's time."""
        return time.time() - self.behind_s

    def node(self) -> Simulator:
        """Its only node."""
        return Simulator(
            SimulatorConfig(
                updates_per_second=100.0, slot_interval_s=0.05, perp_markets=5, spot_markets=5, clock=self.clock
            )
        )


@pytest.fixture
def lagging() -> Lagging:
    return Lagging()


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node in use is looked at each half second instead of each ten."""
    for module in ("proving", "polling"):
        monkeypatch.setattr(f"drift_publisher.{module}.LOOK_EVERY_S", 0.5)
    monkeypatch.setattr("drift_publisher.proving._SLOTS_AT_THEIR_PACE", 0)


def _said(bus: BusReader) -> int:
    return sum(map(len, [*bus.changes.values(), *bus.reassertions.values()]))


@pytest.mark.usefixtures("impatient", "watchful")
@pytest.mark.parametrize("source", ["websocket", "polling"])
async def test_a_node_that_lags_is_heard_by_nobody(lagging: Lagging, nats_server: LocalNatsServer, source: str) -> None:
    """The only endpoint: at the start, when it begins to lag, and at the connect after."""
    async with (
        lagging.node() as sim,
        bus_reader(nats_server) as bus,
        running_publisher(sim, nats_server, source=source, **FAST) as publisher,
    ):
        status = chain_of(publisher).status
        sim.faults.inject(Fault(kind="missing_account", pubkey=CLOCK_SYSVAR))
        await wait_until(lambda: "does not tell the chain's clock" in status.reason)
        sim.faults.clear()
        await wait_until(lambda: "s behind ours" in status.reason)
        asked = sim.counters.requests_by_method["getMultipleAccounts"]
        await wait_until(lambda: sim.counters.requests_by_method["getMultipleAccounts"] > asked + 3)
        assert source == "polling" or sim.counters.notifications > 0
        await wait_until(lambda: bus.status is not None and "s behind ours" in bus.status.reason)
        assert _said(bus) == 0
        assert bus.status is not None
        assert (bus.status.source_state, bus.status.slot, bus.status.accounts_reread_total) == ("stalled", 0, 0)
        assert not publisher.health.readiness().ready

        lagging.behind_s = 0
        await wait_until(lambda: status.is_alive, what="it has caught up")
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > 3)
        assert status.histories == 1

        lagging.behind_s = 120
        await wait_until(lambda: not status.is_alive, what="it is noticed while slots and accounts go on")
        await wait_until(lambda: "s behind ours" in status.reason)
        await wait_until(lambda: publisher.bus and not publisher.bus.outstanding, what="what it had sent is stored")
        said, notified = _said(bus), sim.counters.notifications
        await wait_until(lambda: source == "polling" or sim.counters.notifications > notified + 20)
        asked = sim.counters.requests_by_method["getMultipleAccounts"]
        await wait_until(lambda: sim.counters.requests_by_method["getMultipleAccounts"] > asked + 3)
        assert _said(bus) - said <= 5, "what was on its way to the reader"

        lagging.behind_s = 0
        await wait_until(lambda: status.is_alive, what="it has caught up again")
        await wait_until(lambda: _said(bus) > said + 20)


@pytest.mark.usefixtures("impatient")
async def test_what_a_socket_told_before_it_was_proven_comes_after(
    lagging: Lagging, nats_server: LocalNatsServer
) -> None:
    """A connect that takes its time: the newest of what was notified meanwhile is published, and nothing is lost."""
    lagging.behind_s = 0
    async with (
        lagging.node() as sim,
        bus_reader(nats_server) as bus,
        running_publisher(sim, nats_server, **FAST) as publisher,
    ):
        chain = chain_of(publisher)
        await wait_until(lambda: chain.status.state == "live")
        sim.pause_walk()
        everything = chain.status.subscriptions
        sim.faults.inject(Fault(kind="delay", method="getMultipleAccounts", seconds=1.0))
        sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
        await wait_until(lambda: chain.status.reconnects and chain.status.subscriptions == everything)
        heard = len(bus.changes["price.SOL-PERP"])
        sim.set_oracle_price("SOL-PERP", 111_000_000)
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > heard)
        assert chain.status.state == "live"
        assert [getattr(event, "oracle_price", None) for event in bus.changes["price.SOL-PERP"]][-1] == 111_000_000


@pytest.mark.usefixtures("impatient", "watchful")
@pytest.mark.parametrize("source", ["websocket", "polling"])
async def test_a_chain_whose_slots_start_over_is_followed(
    lagging: Lagging, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr("drift_publisher.proof._GOES_ON_S", 1.0)
    lagging.behind_s = 0
    reasons: set[str] = set()
    async with (
        lagging.node() as sim,
        bus_reader(nats_server) as bus,
        running_publisher(sim, nats_server, source=source, **FAST) as publisher,
    ):
        chain = chain_of(publisher)
        await wait_until(lambda: chain.status.is_alive)
        await wait_until(lambda: bus.changes["price.SOL-PERP"])
        top = sim.slot
        sim.cluster.slot -= 5000

        def is_a_new_history() -> bool:
            reasons.add(chain.status.reason)
            return chain.status.histories == 2

        await wait_until(is_a_new_history)
        assert any(reason.startswith("slots come, but lower than slot") for reason in reasons), reasons
        await wait_until(lambda: chain.status.is_alive)
        sim.pause_walk()
        sim.set_oracle_price("SOL-PERP", 111_000_000)
        await wait_until(lambda: getattr(bus.last("price", "SOL-PERP"), "oracle_price", None) == 111_000_000)
        newest = bus.last("price", "SOL-PERP")
        assert newest is not None
        assert newest.slot < top - 4000
        assert "@" in bus.headers["price.SOL-PERP"][-1]["Nats-Msg-Id"]
        await wait_until(lambda: bus.status is not None and bus.status.slot_histories == 2)
        await wait_until(lambda: not chain.overdue(), what="every account was read in the new history")


@pytest.mark.usefixtures("impatient", "watchful")
async def test_one_endpoint_whose_slots_start_over_is_left_for_the_others(
    lagging: Lagging, nats_server: LocalNatsServer
) -> None:
    lagging.behind_s = 0
    async with (
        lagging.node() as sim,
        lagging.node() as second,
        bus_reader(nats_server),
        running_publisher(sim, nats_server, rpc_urls=second.http_url, **FAST) as publisher,
    ):
        chain = chain_of(publisher)
        await wait_until(lambda: chain.status.state == "live")
        sim.cluster.slot -= 5000
        await wait_until(lambda: chain.pool.current is chain.pool.endpoints[1] and chain.status.state == "live")
        assert chain.status.histories == 1
