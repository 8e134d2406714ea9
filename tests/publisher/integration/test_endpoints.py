"""Endpoints that refuse, throttle, lag or die: the publisher stays inside its budget and finds a way."""

from __future__ import annotations

import time
from functools import partial

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher
from drift_simulator import Fault, Simulator, SimulatorConfig
from tests.support.programs import drift_only, only
from tests.support.publishing import bus_reader, drift_client, running_publisher
from tests.support.wait import wait_until

program = only("drift-v2", why="endpoints are asked in the same way for each")


def _state(publisher: Publisher) -> str:
    assert publisher.chain is not None
    return publisher.chain.status.state


def _is(publisher: Publisher, state: str) -> bool:
    return _state(publisher) == state


async def test_polling_is_a_mode_of_its_own(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with (
        bus_reader(nats_server) as bus,
        running_publisher(sim, nats_server, source="polling", poll_every_s=0.2, rpc_rate_per_s=50) as publisher,
    ):
        await wait_until(partial(_is, publisher, "polling"))
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 2)
        assert sim.counters.connection_attempts == 0
        await wait_until(lambda: bus.status is not None and bus.status.source_state == "polling")


async def test_refused_websockets_are_polled_around_until_they_work_again(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    sim.faults.inject(Fault(kind="ws_refused"))
    settings = {"poll_every_s": 0.3, "rpc_rate_per_s": 20}
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, **settings) as publisher:
        await wait_until(partial(_is, publisher, "polling"))
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 2, what="data flows by polling")
        sim.faults.clear()
        await wait_until(partial(_is, publisher, "live"), what="the socket is taken up again")
        requests = sim.counters.requests
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 5)
        assert sim.counters.requests - requests <= 3


async def test_a_dead_endpoint_is_left_and_returned_to(
    sim: Simulator, second: Simulator, nats_server: LocalNatsServer
) -> None:
    urls = f"{second.http_url}/http|{second.ws_url}/ws"
    settings = {"rpc_urls": urls, "endpoint_return_s": 2, "slot_silence_s": 2}
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, **settings) as publisher:
        await wait_until(partial(_is, publisher, "live"))
        assert publisher.chain is not None
        pool = publisher.chain.pool
        sim.faults.inject(Fault(kind="ws_429", retry_after_s=1))
        sim.faults.inject(Fault(kind="http_429", retry_after_s=1))
        sim.faults.inject(Fault(kind="silent_stall"))
        await wait_until(lambda: pool.current is pool.endpoints[1] and _is(publisher, "live"))
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 2)
        sim.faults.clear()
        await wait_until(lambda: pool.current is pool.endpoints[0] and _is(publisher, "live"))
        assert pool.failovers_total >= 2
        await wait_until(lambda: second.counters.sockets_open == 0, what="the other socket is closed")


async def test_a_lagging_node_is_left_for_one_that_keeps_up(
    second: Simulator, nats_server: LocalNatsServer, program: str
) -> None:
    behind = SimulatorConfig(program=program, clock=lambda: time.time() - 300, perp_markets=5, spot_markets=5)
    async with (
        Simulator(behind) as lagging,
        bus_reader(nats_server) as bus,
        running_publisher(lagging, nats_server, rpc_urls=second.http_url) as publisher,
    ):
        assert publisher.chain is not None
        pool = publisher.chain.pool
        await wait_until(lambda: pool.current is pool.endpoints[1] and _is(publisher, "live"))
        await wait_until(lambda: bus.status is not None and bus.status.rpc_failovers_total == 1)


async def test_a_throttled_endpoint_gets_no_more_than_the_budget(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """HTTP and WebSocket 429 at once: bounded requests, no crash, recovery by itself."""
    rate, burst, storm_s = 4.0, 4, 12.0
    settings = {"rpc_rate_per_s": rate, "rpc_burst": burst}
    async with running_publisher(sim, nats_server, **settings) as publisher:
        await wait_until(partial(_is, publisher, "live"))
        sim.pause_walk()  # it is about connections, and slots go on
        sim.faults.inject(Fault(kind="http_429", retry_after_s=1, duration_s=storm_s))
        sim.faults.inject(Fault(kind="ws_429", retry_after_s=1, duration_s=storm_s))
        sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
        before, attempts, began = sim.counters.http_posts, sim.counters.connection_attempts, time.monotonic()
        await wait_until(lambda: not sim.faults.listing(), what="the storm is over")
        lasted_s = time.monotonic() - began
        assert sim.counters.http_posts - before <= rate * lasted_s + burst
        assert sim.counters.connection_attempts - attempts <= lasted_s
        await wait_until(partial(_is, publisher, "live"), 60, "it recovers by itself")


async def test_a_server_that_closes_after_accepting_is_not_stormed(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    lasts_s = 12.0
    async with running_publisher(sim, nats_server) as publisher:
        await wait_until(partial(_is, publisher, "live"))
        sim.pause_walk()  # it is about connections, and slots go on
        sim.faults.inject(Fault(kind="close_after_accept", duration_s=lasts_s))
        sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
        attempts, began = sim.counters.connection_attempts, time.monotonic()
        await wait_until(lambda: not sim.faults.listing(), what="it is over")
        assert sim.counters.connection_attempts - attempts <= time.monotonic() - began
        await wait_until(partial(_is, publisher, "live"))


@drift_only("a client of driftpy's, with a connection of its own")
async def test_what_driftpy_asks_goes_through_the_budget_too(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with running_publisher(sim, nats_server) as publisher:
        assert publisher.chain is not None
        traffic = publisher.chain.pool.current.traffic
        before = traffic.requests["getSlot"]
        await drift_client(publisher).connection.get_slot()
        assert traffic.requests["getSlot"] == before + 1


async def test_an_endpoint_that_is_dead_from_the_start_is_passed_over(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    settings = {"rpc_url": "http://127.0.0.1:9", "ws_url": "ws://127.0.0.1:9", "rpc_urls": sim.http_url}
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, **settings) as publisher:
        await wait_until(partial(_is, publisher, "live"))
        await wait_until(lambda: bus.status is not None and bus.status.rpc_endpoint == sim.http_url)
