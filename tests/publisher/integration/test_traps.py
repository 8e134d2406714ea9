"""The eleven ways in which driftpy fails silently, each set for us: the bus holds the right data, and only that.

A program that driftpy does not know is to fall into none of them either.
The numbers are those of the list "Where it fails silently".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from aiohttp import ClientSession, WSMsgType, web
from driftpy.drift_client import DriftClient

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher
from drift_schemas import FundingEvent, MarketEvent, PriceEvent
from drift_simulator import Fault, Simulator
from tests.publisher.integration.truth import Truth
from tests.publisher.unit.oracle_bytes import lazer
from tests.support.programs import drift_only, spot_beside, two_sources_on_one_oracle
from tests.support.publishing import BusReader, bus_reader, chain_of, drift_client, running_publisher
from tests.support.wait import wait_until


async def _becomes(publisher: Publisher, state: str, timeout_s: float = 45.0) -> None:
    status = chain_of(publisher).status
    await wait_until(lambda: status.state == state, timeout_s, f"the source is {state}")


def _price(bus: BusReader, market: str) -> PriceEvent | None:
    event = bus.last("price", market)
    return event if isinstance(event, PriceEvent) else None


# --- 1: a subscriber that dies of anything but ConnectionClosed, and does not read anew after a reconnect -------------


@pytest.mark.usefixtures("impatient")
async def test_trap_1_whatever_ends_a_socket_it_comes_back_with_what_was_missed(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """The chain is frozen but for one price that changes unseen: only a read after the reconnect can bring it."""
    truth = Truth(sim)
    async with (
        bus_reader(nats_server) as bus,
        running_publisher(sim, nats_server, slot_silence_s=1, poll_every_s=0.3) as publisher,
    ):
        await _becomes(publisher, "live")
        status = chain_of(publisher).status
        for price, fault in enumerate(
            (
                Fault(kind="garbage_ws", count=1),
                Fault(kind="close_after_messages", messages=1, count=1),
                Fault(kind="silent_stall", duration_s=1.5),
            ),
            start=987_654_321,
        ):
            await truth.arrives(bus)
            reads, reconnects = sim.counters.requests_by_method["getMultipleAccounts"], status.reconnects
            sim.faults.inject(fault)
            await wait_until(lambda: sim.faults.listing() == [] or fault.duration_s)  # noqa: B023
            sim.faults.inject(Fault(kind="silent_stall", method="accountSubscribe", duration_s=3))
            sim.faults.inject(Fault(kind="silent_stall", method="programSubscribe", duration_s=3))
            sim.set_oracle_price("SOL-PERP", price)
            await wait_until(lambda: status.reconnects > reconnects, what=f"{fault.kind}: the loss is noticed")  # noqa: B023
            await _becomes(publisher, "live")
            await truth.arrives(bus)
            sol = _price(bus, "SOL-PERP")
            assert sol is not None
            assert sol.oracle_price == price, f"{fault.kind}: what was missed"
            assert sim.counters.requests_by_method["getMultipleAccounts"] > reads, f"{fault.kind}: it was read"
            await wait_until(lambda: sim.counters.sockets_open == 1, what=f"{fault.kind}: one socket")
            sim.faults.clear()


# --- 2: confirmations matched first in, first out, and kept over a reconnect ------------------------------------------


async def test_trap_2_no_price_lands_under_another_market_whatever_the_order_of_confirmations(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    sim.faults.inject(Fault(kind="reorder_confirmations", messages=7))
    sim.faults.inject(Fault(kind="close_after_messages", messages=12, count=2))
    truth = Truth(sim)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await wait_until(lambda: chain_of(publisher).status.reconnects >= 2, what="two sockets are lost half-way")
        await _becomes(publisher, "live")
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 5)
        await truth.arrives(bus)


# --- 3: two sources on one oracle account -----------------------------------------------------------------------------


async def test_trap_3_two_sources_on_one_account_have_both_their_data(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    million, one = two_sources_on_one_oracle(sim.cluster)
    truth = Truth(sim)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await _becomes(publisher, "live")
        sim.set_oracle_price(million.name, 31_415_926)
        await truth.arrives(bus)
        assert truth.now()[million.name] == pytest.approx(31_415_926, abs=1000)
        accounts = chain_of(publisher).client.account_subscriber
        told = accounts.get_oracle_price_data_and_slot_for_perp_market(million.index)
        assert told.data.price == truth.now()[million.name]
        assert accounts.get_oracle_price_data_and_slot_for_spot_market(one.index).data.price == truth.now()[one.name]


# --- 4: a missing account shifts all that follow it -------------------------------------------------------------------


@pytest.mark.parametrize("source", ["websocket", "polling"])
async def test_trap_4_a_missing_account_in_the_middle_shifts_nothing(
    sim: Simulator, nats_server: LocalNatsServer, source: str
) -> None:
    eth, btc = sim.cluster.perp("ETH-PERP"), sim.cluster.market("wBTC")
    for market in (eth, btc):
        sim.faults.inject(Fault(kind="missing_account", pubkey=str(market.oracle)))
    without = tuple(market.name for market in sim.cluster.markets if market.oracle in (eth.oracle, btc.oracle))
    truth = Truth(sim)
    async with (
        bus_reader(nats_server) as bus,
        running_publisher(sim, nats_server, source=source, poll_every_s=0.2, rpc_rate_per_s=50) as publisher,
    ):
        await _becomes(publisher, "polling" if source == "polling" else "live")
        await truth.arrives(bus, without=without)
        for name in without:
            await wait_until(partial(_price, bus, name))
            price = _price(bus, name)
            assert price is not None
            assert (price.oracle_price, price.oracle_is_valid) == (None, False)


# --- 5: one slot for all accounts drops valid updates, and staleness is never noticed ---------------------------------


async def test_trap_5_an_account_is_as_new_as_its_own_slot_whatever_the_others_have(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """BTC's oracle is told five slots ahead of the others; theirs still count, and its own past does not."""
    truth = Truth(sim)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await _becomes(publisher, "live")
        await truth.arrives(bus)
        refused = chain_of(publisher).store.refused
        sim.cluster.slot += 5
        sim.set_oracle_price("BTC-PERP", 70_000_000_000)
        sim.cluster.slot -= 5
        sim.set_oracle_price("SOL-PERP", 123_000_000)
        await wait_until(lambda: (price := _price(bus, "SOL-PERP")) and price.oracle_price == 123_000_000)
        assert refused["slot went backwards"] == 0
        sim.set_oracle_price("BTC-PERP", 60_000_000_000)
        await wait_until(lambda: refused["slot went backwards"] > 0)
        told = _price(bus, "BTC-PERP")
        assert told is not None
        assert told.oracle_price == 70_000_000_000


async def test_trap_5_silence_is_noticed_and_nothing_counts_as_live_meanwhile(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    truth = Truth(sim)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, slot_silence_s=1) as publisher:
        await _becomes(publisher, "live")
        status = chain_of(publisher).status
        sim.faults.inject(Fault(kind="silent_stall", count=10_000))
        await wait_until(lambda: not status.is_alive)
        sim.faults.clear()
        await _becomes(publisher, "live")
        await truth.arrives(bus)


# --- 6: a polling loop that ends at the first error -------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
async def test_trap_6_polling_outlives_every_error(sim: Simulator, nats_server: LocalNatsServer) -> None:
    truth = Truth(sim)
    settings = {"source": "polling", "poll_every_s": 0.2, "rpc_rate_per_s": 50, "slot_silence_s": 0.8}
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, **settings) as publisher:
        await _becomes(publisher, "polling")
        status = chain_of(publisher).status
        for price, (name, fault) in enumerate(
            {
                "refused": Fault(kind="jsonrpc_error", code=-32602, message="not today", duration_s=1.5),
                "unhealthy": Fault(kind="jsonrpc_error", duration_s=1.5),
                "HTML with 429": Fault(kind="http_html_429", retry_after_s=1, duration_s=1.5),
            }.items(),
            start=55_000_000,
        ):
            sim.faults.inject(fault)
            await wait_until(lambda: not status.is_alive, what=f"{name}: nothing counts as alive meanwhile")
            await wait_until(lambda: status.is_alive, what=f"{name}: it goes on")
            sim.set_oracle_price("SOL-PERP", price)
            await truth.arrives(bus)
            assert status.reason == "", name


# --- 7: a missing market is a KeyError, a ValueError or None ----------------------------------------------------------


@drift_only("a client of driftpy's")
@pytest.mark.parametrize("source", ["websocket", "polling"])
async def test_trap_7_a_missing_market_is_none_in_every_mode(
    sim: Simulator, nats_server: LocalNatsServer, source: str
) -> None:
    async with running_publisher(sim, nats_server, source=source) as publisher:
        client = drift_client(publisher)
        assert client.get_perp_market_account(4000) is None
        assert client.get_spot_market_account(4000) is None
        assert client.get_oracle_price_data_for_perp_market(4000) is None
        assert client.get_oracle_price_data_for_spot_market(4000) is None
        assert client.get_perp_market_account(0) is not None


# --- 8: the WebSocket at port + 1, and bodies that lie about their encoding -------------------------------------------


@dataclass
class Gateway:
    """A provider's front: HTTP under one path, WebSockets under another one, each on its own port."""

    sim: Simulator
    http_headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ws_paths: list[str] = field(default_factory=list)
    http_url: str = ""
    ws_url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        async with ClientSession() as self._session:
            http, sockets = web.Application(), web.Application()
            http.router.add_post("/rpc/v1", self._post)
            sockets.router.add_get("/stream/v2", self._bridge)
            runners = [web.AppRunner(app, access_log=None, shutdown_timeout=0.1) for app in (http, sockets)]
            ports = []
            for runner in runners:
                await runner.setup()
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                ports.append(runner.addresses[0][1])
            self.http_url = f"http://127.0.0.1:{ports[0]}/rpc/v1?api-key=abcdefgh12"
            self.ws_url = f"ws://127.0.0.1:{ports[1]}/stream/v2?api-key=abcdefgh12"
            try:
                yield self
            finally:
                for runner in runners:
                    await runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.http_headers.append({name.lower(): text for name, text in request.headers.items()})
        self.bodies.append(body)
        async with self._session.post(self.sim.http_url, data=body) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def _bridge(self, request: web.Request) -> web.WebSocketResponse:
        self.ws_paths.append(request.path_qs)
        front = web.WebSocketResponse()
        await front.prepare(request)
        async with self._session.ws_connect(self.sim.ws_url) as back:

            async def down() -> None:
                async for message in back:
                    if message.type == WSMsgType.TEXT:
                        await front.send_str(message.data)

            downwards = asyncio.create_task(down(), name="gateway")
            async for message in front:
                await back.send_str(message.data)
            downwards.cancel()
            await asyncio.gather(downwards, return_exceptions=True)
        return front


async def test_trap_8_the_websocket_has_its_own_port_and_path_and_bodies_are_what_they_say(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    truth = Truth(sim)
    async with Gateway(sim).serving() as gateway, bus_reader(nats_server) as bus:
        urls = {"rpc_url": gateway.http_url, "ws_url": gateway.ws_url}
        async with running_publisher(sim, nats_server, **urls) as publisher:
            await _becomes(publisher, "live")
            await truth.arrives(bus)
            client = chain_of(publisher).client
            if isinstance(client, DriftClient):
                await client.connection.get_slot()
        assert gateway.ws_paths == ["/stream/v2?api-key=abcdefgh12"]
        assert sim.counters.sockets_total == 1
        for headers, body in zip(gateway.http_headers, gateway.bodies, strict=True):
            assert "content-encoding" not in headers
            assert headers["content-type"] == "application/json"
            assert body.startswith(b"{"), "plain JSON"


# --- 9: unknown enum numbers, and errors without data -----------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
async def test_trap_9_a_refused_subscription_without_data_is_asked_for_again(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """At the start and on the way, each method once: the refusal costs no socket."""
    truth, losses = Truth(sim), 0
    _refuse_once(sim, "slotSubscribe")
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        status = chain_of(publisher).status
        for method in ("programSubscribe", "accountSubscribe"):
            await _becomes(publisher, "live")
            _refuse_once(sim, method)
            sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
            losses += 1  # the close
            await wait_until(lambda: status.reconnects == losses, what=f"{method}: the socket is closed")  # noqa: B023
            await wait_until(lambda: not sim.faults.listing(), what=f"{method}: it is refused")
        await _becomes(publisher, "live")
        await truth.arrives(bus)
        assert status.reconnects == losses
        assert sim.counters.sockets_open == 1


def _refuse_once(sim: Simulator, method: str) -> None:
    sim.faults.inject(Fault(kind="jsonrpc_error", method=method, count=1, message="Too many subscriptions"))


async def test_trap_9_an_unknown_enum_number_keeps_nobody_from_starting(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """Its name says that it is unknown; an oracle that nobody knows how to read has no price."""
    names = {"SOL-PERP": "status", "BTC-PERP": "contract_tier", "ETH-PERP": "oracle_source"}
    for name, enum in names.items():
        address = str(sim.cluster.perp(name).pubkey)
        sim.faults.inject(Fault(kind="unknown_enum", pubkey=address, field=enum, value=200))
    truth = Truth(sim)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await truth.arrives(bus, without=("ETH-PERP",))
        for name, enum in names.items():
            await wait_until(lambda: bus.last("market", name) and _price(bus, name))  # noqa: B023
            market, price = bus.last("market", name), _price(bus, name)
            assert isinstance(market, MarketEvent)
            assert price is not None
            assert getattr(market, enum) == "Unknown(200)", name
            assert (price.oracle_price is None) == (enum == "oracle_source"), name


# --- 10: Lazer prices through floats, and a TWAP that is just the price -----------------------------------------------


async def test_trap_10_a_lazer_price_is_exact_to_the_last_digit(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """2**53 + 1 is the first integer that a float cannot hold."""
    exact = 2**53 + 1
    assert int(float(exact)) != exact
    sol = sim.cluster.perp("SOL-PERP")
    assert spot_beside(sim.cluster, "SOL-PERP").name == "SOL"
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: _price(bus, "SOL-PERP") and _price(bus, "SOL"))
        sim.set_account(sol.oracle, lazer(exact, 2**53 + 3, exponent=-6, slot=sim.slot))
        for name in ("SOL-PERP", "SOL"):
            await wait_until(lambda: (price := _price(bus, name)) and price.oracle_price == exact)  # noqa: B023
            price = _price(bus, name)
            assert price is not None
            assert price.oracle_confidence == 2**53 + 3
            assert price.oracle_twap != exact, "the market's own average, not the price again"
        sim.set_account(sol.oracle, lazer(123_456_789_012_345_678, 1, exponent=-11, slot=sim.slot))
        await wait_until(lambda: (price := _price(bus, "SOL-PERP")) and price.oracle_price == 1_234_567_890_123)


# --- 11: the side that receives funding -------------------------------------------------------------------------------


async def test_trap_11_who_receives_funding_gets_what_the_payers_pay(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """With an empty fee pool: where the AMM would have to pay, the receiving side shares what comes in.

    Each market is another case.
    """
    cases = {
        "shorts receive and are more": (103, 40, 100),
        "longs receive and are more": (97, 100, 40),
        "longs pay and are more": (103, 100, 40),
        "shorts pay and are more": (97, 40, 100),
    }
    sim.pause_walk()
    markets = [market.name for market in sim.cluster.perp_markets[: len(cases)]]
    for name, (mark, longs, shorts) in zip(markets, cases.values(), strict=True):
        _set_funding_case(sim, name, mark, longs, shorts)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        for name, (case, (mark, longs, shorts)) in zip(markets, cases.items(), strict=True):
            await wait_until(partial(bus.last, "funding", name))
            funding = bus.last("funding", name)
            assert isinstance(funding, FundingEvent)
            long, short = funding.estimated_funding_rate_long, funding.estimated_funding_rate_short
            assert long is not None
            assert short is not None
            assert (long > 0, short > 0) == (mark > 100, mark > 100), case
            payers, receivers = (longs, shorts) if mark > 100 else (shorts, longs)
            paid, received = (long, short) if mark > 100 else (short, long)
            expected = paid if payers >= receivers else paid * payers // receivers
            assert received == pytest.approx(expected, rel=1e-6), case


def _set_funding_case(sim: Simulator, name: str, mark: int, longs: int, shorts: int) -> None:
    """An oracle at 100, a mark at ``mark``, and so many thousands of base on either side."""
    base, market = 10**9 * 1000, sim.cluster.perp(name)
    sim.set_oracle_price(name, 100_000_000)
    record = market.copy()
    record["base_asset_amount_long"] = longs * base
    record["base_asset_amount_short"] = -shorts * base
    record["base_asset_amount_with_amm"] = (longs - shorts) * base
    record["total_fee_minus_distributions"] = 0
    for average in ("last_mark_price_twap", "last_bid_price_twap", "last_ask_price_twap"):
        record[average] = mark * 1_000_000
    record["historical_oracle_data.last_oracle_price_twap"] = 100_000_000
    sim.set_account(market.pubkey, bytes(record))
