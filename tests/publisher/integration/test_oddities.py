"""One odd account is reported once and counted; the others keep flowing; nothing invented reaches the bus."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import FundingEvent, MarketEvent, PriceEvent
from drift_simulator import Fault, Simulator
from tests.support.programs import drift_only, two_sources_on_one_oracle
from tests.support.publishing import BusReader, bus_reader, chain_of, drift_client, running_publisher
from tests.support.wait import wait_until


def _fresh_price(bus: BusReader, market: str, than: int) -> bool:
    return len(bus.changes[f"price.{market}"]) > than


async def _others_flow(bus: BusReader, market: str = "BTC-PERP") -> None:
    seen = len(bus.changes[f"price.{market}"])
    await wait_until(lambda: _fresh_price(bus, market, seen + 2), what=f"{market} keeps flowing")


async def test_a_missing_oracle_gives_none_and_no_validity(
    sim: Simulator, nats_server: LocalNatsServer, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the AMM follows the oracle, as Drift's does, there is no quote either; Velocity's stands in the market."""
    sol = sim.cluster.perp("SOL-PERP")
    sim.faults.inject(Fault(kind="missing_account", pubkey=str(sol.oracle)))
    with caplog.at_level(logging.WARNING):
        async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
            await wait_until(lambda: bus.last("price", "SOL-PERP"))
            price, funding = bus.last("price", "SOL-PERP"), bus.last("funding", "SOL-PERP")
            assert isinstance(price, PriceEvent)
            assert isinstance(funding, FundingEvent)
            assert (price.oracle_price, price.oracle_is_valid) == (None, False)
            assert (price.mark_price is None) == (program == "drift-v2")
            assert funding.estimated_funding_rate_long is None
            await _others_flow(bus)
            assert publisher.chain is not None
            assert publisher.chain.store.refused["oracle missing"] > 0
            await wait_until(lambda: bus.status is not None and "SOL-PERP" in bus.status.stale_markets)
            sim.faults.clear()
            await wait_until(lambda: getattr(bus.last("price", "SOL-PERP"), "oracle_price", None))
    reports = [r for r in caplog.records if "oracle missing" in r.getMessage() and str(sol.oracle) in r.getMessage()]
    assert len(reports) == 1


async def test_an_unknown_enum_number_is_named_not_a_crash(sim: Simulator, nats_server: LocalNatsServer) -> None:
    sol = sim.cluster.perp("SOL-PERP")
    sim.faults.inject(Fault(kind="unknown_enum", pubkey=str(sol.pubkey), field="status", value=200))
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.last("market", "SOL-PERP"))
        market = bus.last("market", "SOL-PERP")
        assert isinstance(market, MarketEvent)
        assert market.status == "Unknown(200)"
        await _others_flow(bus)


@drift_only("a client of driftpy's, which has a name for each number or crashes")
async def test_driftpys_client_has_no_market_with_an_unknown_enum_number(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    sol = sim.cluster.perp("SOL-PERP")
    sim.faults.inject(Fault(kind="unknown_enum", pubkey=str(sol.pubkey), field="status", value=200))
    async with running_publisher(sim, nats_server) as publisher:
        client = drift_client(publisher)
        assert client.get_perp_market_account(0) is None
        assert client.get_perp_market_account(1) is not None


ODD = ("short_account", "garbage_account", "wrong_layout")


async def test_a_refused_market_is_counted_reported_once_and_no_longer_confirmed(
    sim: Simulator, nats_server: LocalNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One market for each way to be odd: what was reported once is not reported again."""
    markets = dict(zip(ODD, sim.cluster.perp_markets, strict=False))
    with caplog.at_level(logging.WARNING):
        async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
            store = chain_of(publisher).store
            subscriber = chain_of(publisher).client.account_subscriber
            for kind, market in markets.items():
                address, refused = str(market.pubkey), store.refused.total()
                await wait_until(partial(bus.last, "price", market.name))
                sim.faults.inject(Fault(kind=kind, pubkey=address))

                async def is_refused(address: str = address) -> bool:
                    await subscriber.fetch()
                    return store.is_doubtful(address)

                await wait_until(is_refused, what=f"{kind}: it is refused", every_s=0.2)
                await _others_flow(bus, "SOL-PERP" if market.name == "BTC-PERP" else "BTC-PERP")
                assert store.perp_markets[market.index].name == market.name, kind
                sim.faults.clear()
                await wait_until(
                    lambda: not store.is_doubtful(address),  # noqa: B023
                    what=f"{kind}: the account is good again",
                )
                assert store.refused.total() > refused, kind
    for kind, market in markets.items():
        said = [record.getMessage() for record in caplog.records]
        messages = [message for message in said if f"account {market.pubkey}" in message]
        assert messages, kind
        assert len({message.split("refused, ")[1].split(":")[0] for message in messages}) == len(messages), kind


async def test_a_refused_oracle_gives_no_price(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node does not tell of an account that no longer begins as its subscription wants: reading again finds it."""
    monkeypatch.setattr("drift_publisher.heard._READ_AGAIN_S", 0.8)  # the real eight seconds are in the unit tests
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        for kind in ODD:
            await wait_until(
                lambda: getattr(bus.last("price", "SOL-PERP"), "oracle_price", None), what=f"{kind}: a price before"
            )
            sim.faults.inject(Fault(kind=kind, pubkey=str(sim.cluster.perp("SOL-PERP").oracle)))
            await wait_until(
                lambda: getattr(bus.last("price", "SOL-PERP"), "oracle_price", 0) is None, what=f"{kind}: no price"
            )
            await _others_flow(bus)
            sim.faults.clear()
        await wait_until(lambda: getattr(bus.last("price", "SOL-PERP"), "oracle_price", None))


async def test_a_market_in_settlement_and_a_paused_one_say_so(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """Drift can also pause funding by a status."""
    paused = {"Settlement", "FundingPaused"} & set(sim.cluster.program.idl.variants("MarketStatus"))
    for status in paused:
        sim.cluster.add_perp_market(f"{status}-PERP", price=1.0, status=status)
    sim.cluster.add_perp_market("PAUSED-PERP", price=1.0, paused_operations=1)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: len(bus.markets("funding")) == len(sim.cluster.perp_markets))
        for status in paused:
            await wait_until(partial(bus.last, "market", f"{status}-PERP"))
            assert getattr(bus.last("market", f"{status}-PERP"), "status", "") == status
        fundings = [bus.last("funding", market.name) for market in sim.cluster.perp_markets]
        assert {event.market for event in fundings if isinstance(event, FundingEvent) and event.is_paused} == {
            "PAUSED-PERP", *(f"{status}-PERP" for status in paused)
        }  # fmt: skip


async def test_two_sources_on_one_oracle_keep_their_own_prices(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """A market of a million tokens and one of a single token read the same account."""
    perp, spot = two_sources_on_one_oracle(sim.cluster)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.last("price", perp.name) and bus.last("price", spot.name))
        million, one = bus.last("price", perp.name), bus.last("price", spot.name)
        assert isinstance(million, PriceEvent)
        assert isinstance(one, PriceEvent)
        assert million.oracle_price is not None
        assert one.oracle_price is not None
        assert million.oracle_price > 100_000 * max(1, one.oracle_price) // 2


async def test_a_new_market_and_a_changed_oracle_are_picked_up_while_running(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await wait_until(lambda: bus.last("price", "SOL-PERP"))
        btc = sim.cluster.perp("BTC-PERP")
        sim.cluster.change_oracle("SOL-PERP", btc.oracle, btc.oracle_source)
        assert publisher.chain is not None
        store = publisher.chain.store
        await wait_until(lambda: store.perp_markets[0].oracle == str(btc.oracle))

        def follows_btc() -> bool:
            price = bus.last("price", "SOL-PERP")
            return isinstance(price, PriceEvent) and (price.oracle_price or 0) > 10_000_000_000

        await wait_until(follows_btc)


async def test_slots_that_go_backwards_are_refused(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        await wait_until(lambda: bus.last("price", "SOL-PERP"))
        sim.faults.inject(Fault(kind="slot_backwards", slots=50))
        assert publisher.chain is not None
        store = publisher.chain.store
        await wait_until(lambda: store.refused["slot went backwards"] > 0)
        sim.faults.clear()
        await _others_flow(bus, "SOL-PERP")
    for events in bus.changes.values():
        slots = [event.slot for event in events]
        assert slots == sorted(slots)
