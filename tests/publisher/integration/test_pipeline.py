"""The main job: what stands on the chain stands on the bus, integer for integer."""

from __future__ import annotations

from functools import partial

import pytest
from solders.pubkey import Pubkey

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, FundingEvent, MarketEvent, PriceEvent, SpotMarketEvent
from drift_simulator import Simulator
from drift_simulator.layout import Record
from tests.support.connecting import nats_client
from tests.support.programs import drift_only
from tests.support.publishing import BusReader, bus_reader, chain_of, drift_client, keys_of, running_publisher
from tests.support.wait import wait_until


async def test_every_market_arrives_with_every_kind(
    whole_sim: Simulator, nats_server: LocalNatsServer, program: str
) -> None:
    sim = whole_sim
    perps = {market.name for market in sim.cluster.perp_markets}
    spots = {market.name for market in sim.cluster.spot_markets}
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.markets("price") == perps | spots)
        await wait_until(lambda: bus.markets("funding") == perps and bus.markets("market") == perps)
        await wait_until(lambda: bus.markets("spot") == spots)
        event = bus.last("price", "SOL-PERP")
        assert event is not None
        assert (event.cluster, event.program, event.epoch) == ("simulated", program, 1)
        await wait_until(lambda: bus.status is not None and bus.status.source_state == "live")


async def test_buckets_hold_the_same_markets(sim: Simulator, nats_server: LocalNatsServer) -> None:
    perps = {market.name for market in sim.cluster.perp_markets}
    spots = {market.name for market in sim.cluster.spot_markets}
    expected = {"funding": perps, "market": perps, "price": perps | spots, "spot": spots}
    async with nats_client(nats_server.url) as client, running_publisher(sim, nats_server):
        for kind in KINDS:

            async def filled(kind: str = kind) -> bool:
                return await keys_of(client, kind) == expected[kind]  # type: ignore[arg-type]

            await wait_until(filled, what=f"bucket {kind}")


async def test_published_integers_are_the_chains_own(whole_sim: Simulator, nats_server: LocalNatsServer) -> None:
    """Freeze the chain, then compare every event with the simulator's own record of the same bytes."""
    sim = whole_sim
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await wait_until(lambda: bus.markets("price"))
        sim.pause_walk()
        assert publisher.chain is not None
        store = publisher.chain.store

        def has_the_chains_bytes(address: Pubkey) -> bool:
            version = store.version(str(address))
            return version is not None and version.data == sim.account(address)

        for perp in sim.cluster.perp_markets:
            await wait_until(partial(has_the_chains_bytes, perp.pubkey), what=f"{perp.name} is in the store")
            await wait_until(partial(_perp_agrees, bus, perp.name, perp.record), what=f"{perp.name} agrees")
        for spot in sim.cluster.spot_markets:
            await wait_until(partial(has_the_chains_bytes, spot.pubkey), what=f"{spot.name} is in the store")
            await wait_until(partial(_spot_agrees, bus, spot.name, spot.record), what=f"{spot.name} agrees")


def _perp_agrees(bus: BusReader, name: str, full: Record) -> bool:
    funding, market, price = (bus.last(kind, name) for kind in ("funding", "market", "price"))
    if not (isinstance(funding, FundingEvent) and isinstance(market, MarketEvent) and isinstance(price, PriceEvent)):
        return False
    oracle_twap, oracle_twap_5min = (full[f"historical_oracle_data.last_oracle_price_twap{of}"] for of in ("", "5min"))
    return (
        (funding.funding_rate, funding.funding_rate_long, funding.funding_rate_short)
        == (full["last_funding_rate"], full["last_funding_rate_long"], full["last_funding_rate_short"])
        and (funding.cumulative_funding_rate_long, funding.cumulative_funding_rate_short)
        == (full["cumulative_funding_rate_long"], full["cumulative_funding_rate_short"])
        and (funding.funding_rate_ts, funding.funding_period) == (full["last_funding_rate_ts"], full["funding_period"])
        and (funding.mark_twap, funding.oracle_twap) == (full["last_mark_price_twap"], oracle_twap)
        and (market.open_interest_long, -market.open_interest_short)
        == (full["base_asset_amount_long"], full["base_asset_amount_short"])
        and (market.volume_24h, market.max_open_interest) == (full["volume24h"], full["max_open_interest"])
        and market.number_of_users == full["number_of_users"]
        and (price.mark_twap, price.mark_twap_5min) == (full["last_mark_price_twap"], full["last_mark_price_twap5min"])
        and (price.oracle_twap, price.oracle_twap_5min) == (oracle_twap, oracle_twap_5min)
    )


def _spot_agrees(bus: BusReader, name: str, full: Record) -> bool:
    spot, price = bus.last("spot", name), bus.last("price", name)
    if not (isinstance(spot, SpotMarketEvent) and isinstance(price, PriceEvent)):
        return False
    return (
        (spot.deposit_balance, spot.borrow_balance) == (full["deposit_balance"], full["borrow_balance"])
        and spot.cumulative_deposit_interest == full["cumulative_deposit_interest"]
        and spot.cumulative_borrow_interest == full["cumulative_borrow_interest"]
        and (spot.mint, spot.decimals) == (str(Pubkey.from_bytes(full.raw("mint"))), full["decimals"])
        and price.mark_price is None
        and price.oracle_price is not None
    )


async def test_the_client_answers_from_the_store(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """All getters work, what is missing is None, and nothing of it costs a request."""
    async with running_publisher(sim, nats_server) as publisher:
        chain = chain_of(publisher)
        accounts = chain.client.account_subscriber
        await wait_until(lambda: chain.status.state == "live")
        requests = sim.counters.requests
        assert accounts.is_subscribed()
        assert accounts.get_perp_market_and_slot(0).data.market_index == 0
        assert accounts.get_spot_market_and_slot(1).data.market_index == 1
        assert accounts.get_state_account_and_slot().data.number_of_markets == len(sim.cluster.perp_markets)
        assert accounts.get_oracle_price_data_and_slot_for_perp_market(0).data.price > 0
        assert accounts.get_oracle_price_data_and_slot_for_spot_market(1).data.price > 0
        assert accounts.get_perp_market_and_slot(9999) is None
        assert accounts.get_oracle_price_data_and_slot_for_perp_market(9999) is None
        assert len(accounts.get_market_accounts_and_slots()) == len(sim.cluster.perp_markets)
        assert len(accounts.get_spot_market_accounts_and_slots()) == len(sim.cluster.spot_markets)
        assert sim.counters.requests == requests


@drift_only("a Python SDK, whose client this is")
async def test_the_drift_client_answers_from_the_store(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with running_publisher(sim, nats_server) as publisher:
        client = drift_client(publisher)
        await wait_until(lambda: chain_of(publisher).status.state == "live")
        requests = sim.counters.requests
        assert client.get_perp_market_account(0).market_index == 0
        assert client.get_spot_market_account(1).market_index == 1
        assert client.get_quote_spot_market_account().market_index == 0
        assert client.get_state_account().number_of_markets == len(sim.cluster.perp_markets)
        assert client.get_oracle_price_data_for_perp_market(0).price > 0
        assert client.get_oracle_price_data_for_spot_market(1).price > 0
        assert client.get_perp_market_account(9999) is None
        assert client.get_oracle_price_data_for_perp_market(9999) is None
        assert len(client.account_subscriber.get_market_accounts_and_slots()) == len(sim.cluster.perp_markets)
        assert sim.counters.requests == requests


async def test_one_socket_and_no_request_in_steady_state(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        assert publisher.chain is not None
        await wait_until(lambda: publisher.chain.status.state == "live")  # type: ignore[union-attr]
        requests = sim.counters.requests
        seen = len(bus.changes["price.SOL-PERP"])
        await wait_until(lambda: len(bus.changes["price.SOL-PERP"]) > seen + 3)
        assert sim.counters.requests == requests
        assert (sim.counters.sockets_total, sim.counters.sockets_open) == (1, 1)
        wanted = publisher.chain.subscriptions()
        assert sim.counters.subscriptions_open.total() == 1 + len(wanted.programs) + len(wanted.accounts)


async def test_a_market_list_publishes_only_those(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, markets="SOL-PERP, wBTC"):
        await wait_until(lambda: bus.markets("price") == {"SOL-PERP", "wBTC"})
        assert bus.markets("funding") == {"SOL-PERP"}
        assert bus.markets("spot") == {"wBTC"}
        assert sim.counters.subscriptions_open["programSubscribe"] == 0


async def test_two_prefixes_share_one_server(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with (
        bus_reader(nats_server, "sim") as bus,
        bus_reader(nats_server) as main_bus,
        running_publisher(sim, nats_server, subject_prefix="sim"),
    ):
        await wait_until(lambda: "SOL-PERP" in bus.markets("funding"))
        assert not main_bus.changes


@pytest.mark.parametrize("kind", ["funding", "price"])
async def test_funding_settles_on_the_bus(sim: Simulator, nats_server: LocalNatsServer, kind: str) -> None:
    """A settlement on the chain is an event on the bus, with the chain's own numbers."""
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.last("funding", "SOL-PERP"))
        before = bus.last("funding", "SOL-PERP")
        sim.settle_funding("SOL-PERP")
        settled_rate = sim.cluster.perp("SOL-PERP").record["cumulative_funding_rate_long"]

        def settled() -> bool:
            event = bus.last("funding", "SOL-PERP")
            return (
                isinstance(event, FundingEvent)
                and isinstance(before, FundingEvent)
                and event.cumulative_funding_rate_long == settled_rate
            )

        await wait_until(settled)
        assert bus.last(kind, "SOL-PERP") is not None  # type: ignore[arg-type]
