"""Faults at the start, half-way and of our own making: the bus ends up right, or the publisher ends with an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher
from drift_simulator import Fault, Simulator
from tests.publisher.integration.truth import Truth
from tests.support.programs import only, with_an_oracle_of_its_own
from tests.support.publishing import bus_reader, chain_of, running_publisher
from tests.support.wait import wait_until

program = only("velocity-v1", why="what is shown is how the connection recovers")


async def _live(publisher: Publisher, timeout_s: float = 45.0) -> None:
    status = chain_of(publisher).status
    await wait_until(lambda: status.state == "live", timeout_s, "the socket is live")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="http_html_429", retry_after_s=1, count=2),
        Fault(kind="http_5xx", count=3),
        Fault(kind="jsonrpc_error", count=2),
        Fault(kind="delay", seconds=0.1, duration_s=1),
        Fault(kind="ws_refused", duration_s=1),
        Fault(kind="close_after_accept", duration_s=1),
    ],
    ids=lambda fault: str(fault.kind),
)
async def test_a_start_under_a_fault_ends_up_right(sim: Simulator, nats_server: LocalNatsServer, fault: Fault) -> None:
    truth = Truth(sim)
    sim.faults.inject(fault)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await _live(publisher)
        await truth.arrives(bus)
        assert sim.counters.sockets_open == 1
        assert sim.counters.connection_attempts <= 8


@pytest.mark.usefixtures("impatient")
async def test_a_reconnect_under_a_fault_ends_up_right(sim: Simulator, nats_server: LocalNatsServer) -> None:
    truth = Truth(sim)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await _live(publisher)
        status = chain_of(publisher).status
        for fault in (
            Fault(kind="delay", seconds=0.05, duration_s=1),
            Fault(kind="jsonrpc_error", code=-32602, duration_s=1),
        ):
            sim.resume_walk()
            reconnects = status.reconnects
            sim.faults.inject(fault)
            sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
            await wait_until(lambda: status.reconnects > reconnects, what=f"{fault.kind}: the socket is lost")  # noqa: B023
            await _live(publisher)
            await truth.arrives(bus)
            sim.faults.clear()


async def test_a_peer_that_vanishes_during_the_subscription_is_given_up(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """Half-open: the connection stands and nobody is there."""
    truth = Truth(sim)
    sim.faults.inject(Fault(kind="delay", seconds=0.02, method=""))  # confirmations trickle in
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, slot_silence_s=1) as publisher:
        await wait_until(lambda: sim.counters.subscriptions_open.total() >= 3)
        sim.faults.inject(Fault(kind="half_open"))
        await wait_until(lambda: chain_of(publisher).status.reconnects, what="it is given up")
        assert chain_of(publisher).status.state != "live"
        sim.faults.clear()
        await _live(publisher)
        await truth.arrives(bus)


async def test_a_refresh_that_is_throttled_is_waited_for(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """After a reconnect nothing counts as live before the hole is closed, however long HTTP refuses."""
    truth, lasts_s = Truth(sim), 4.0
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await _live(publisher)
        status = chain_of(publisher).status
        sim.faults.inject(Fault(kind="http_429", retry_after_s=1, duration_s=lasts_s))
        sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
        await wait_until(lambda: status.reconnects)
        posts = sim.counters.http_posts
        with pytest.raises(AssertionError, match="too early"):
            await wait_until(lambda: status.state in ("live", "polling"), lasts_s - 1, "too early")
        assert sim.counters.http_posts - posts <= 20 + 8 * lasts_s
        await _live(publisher)
        await truth.arrives(bus)


def _answer(right: Callable[[Any], bytes], bend: Callable[[bytes], bytes], params: Any) -> bytes:
    return bend(right(params))


def _null(_: bytes) -> bytes:
    return b"null"


def _short(answer: bytes) -> bytes:
    found = orjson.loads(answer)
    return orjson.dumps({**found, "value": found["value"][1:]})


def _shapeless(answer: bytes) -> bytes:
    found = orjson.loads(answer)
    return orjson.dumps({**found, "value": [7] * len(found["value"])})


def _slotless(answer: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(answer), "context": {"slot": None}})


@pytest.mark.usefixtures("impatient")
async def test_accounts_in_another_form_are_no_data(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first account of the list above all: without it, each would stand for the next one."""
    truth = Truth(sim)
    methods: dict[str, Callable[[Any], bytes]] = sim._server._rpc._methods
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await _live(publisher)
        status, right = chain_of(publisher).status, methods["getMultipleAccounts"]
        for bend in (_null, _short, _shapeless, _slotless):
            sim.resume_walk()
            name, reconnects = bend.__name__, status.reconnects
            with monkeypatch.context() as bent:
                bent.setitem(methods, "getMultipleAccounts", partial(_answer, right, bend))
                sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
                await wait_until(
                    lambda: status.reconnects >= reconnects + 2 and "another form" in status.reason,  # noqa: B023
                    what=f"{name}: it is refused",
                )
                assert not status.is_alive, name
            await _live(publisher)
            await truth.arrives(bus)


@pytest.mark.parametrize(
    "coroutine",
    [
        "drift_publisher.polling.Poller.run",
        "drift_publisher.websocket.WebSocketSource._keep",
        "drift_publisher.socket_line.SocketLine._read",
        "drift_publisher.socket_line.SocketLine._subscribe",
        "drift_publisher.socket_line.SocketLine._renew_quiet",
        "drift_publisher.proving.Probation.watch",
        "drift_publisher.chain.Chain._return_to_first_endpoint",
        "drift_publisher.heartbeat.Heartbeat.run",
        "drift_publisher.bus.Bus._watch_acks",
        "drift_publisher.publisher._reassert",
    ],
)
async def test_a_task_that_dies_ends_the_publisher_with_its_error(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch, coroutine: str
) -> None:
    """Nothing goes on half dead: whoever restarts the process sees why."""

    async def die(*_: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(coroutine, die)
    with pytest.raises(ExceptionGroup) as caught:
        async with running_publisher(sim, nats_server) as publisher:
            await wait_until(lambda: chain_of(publisher).status.state == "stopped")
    assert caught.group_contains(ZeroDivisionError, match="a bug of ours")
    await wait_until(lambda: sim.counters.sockets_open == 0, what="no socket stays open")


@pytest.mark.parametrize(
    "coroutine",
    [
        "drift_publisher.topology_watch.TopologyWatch._look",
        "drift_publisher.heartbeat.Heartbeat.run",
        "drift_publisher.chain.Chain._return_to_first_endpoint",
        "drift_publisher.rereading.Rereader.run",
    ],
)
async def test_a_cancellation_that_is_lost_once_keeps_no_publisher_from_its_end(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch, coroutine: str
) -> None:
    """On Python 3.11 ``asyncio.wait_for`` loses one that comes in the moment of the answer."""
    lost: list[str] = []

    async def wait_and_lose_it(*_: object, **__: object) -> list[Any]:
        if not lost:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append(coroutine)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr(coroutine, wait_and_lose_it)
    async with running_publisher(sim, nats_server) as publisher:
        await _live(publisher)
    assert lost == [coroutine]


async def test_an_endpoint_that_pauses_holds_up_no_other(
    sim: Simulator, second: Simulator, nats_server: LocalNatsServer
) -> None:
    """The first says to come back in a minute; to compare its slot with the second's can wait."""
    async with running_publisher(sim, nats_server, rpc_urls=second.http_url) as publisher:
        await _live(publisher)
        pool = chain_of(publisher).pool
        sim.faults.inject(Fault(kind="http_429", retry_after_s=60))
        sim.faults.inject(Fault(kind="ws_429", retry_after_s=60))
        sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
        status = chain_of(publisher).status
        await wait_until(lambda: pool.current is pool.endpoints[1] and status.state == "live")


async def test_an_oracle_that_no_market_names_any_more_is_unsubscribed(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    truth = Truth(sim)
    alone, btc = with_an_oracle_of_its_own(sim.cluster), sim.cluster.perp("BTC-PERP")
    each = ",".join(market.name for market in sim.cluster.markets)  # named, every account has its own subscription
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, markets=each) as publisher:
        await _live(publisher)
        store, before = chain_of(publisher).store, sim.counters.subscriptions_open["accountSubscribe"]
        left = str(alone.oracle)
        sim.cluster.change_oracle(alone.name, btc.oracle, btc.oracle_source)
        truth.look()
        await wait_until(lambda: sim.counters.subscriptions_open["accountSubscribe"] == before - 1)
        assert left not in store.oracles()
        sim.set_oracle_price("BTC-PERP", 61_234_000_000)
        await truth.arrives(bus)
        assert truth.now()[alone.name] == truth.now()["BTC-PERP"]
