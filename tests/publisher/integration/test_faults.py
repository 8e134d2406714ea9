"""The endpoint misbehaves: the publisher notices, waits its turn, and comes back by itself."""

from __future__ import annotations

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import PublisherSettings, RpcUnavailable, SettingsError, UnknownMarket
from drift_publisher.publisher import Publisher
from drift_simulator import Fault, Simulator
from tests.support.programs import only
from tests.support.publishing import bus_reader, chain_of, running_publisher
from tests.support.wait import wait_until

program = only("drift-v2", why="what is shown is how the connection takes faults")


@pytest.mark.usefixtures("impatient")
async def test_a_socket_that_is_of_no_use_is_replaced(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """One publisher, and one fault after the other, each longer than the silence that is put up with."""
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, slot_silence_s=1) as publisher:
        status = chain_of(publisher).status
        await wait_until(lambda: status.state == "live")
        for fault in (
            Fault(kind="silent_stall", duration_s=4),
            Fault(kind="close_after_messages", messages=40, duration_s=3),
            Fault(kind="garbage_ws", duration_s=2),
            Fault(kind="half_open", duration_s=4),
            Fault(kind="slot_stuck", duration_s=4),
        ):
            before = status.reconnects
            sim.faults.inject(fault)
            await wait_until(lambda: status.reconnects > before, what=f"{fault.kind}: the loss is noticed")  # noqa: B023
            await wait_until(lambda: status.state == "live", what=f"{fault.kind}: the socket is back")
            seen = len(bus.changes["price.SOL-PERP"])
            await wait_until(
                lambda: len(bus.changes["price.SOL-PERP"]) > seen + 1,  # noqa: B023
                what=f"{fault.kind}: data flows again",
            )
            await wait_until(
                lambda: status.state == "live" and sim.counters.sockets_open == 1 and not sim.faults.listing(),
                what=f"{fault.kind}: one socket, and live",
            )


async def test_confirmations_out_of_order_put_no_price_under_another_market(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    sim.faults.inject(Fault(kind="reorder_confirmations", messages=7))
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        assert publisher.chain is not None
        store = publisher.chain.store
        await wait_until(lambda: publisher.chain.status.state == "live")  # type: ignore[union-attr]
        sim.pause_walk()
        await wait_until(
            lambda: all(
                store.version(str(market.oracle)).data == sim.account(market.oracle)  # type: ignore[union-attr]
                for market in sim.cluster.perp_markets
            )
        )
        await wait_until(lambda: bus.markets("price"))


async def test_a_429_at_the_start_is_waited_out(sim: Simulator, nats_server: LocalNatsServer) -> None:
    sim.faults.inject(Fault(kind="http_429", retry_after_s=1, count=3))
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.markets("price"))


async def test_a_refused_websocket_is_tried_again_politely(sim: Simulator, nats_server: LocalNatsServer) -> None:
    sim.faults.inject(Fault(kind="ws_429", retry_after_s=1, duration_s=2))
    async with running_publisher(sim, nats_server) as publisher:
        assert publisher.chain is not None
        await wait_until(lambda: publisher.chain.status.state == "live")  # type: ignore[union-attr]
        assert sim.counters.connections_refused <= 4


async def test_a_provider_without_get_program_accounts_is_read_by_index(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    sim.faults.inject(Fault(kind="refuse_get_program_accounts"))
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: len(bus.markets("funding")) == len(sim.cluster.perp_markets))


async def test_a_dead_endpoint_is_one_clear_line(nats_server: LocalNatsServer) -> None:
    import asyncio

    settings = PublisherSettings(
        _env_file=None, rpc_url="http://127.0.0.1:9/?api-key=CANARY", nats_url=nats_server.url, start_timeout_s=1
    )
    with pytest.raises(RpcUnavailable) as caught:
        await Publisher(settings).run(asyncio.Event())
    assert "CANARY" not in str(caught.value)
    assert "http://127.0.0.1:9" in str(caught.value)


async def test_an_unknown_market_is_named_beside_those_that_exist(sim: Simulator, nats_server: LocalNatsServer) -> None:
    with pytest.raises(UnknownMarket, match=r"NOPE-PERP.*SOL-PERP|NOPE-PERP.*in all"):
        async with running_publisher(sim, nats_server, markets="SOL-PERP,NOPE-PERP"):
            pass


async def test_simulated_data_cannot_pose_as_mainnet(sim: Simulator, nats_server: LocalNatsServer) -> None:
    with pytest.raises(SettingsError, match="simulated"):
        async with running_publisher(sim, nats_server, cluster="mainnet-beta"):
            pass
