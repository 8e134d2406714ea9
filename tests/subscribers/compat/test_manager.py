"""One client, counted: in one event loop and over several, on the right network, and reconnected."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers import shared_feed, shared_feed_references
from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed
from tests.subscribers.compat.conftest import publish
from tests.support.bus_writer import BusWriter, funding_event
from tests.support.wait import wait_until


async def test_nothing_is_there_before_the_first_reference_and_after_the_last(market_data: BusWriter) -> None:
    assert not await DriftClientManager.is_initialized()
    assert await DriftClientManager.get_funding_rate("SOL-PERP") is None
    first = await DriftClientManager.get_client()
    second = await DriftClientManager.get_client("mainnet-beta")
    assert first is not None
    assert first is second
    assert DriftClientManager.reference_count() == 2
    await DriftClientManager.release_client()
    assert await DriftClientManager.is_initialized()
    assert first.get_perp_market_account(0) is not None
    await DriftClientManager.release_client()
    assert not await DriftClientManager.is_initialized()
    assert shared_feed_references() == 0
    assert first.get_perp_market_account(0) is None
    assert await DriftClientManager.get_all_perp_markets() == []
    third = await DriftClientManager.get_client()
    assert third is not None
    assert third is not first
    assert first.get_perp_market_account(0) is None
    await DriftClientManager.release_client()


async def test_a_release_too_many_does_no_harm(market_data: BusWriter, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await DriftClientManager.release_client()
    assert DriftClientManager.reference_count() == 0
    assert caplog.text.count("that nobody holds") == 1
    assert await DriftClientManager.get_client() is not None
    await DriftClientManager.release_client()


async def test_old_and_new_code_share_one_feed(market_data: BusWriter, engine: LocalNatsServer) -> None:
    async with shared_feed(engine.url):
        await DriftClientManager.get_client()
        adapter = DriftAdapter()
        await adapter.connect()
        assert shared_feed_references(engine.url) == 2  # this test's and the manager's
        assert DriftClientManager.reference_count() == 2
        await adapter.disconnect()
        await adapter.disconnect()
        assert DriftClientManager.reference_count() == 1
        await DriftClientManager.release_client()


async def test_concurrent_connects_take_one_reference(market_data: BusWriter) -> None:
    adapter = DriftAdapter()
    assert await asyncio.gather(*(adapter.connect() for _ in range(5))) == [True] * 5
    assert DriftClientManager.reference_count() == 1
    await adapter.disconnect()


async def test_a_cancelled_get_leaves_nothing_open(market_data: BusWriter) -> None:
    for turns in (0, 1, 3, 10, 30):
        taking = asyncio.ensure_future(DriftClientManager.get_client())
        for _ in range(turns):
            await asyncio.sleep(0)
        if taking.cancel():
            with pytest.raises(asyncio.CancelledError):
                await taking
        else:
            await DriftClientManager.release_client()
        assert DriftClientManager.reference_count() == 0
        assert shared_feed_references() == 0


async def test_reconnecting_keeps_client_and_references(market_data: BusWriter) -> None:
    assert await DriftClientManager.force_reconnect() is False
    client = await DriftClientManager.get_client()
    assert client is not None
    assert await DriftClientManager.force_reconnect() is True
    assert DriftClientManager.reference_count() == 1
    assert client.get_perp_market_account(0) is not None
    assert await DriftClientManager.get_client() is client
    await DriftClientManager.release_client()
    await DriftClientManager.release_client()


async def test_reconnecting_during_an_outage_waits_and_gives_nothing_up(
    market_data: BusWriter, engine: LocalNatsServer
) -> None:
    adapter = DriftAdapter()
    await adapter.connect()
    await engine.kill()
    await wait_until(lambda: not adapter.connected, 60)
    assert await DriftClientManager.force_reconnect() is False
    assert DriftClientManager.reference_count() == 1
    await engine.start()
    await wait_until(DriftClientManager.force_reconnect, 60)

    async def fresh() -> bool:
        await publish(market_data, "SOL-PERP")
        return await adapter.get_funding_rate("SOL-PERP") is not None

    await wait_until(fresh, 60, every_s=0.2)
    await adapter.disconnect()


CLOSED_WITHOUT_A_FAREWELL = """
import asyncio
from drift_subscribers.compat import DriftClientManager

def call(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()

print(call(DriftClientManager.get_client()) is not None)
for _ in range(2):
    print(call(DriftClientManager.get_funding_rate("SOL-PERP")) is not None)
call(DriftClientManager.release_client())
print(DriftClientManager.reference_count())
"""


async def test_a_loop_that_was_closed_with_everything_in_it_is_forgotten(market_data: BusWriter) -> None:
    """As the old funding feed's sync call did it, in a process of its own: asyncio complains of the tasks left."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", CLOSED_WITHOUT_A_FAREWELL],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.split() == ["True", "True", "True", "0"], done.stderr


def _in_a_loop_of_its_own(engine: LocalNatsServer) -> list[object]:
    """What sync code of old does: one ``asyncio.run`` a call."""
    client = asyncio.run(DriftClientManager.get_client())
    rate = asyncio.run(DriftClientManager.get_funding_rate("SOL-PERP"))
    rates = DriftFundingFeed().get_funding_rates_sync()
    initialized = asyncio.run(DriftClientManager.is_initialized())
    again = asyncio.run(DriftClientManager.force_reconnect())
    asyncio.run(DriftClientManager.release_client())
    return [client is not None, rate is not None, sorted(rates), initialized, again]


async def test_each_call_may_have_an_event_loop_of_its_own(market_data: BusWriter, engine: LocalNatsServer) -> None:
    said = await asyncio.to_thread(_in_a_loop_of_its_own, engine)
    assert said == [True, True, ["BTC-PERP", "ETH-PERP", "SOL-PERP"], True, True]


async def test_threads_with_event_loops_share_the_client(market_data: BusWriter) -> None:
    clients: list[object] = []
    everyone_holds_one = threading.Barrier(4)

    async def hold() -> None:
        clients.append(await DriftClientManager.get_client())
        await asyncio.to_thread(everyone_holds_one.wait, 60)
        assert await DriftClientManager.get_funding_rate("SOL-PERP") is not None
        await DriftClientManager.release_client()

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, hold()) for _ in range(4)))
    assert len(clients) == 4
    assert clients[0] is not None
    assert all(client is clients[0] for client in clients)


async def test_the_sync_call_works_in_and_without_an_event_loop(market_data: BusWriter) -> None:
    feed = DriftFundingFeed()
    without_a_feed = await asyncio.to_thread(feed.get_funding_rates_sync)
    assert feed.get_funding_rates_sync() == without_a_feed  # this event loop stands still meanwhile
    await DriftClientManager.get_client()
    assert feed.get_funding_rates_sync() == without_a_feed
    assert await asyncio.to_thread(feed.get_funding_rates_sync) == without_a_feed
    assert list(without_a_feed) == feed.MARKETS
    assert DriftFundingFeed(DriftAdapter()).get_funding_rates_sync() == {}
    await DriftClientManager.release_client()


async def test_simulated_data_is_announced_once(market_data: BusWriter, caplog: pytest.LogCaptureFixture) -> None:
    await DriftClientManager.get_client()
    await DriftClientManager.get_all_perp_markets()
    assert caplog.text.count("SIMULATED data: mainnet-beta was asked for") == 1
    await DriftClientManager.release_client()


@pytest.mark.parametrize(
    ("cluster", "network", "given"),
    [
        ("mainnet-beta", "mainnet", True),
        ("mainnet-beta", "mainnet-beta", True),
        ("mainnet-beta", "Mainnet", True),
        ("mainnet-beta", "devnet", False),
        ("devnet", "devnet", True),
        ("devnet", "mainnet", False),
        ("simulated", "devnet", True),
        ("mainnet-beta", "simulated", False),
        ("mainnet-beta", "testnet", False),
        ("mainnet-beta", None, False),
    ],
)
async def test_data_of_another_network_is_never_given(
    cluster: str, network: str, given: bool, engine: LocalNatsServer, bus: BusWriter, caplog: pytest.LogCaptureFixture
) -> None:
    await publish(bus, "SOL-PERP", cluster=cluster)
    adapter = DriftAdapter(network)
    assert await adapter.connect() is given
    assert (await adapter.get_funding_rate("SOL-PERP") is not None) is given
    assert DriftClientManager.reference_count() == given
    if not given:
        assert f"this bus carries {cluster}" in caplog.text or "unknown network" in caplog.text
    await adapter.disconnect()


async def test_a_bus_that_turns_out_to_carry_another_network_gives_nothing(
    engine: LocalNatsServer, bus: BusWriter, caplog: pytest.LogCaptureFixture
) -> None:
    client = await DriftClientManager.get_client("mainnet")  # the bus is empty: nothing tells its cluster yet
    assert client is not None
    await publish(bus, "SOL-PERP", cluster="devnet")

    async def told() -> bool:
        assert await DriftClientManager.get_all_perp_markets() == []
        assert client.get_perp_market_account(0) is None
        return "this bus carries devnet, mainnet-beta was asked for" in caplog.text

    await wait_until(told, 30)
    await DriftClientManager.release_client()


async def test_another_network_is_refused_while_one_is_held(
    market_data: BusWriter, caplog: pytest.LogCaptureFixture
) -> None:
    await DriftClientManager.get_client("mainnet")
    assert await DriftClientManager.get_client("devnet") is None
    assert DriftClientManager.reference_count() == 1
    assert "mainnet-beta is held, devnet was asked for" in caplog.text
    await DriftClientManager.release_client()


async def test_another_prefix_is_another_bus(engine: LocalNatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_BUS_SUBJECT_PREFIX", "lab")
    async with BusWriter(engine.url, prefix="lab") as bus:
        await publish(bus, "SOL-PERP")
        await bus.change(funding_event("SOL-PERP", 3_000_000))
        info = await DriftFundingFeed().get_funding_rate("SOL")
        assert info is not None
        assert info.rate_8h == pytest.approx(0.016)
