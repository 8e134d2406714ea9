"""Unmodified driftpy against the simulation: it cannot tell it from a real node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from driftpy.account_subscription_config import AccountSubscriptionConfig
from driftpy.accounts.bulk_account_loader import BulkAccountLoader
from driftpy.drift_client import DriftClient
from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair

from drift_simulator import DEMO_AUTHORITY, Simulator
from drift_simulator.layout import drift_idl
from tests.support.wait import wait_until

from .decoding import assert_decodes_alike

# driftpy keeps one entry per oracle account, so a market whose oracle is known under another source has none.
SHARED = {"1MBONK-PERP", "1KPUMP-PERP"}


@pytest.fixture
def program() -> str:
    """Drift: no SDK of Python reads Velocity."""
    return "drift-v2"


@asynccontextmanager
async def _subscribed(simulator: Simulator, mode: str, authority: Keypair) -> AsyncIterator[DriftClient]:
    """A stock DriftClient; whatever tasks it started end with the block, as it does not end them itself."""
    before = asyncio.all_tasks()
    async with AsyncClient(simulator.http_url) as connection:
        config = AccountSubscriptionConfig("websocket")
        if mode == "polling":
            loader = BulkAccountLoader(connection, frequency=0.1)
            config = AccountSubscriptionConfig("polling", bulk_account_loader=loader)
        client = DriftClient(connection, authority, account_subscription=config)
        await client.subscribe()
        try:
            yield client
        finally:
            await client.unsubscribe()
            for user in client.users.values():
                # driftpy calls this one without awaiting it
                await _finish(user.account_subscriber.unsubscribe())
            started = [task for task in asyncio.all_tasks() - before if "driftpy" in _source(task)]
            for task in started:
                task.cancel()
            await asyncio.gather(*started, return_exceptions=True)


async def _finish(result: Awaitable[None] | None) -> None:
    if result is not None:
        await result


def _source(task: asyncio.Task[object]) -> str:
    """The file of the code that a task runs."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code is not None else ""


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_a_stock_client_discovers_everything_and_sees_it_move(living: Simulator, mode: str) -> None:
    async with _subscribed(living, mode, DEMO_AUTHORITY) as client:
        perps = {market.market_index: market for market in client.get_perp_market_accounts()}
        spots = {market.market_index: market for market in client.get_spot_market_accounts()}
        assert set(perps) == {market.index for market in living.cluster.perp_markets}
        assert set(spots) == {market.index for market in living.cluster.spot_markets}
        for market in living.cluster.perp_markets:
            price = client.get_oracle_price_data_for_perp_market(market.index)
            if mode == "websocket" and market.name in SHARED:
                continue
            assert price is not None, market.name
            assert price.price == pytest.approx(market.listing.price * 1e6, rel=0.1), market.name
        for spot in living.cluster.spot_markets:
            assert client.get_oracle_price_data_for_spot_market(spot.index) is not None, spot.name
        state = client.get_state_account()
        assert state is not None
        assert state.number_of_markets == 1 + max(perps)
        assert client.get_user_account().authority == DEMO_AUTHORITY.pubkey()
        assert client.get_user_stats().get_account().number_of_sub_accounts == 1

        prices, marks, interest = set(), set(), set()

        def moved() -> bool:
            oracle, perp = client.get_oracle_price_data_for_perp_market(0), client.get_perp_market_account(0)
            spot = client.get_spot_market_account(0)
            assert oracle is not None
            assert perp is not None
            assert spot is not None
            prices.add(oracle.price)
            marks.add(perp.amm.peg_multiplier)
            interest.add(spot.deposit_balance)
            return len(prices) > 3 and len(marks) > 3 and len(interest) > 1

        await wait_until(moved, what="prices, marks and balances move")


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_what_it_holds_is_what_the_simulator_holds(living: Simulator, mode: str) -> None:
    async with _subscribed(living, mode, DEMO_AUTHORITY) as client:
        if mode == "websocket":
            # what changes between driftpy's discovery and its subscription is lost to it
            await wait_until(lambda: living.counters.subscriptions_open["programSubscribe"] == 2)
        living.pause_walk()
        living.step(300)
        perp_layout = drift_idl().account("PerpMarket")

        def settled() -> bool:
            for market in living.cluster.perp_markets:
                held = client.get_perp_market_account(market.index)
                if market.is_frozen:
                    continue
                if held is None or held.amm.last_update_slot != market.record["amm.last_update_slot"]:
                    return False
                if held.amm.peg_multiplier != market.record["amm.peg_multiplier"]:
                    return False
            return True

        await wait_until(settled, what="the client caught up")
        for market in living.cluster.perp_markets:
            record = perp_layout.record(living.account(market.pubkey))
            assert_decodes_alike(record, client.get_perp_market_account(market.index))


async def test_another_authority_finds_its_user(living: Simulator) -> None:
    authority = Keypair()
    living.cluster.add_user(authority.pubkey())
    async with _subscribed(living, "websocket", authority) as client:
        user = client.get_user_account()
        assert user.authority == authority.pubkey()
        assert user.spot_positions[0].scaled_balance > 0


async def test_the_cost_of_a_stock_client_is_counted(living: Simulator) -> None:
    async with _subscribed(living, "websocket", DEMO_AUTHORITY) as _:
        oracles = len(living.cluster.oracles)
        counters = living.counters
        await wait_until(lambda: counters.subscriptions_open["programSubscribe"] == 2)
        await wait_until(lambda: counters.subscriptions_open["accountSubscribe"] == oracles + 2)
        assert counters.sockets_open == 5  # state, oracles, perp markets, spot markets, user
        assert counters.requests_by_method["getProgramAccounts"] == 2
    await wait_until(lambda: living.counters.sockets_open == 0)
