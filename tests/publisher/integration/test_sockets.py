"""What providers do to sockets: cut idle ones, ration and limit subscriptions, and let one of several fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drift_publisher import PublisherSettings
from drift_publisher.chain import Chain
from drift_publisher.chain_setup import open_chain
from drift_simulator import Fault, Simulator
from tests.support.programs import drift_only
from tests.support.wait import wait_until

LIMIT = 6
"""Subscriptions a socket, its heartbeat included."""


@contextlib.asynccontextmanager
async def followed(sim: Simulator, *, state: str = "live", **settings: Any) -> AsyncIterator[Chain]:
    """A chain that follows the node, without a bus behind it."""
    values = {"rpc_url": sim.http_url, "ws_url": sim.ws_url, "rpc_rate_per_s": 200, "rpc_burst": 200, **settings}
    async with open_chain(PublisherSettings(_env_file=None, **values)) as chain:
        await chain.client.account_subscriber.subscribe()
        task = asyncio.create_task(chain.run(), name="chain under test")
        try:
            if state:
                await wait_until(lambda: task.done() or chain.status.state == state, 30, state)
            yield chain
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def not_heard_of(sim: Simulator, chain: Chain) -> set[str]:
    """Markets that no notification has told of."""
    return {str(market.pubkey) for market in sim.cluster.markets} - {
        address
        for market in sim.cluster.markets
        if (version := chain.store.version(address := str(market.pubkey))) and not version.was_read
    }


async def test_oracles_of_the_program_come_by_one_subscription_of_each_kind(whole_sim: Simulator) -> None:
    """Of all the markets that the simulator has; every oracle is heard of, and what nobody names is no refusal."""
    async with followed(whole_sim) as chain:
        profile, store = chain.profile, chain.store
        foreign = {
            market.oracle
            for market in store.markets()
            if market.oracle_source != "QuoteAsset" and not profile.own_oracles(market.oracle_source)
        }
        kinds = {profile.own_oracles(market.oracle_source) for market in store.markets()} - {b""}
        assert kinds
        open_ = whole_sim.counters.subscriptions_open
        assert (open_["slotSubscribe"], open_["programSubscribe"]) == (1, 2 + len(kinds))
        assert open_["accountSubscribe"] == 1 + len(foreign)
        assert chain.status.subscriptions == open_.total()
        oracles = {market.oracle for market in store.markets() if market.status == "Active"} & set(store.oracles())
        await wait_until(
            lambda: all((version := store.version(one)) and not version.was_read for one in oracles),
            30,
            "every oracle is heard of",
        )
        assert not store.refused
        assert chain.status.sockets == whole_sim.counters.sockets_open == 1


@drift_only("it is about sockets, not about the program")
async def test_a_front_that_cuts_silent_sockets_sees_pings(sim: Simulator) -> None:
    sim.faults.inject(Fault(kind="idle_cut", seconds=1.2))
    async with followed(sim, ws_ping_s=0.1) as chain:
        begun = time.monotonic()
        await wait_until(lambda: time.monotonic() > begun + 2, what="a cut would have come")
        assert (chain.status.reconnects, sim.counters.sockets_total) == (0, 1)
    async with followed(sim, ws_ping_s=0) as chain:
        await wait_until(lambda: chain.status.reconnects, what="without pings it is cut")


@drift_only("it is about sockets, not about the program")
async def test_subscriptions_refused_over_a_rate_are_asked_for_again(sim: Simulator) -> None:
    """The confirmed ones stay, and so does the socket."""
    fault = Fault(kind="subscription_rate", most=4, seconds=0.5, code=-32429, message="too many subscriptions a second")
    sim.faults.inject(fault)
    async with followed(sim, state="", markets=",".join(market.name for market in sim.cluster.markets)) as chain:
        wanted = len(chain.subscriptions().accounts) + 1
        assert wanted > 15
        await wait_until(lambda: chain.status.state == "live" and chain.status.subscriptions == wanted, 20)
        assert sim.faults.listing()[0]["hits"] > 0
        assert sim.counters.subscriptions_total.total() == wanted, "none was made twice"
        assert (chain.status.reconnects, sim.counters.sockets_total) == (0, 1)


@drift_only("it is about sockets, not about the program")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("body", ["empty", "json"])
async def test_a_limit_of_subscriptions_a_socket_is_learned_and_the_rest_goes_to_further_sockets(
    sim: Simulator, body: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The seventh cuts the socket, or is refused for as long as anybody asks."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("drift_publisher.subscribing._LONGEST_PACE_S", 0.1)
    sim.faults.inject(Fault(kind="subscription_limit", most=LIMIT, body=body, message="no more on this socket"))
    async with followed(sim, state="", markets=",".join(market.name for market in sim.cluster.markets)) as chain:
        wanted = len(chain.subscriptions().accounts)
        sockets = -(-wanted // (LIMIT - 1))
        await wait_until(lambda: chain.status.state == "live", 30)
        assert chain.pool.current.limit.most == LIMIT
        assert (chain.status.sockets, chain.status.subscriptions) == (sockets, wanted + sockets)
        assert sim.counters.sockets_open == sockets
        assert sim.counters.subscriptions_open["slotSubscribe"] == sockets, "each has a heartbeat of its own"
        await wait_until(lambda: not not_heard_of(sim, chain), 30, "every market is heard of")
        assert "at its 7th subscription" in caplog.text or "refuses the 7th subscription" in caplog.text
        assert f"gets {LIMIT} at most" in caplog.text
        assert f"on {sockets} sockets, for one takes {LIMIT}" in caplog.text


@drift_only("it is about sockets, not about the program")
@pytest.mark.usefixtures("impatient")
async def test_one_of_several_sockets_that_falls_silent_is_noticed_by_itself(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on with slots and accounts; with a limit that is set, no socket is lost to learn it."""
    sim.faults.inject(Fault(kind="subscription_limit", most=LIMIT, body="empty"))
    names = ",".join(market.name for market in sim.cluster.markets)
    async with followed(sim, markets=names, ws_subscriptions_per_socket=LIMIT, slot_silence_s=1.5) as chain:
        sockets = chain.status.sockets
        assert sockets > 2
        assert (chain.status.reconnects, sim.counters.sockets_total) == (0, sockets)
        sim.faults.inject(Fault(kind="mute_socket", count=1))
        await wait_until(lambda: chain.status.reconnects, 20, "the silence is noticed")
        assert "no new slot" in caplog.text
        await wait_until(lambda: chain.status.state == "live" and chain.status.sockets == sockets, 20)
        assert sim.counters.sockets_open == sockets


@drift_only("it is about sockets, not about the program")
async def test_more_sockets_than_is_reasonable_are_not_opened(whole_sim: Simulator) -> None:
    names = ",".join(market.name for market in whole_sim.cluster.markets)
    with_two = {"markets": names, "ws_subscriptions_per_socket": 2, "poll_every_s": 0.2}
    async with followed(whole_sim, state="", **with_two) as chain:
        await wait_until(lambda: "name an endpoint that allows more" in chain.status.reason)
        await wait_until(lambda: chain.status.state == "polling", 20)
        assert whole_sim.counters.connection_attempts == 0
