"""Presence means heard of: a lost notification is made up for, and nothing is confirmed that nobody told of lately."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import FundingEvent, MarketEvent
from drift_simulator import Fault, Simulator, SimulatorConfig
from drift_subscribers import DriftFeed
from tests.support.publishing import bus_reader, chain_of, running_publisher
from tests.support.wait import wait_until


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """One program: what is read again does not depend on it."""
    config = SimulatorConfig(updates_per_second=100.0, slot_interval_s=0.05, perp_markets=5, spot_markets=5)
    async with Simulator(config) as simulator:
        yield simulator


@pytest.mark.parametrize("source", ["websocket", "polling"])
async def test_a_lost_notification_is_made_up_for(
    sim: Simulator, nats_server: LocalNatsServer, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settlement, then the status of a market that rests: nothing tells of either."""
    monkeypatch.setattr("drift_publisher.heard._READ_AGAIN_S", 0.8)  # the real eight seconds are in the unit tests
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, source=source) as publisher:
        chain = chain_of(publisher)
        await wait_until(lambda: chain.status.is_alive and bus.last("funding", "SOL-PERP"))
        sim.pause_walk()
        market = sim.cluster.perp("SOL-PERP")
        sim.faults.inject(Fault(kind="lost_notification", pubkey=str(market.pubkey)))
        funding = bus.last("funding", "SOL-PERP")
        assert isinstance(funding, FundingEvent)

        sim.settle_funding("SOL-PERP")
        await wait_until(
            lambda: (
                isinstance(settled := bus.last("funding", "SOL-PERP"), FundingEvent)
                and settled.funding_rate_ts > funding.funding_rate_ts
            ),
            what="the settlement",
        )
        record = market.copy()
        record.choose("status", "ReduceOnly")
        sim.set_account(market.pubkey, bytes(record))
        await wait_until(
            lambda: isinstance(told := bus.last("market", "SOL-PERP"), MarketEvent) and told.status == "ReduceOnly",
            what="the status",
        )
        assert chain.status.reconnects == 0


@pytest.mark.usefixtures("impatient")
async def test_what_cannot_be_read_again_is_not_confirmed(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket lives and every account is quiet, but no request gets an answer: values run out, and it is said."""
    monkeypatch.setattr("drift_publisher.heard.CONFIRMED_S", 2.0)
    monkeypatch.setattr("drift_publisher.rereading._PATIENCE_S", 1.0)
    monkeypatch.setattr("drift_publisher.heard._READ_AGAIN_S", 1.0)
    monkeypatch.setattr("drift_publisher.standing.reassert_every_s", lambda _: 0.5)
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        chain = chain_of(publisher)
        await wait_until(lambda: chain.status.state == "live" and bus.reassertions["market.SOL-PERP"] is not None)
        sim.pause_walk()
        await wait_until(lambda: publisher.health.readiness().ready)
        sim.faults.inject(Fault(kind="http_429", retry_after_s=1))
        await wait_until(lambda: bus.status is not None and bus.status.accounts_overdue == len(chain._addresses()))
        assert bus.status is not None
        assert bus.status.source_state == "live"
        assert set(bus.status.stale_markets) == set(bus.status.markets)
        readiness = publisher.health.readiness()
        assert not readiness.ready
        assert readiness.markets["SOL-PERP"][0].reason == "account stale"
        assert "neither heard of nor read for" in readiness.markets["SOL-PERP"][0].detail
        said = {key: len(events) for key, events in bus.reassertions.items()}
        since = time.monotonic()
        await wait_until(lambda: time.monotonic() > since + 1.5, what="every price would have been confirmed")
        assert {key: len(events) for key, events in bus.reassertions.items()} == said
        sim.faults.clear()
        await wait_until(lambda: not chain.overdue(), what="it recovers by itself")
        await wait_until(lambda: len(bus.reassertions["price.SOL-PERP"]) > said.get("price.SOL-PERP", 0))


async def test_a_chain_at_rest_costs_few_requests_whatever_the_number_of_engines(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every account rests: one request for all of them in each round, a look at the node now and then, no more."""
    monkeypatch.setattr("drift_publisher.heard.CONFIRMED_S", 3.0)
    monkeypatch.setattr("drift_publisher.heard._READ_AGAIN_S", 1.0)
    monkeypatch.setattr("drift_publisher.heard._QUIET_S", 0.5)
    async with contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(running_publisher(sim, nats_server))
        chain = chain_of(publisher)
        await wait_until(lambda: chain.status.state == "live")
        sim.pause_walk()
        await wait_until(lambda: chain.status.reread >= len(chain._addresses()), what="all were read again")
        for engines in (1, 8):
            for _ in range(engines):
                await stack.enter_async_context(DriftFeed(nats_server.url))
            before, began = sim.counters.requests, time.monotonic()
            await wait_until(lambda: time.monotonic() > began + 1.5)  # noqa: B023
            assert chain.overdue() == []
            assert 1 <= sim.counters.requests - before <= 3, f"{engines} engines"
