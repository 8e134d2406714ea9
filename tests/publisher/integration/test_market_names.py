"""Two markets of one name: the live one has it, the other goes by its index, and names move without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import MarketDataEvent, MarketEvent
from drift_simulator import PerpMarket, Simulator, SpotMarket
from drift_subscribers import DriftFeed, Lossless
from tests.support.publishing import chain_of, running_publisher
from tests.support.wait import wait_until

SOL = "SOL-PERP"


def has(feed: DriftFeed, name: str, market: PerpMarket | SpotMarket) -> Callable[[], bool]:
    """The name is this market's in each kind that the feed knows of it."""

    def told() -> bool:
        events: list[MarketDataEvent | None] = [feed.price(name)]
        events += [feed.funding(name), feed.market(name)] if market.market_type == "perp" else [feed.spot(name)]
        return all(
            event is not None and (event.market_index, event.market_type) == (market.index, market.market_type)
            for event in events
        )

    return told


async def test_the_live_market_has_the_name_and_names_move_without_a_restart(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    cluster = sim.cluster
    old = cluster.perp(SOL)
    cluster.administer(old, status="Delisted")
    new = cluster.add_perp_market(SOL, price=150.0)
    by_index = {market.index: f"{SOL}_p{market.index}" for market in (old, new)}
    told: list[MarketDataEvent] = []

    async def listen(feed: DriftFeed) -> None:
        async for event in feed.stream("market", SOL, policy=Lossless(), current=True):
            told.append(event)

    async with running_publisher(sim, nats_server) as publisher, DriftFeed(nats_server.url) as feed:
        listener = asyncio.create_task(listen(feed), name="listener")
        store = chain_of(publisher).store
        await wait_until(has(feed, SOL, new), what="the live one has the name")
        await wait_until(has(feed, by_index[old.index], old), what="the dead one goes by its index")
        dead = feed.market(by_index[old.index])
        assert isinstance(dead, MarketEvent)
        assert (dead.symbol, dead.status) == (SOL, "Delisted")
        await wait_until(lambda: publisher.health.readiness().ready, what="ready")
        assert store.refused["name"] == 0

        # Relisted and delisted: the two change places, and nothing of the one that left follows under the name.
        cluster.administer(new, status="Delisted")
        cluster.administer(old, status="Active")
        await wait_until(has(feed, SOL, old), what="the relisted one has the name")
        await wait_until(has(feed, by_index[new.index], new), what="the other goes by its index")

        # Renamed: its old name is for the one that waits for it.
        cluster.administer(old, name="SOL-OLD")
        await wait_until(has(feed, "SOL-OLD", old), what="the renamed one has its new name")
        await wait_until(has(feed, SOL, new), what="the name is free for the other")
        cluster.administer(new, status="Active")

        # Two live ones of one name: neither has it, and everybody is told.
        cluster.administer(old, name=SOL)
        await wait_until(lambda: store.names.clashes, what="the publisher has seen it")
        readiness = publisher.health.readiness()
        assert not readiness.ready
        assert [fault.reason for fault in readiness.reasons] == ["name clash"]
        assert store.refused["name"] == 2
        await wait_until(lambda: (beat := feed.status()) is not None and beat.refused_names == (SOL,), what="status")
        for market in (old, new):
            await wait_until(has(feed, by_index[market.index], market), what="each goes by its index")
        cluster.administer(new, status="Delisted")
        await wait_until(has(feed, SOL, old), what="the name is its own again")
        await wait_until(lambda: publisher.health.readiness().ready, what="ready")
        listener.cancel()

    holders = [event.market_index for event in told]
    turns = [index for index, after in pairwise([*holders, None]) if index != after]
    assert turns == [new.index, old.index, new.index, old.index]  # in order, and nobody speaks out of turn


async def test_spot_markets_too(sim: Simulator, nats_server: LocalNatsServer) -> None:
    cluster = sim.cluster
    old, new = cluster.spot_markets[1], cluster.add_spot_market(cluster.spot_markets[1].name, price=150.0)
    cluster.administer(old, status="Delisted")
    async with running_publisher(sim, nats_server), DriftFeed(nats_server.url) as feed:
        await wait_until(has(feed, old.name, new))
        await wait_until(has(feed, f"{old.name}_s{old.index}", old))
        cluster.administer(new, name="OTHER")
        await wait_until(has(feed, "OTHER", new))
        await wait_until(has(feed, old.name, old), what="the dead one has its name back")


async def test_markets_are_chosen_by_name_and_by_index(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A market that takes a chosen name while the publisher runs is found, though nothing was subscribed of it."""
    monkeypatch.setattr("drift_publisher.chain._LISTINGS_EVERY_S", 1.0)
    cluster = sim.cluster
    old, second = cluster.perp(SOL), cluster.perp_markets[1]
    async with (
        running_publisher(sim, nats_server, markets=(SOL, f"perp:{second.index}")) as publisher,
        DriftFeed(nats_server.url) as feed,
    ):
        await wait_until(has(feed, SOL, old))
        await wait_until(has(feed, second.name, second))
        assert set(chain_of(publisher).store.market_names()) == {SOL, second.name}
        cluster.administer(old, status="Delisted")
        new = cluster.add_perp_market(SOL, price=150.0)
        await wait_until(has(feed, SOL, new), what="the new one is found and has the name")
        await wait_until(has(feed, f"{SOL}_p{old.index}", old))
        cluster.administer(second, name="ANOTHER-PERP")
        await wait_until(has(feed, "ANOTHER-PERP", second), what="it was chosen by its index")
        cluster.administer(new, name="UNWANTED-PERP")
        await wait_until(has(feed, SOL, old), what="the one that is still called so has the name")
        assert set(chain_of(publisher).store.market_names()) == {SOL, "ANOTHER-PERP"}
        third = cluster.perp_markets[2]
        cluster.administer(third, name=SOL)
        await wait_until(has(feed, SOL, third), 20, "one that was called otherwise before is found too")
        assert set(chain_of(publisher).store.market_names()) == {SOL, f"{SOL}_p{old.index}", "ANOTHER-PERP"}
