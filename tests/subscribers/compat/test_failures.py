"""Whatever goes wrong, callers see emptiness and the log says why, once."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers import CannotConnect, DriftFeed
from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed, FeedClient
from drift_subscribers.compat.settings import CompatSettings
from drift_subscribers.compat.slot import ClientSlot
from tests.subscribers.compat.conftest import publish
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until


async def _nothing_is_given(adapter: DriftAdapter, market: str = "SOL-PERP") -> None:
    feed = DriftFundingFeed(adapter)
    assert await adapter.get_funding_rate(market) is None
    assert await adapter.get_market_stats(market) == {}
    assert await adapter.get_oracle_price(market) is None
    assert await adapter.get_mark_price(market) is None
    assert await feed.get_funding_rate(market) is None
    assert await DriftClientManager.get_funding_rate(market) is None
    if market == "SOL-PERP":
        assert await adapter.get_all_perp_markets() == []
        assert await adapter.get_time_to_funding() is None
        assert await feed.get_all_funding_rates() == {}
        assert feed.get_funding_rates_sync() == {}
        assert await feed.find_best_opportunity() is None
        assert await feed.get_funding_markets() == []
        assert await feed.get_market_stats() == {}


async def test_no_server(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        monkeypatch.setenv("DRIFT_BUS_NATS_URL", f"nats://user:secret@127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("DRIFT_MAX_RETRIES", "1")
        adapter = DriftAdapter()
        assert await DriftClientManager.get_client() is None
        assert await adapter.connect() is False
        assert not adapter.connected
        await _nothing_is_given(adapter)
    assert DriftClientManager.reference_count() == 0
    assert caplog.text.count("no feed: no NATS at nats://") == 1
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("variable", "value"), [("DRIFT_BUS_NATS_URL", "http://x:y@nowhere:0:0"), ("DRIFT_BUS_SUBJECT_PREFIX", "a b")]
)
async def test_settings_that_lead_nowhere(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DRIFT_MAX_RETRIES", "1")
    monkeypatch.setenv(variable, value)
    assert await DriftClientManager.get_client() is None
    assert caplog.text.count("no feed") == 1
    assert "x:y" not in caplog.text


async def test_a_server_that_dies_midway(
    market_data: BusWriter, engine: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values last until they are too old; nothing raises, before and after."""
    for name in ("FUNDING", "PRICE", "MARKETS"):
        monkeypatch.setenv(f"DRIFT_CACHE_TTL_{name}", "4")
    adapter = DriftAdapter()
    assert await adapter.connect()
    await engine.kill()
    await wait_until(lambda: not adapter.connected, 60, "the adapter notices")

    async def all_gone() -> bool:
        return await adapter.get_all_perp_markets() == [] and await adapter.get_time_to_funding() is None

    await wait_until(all_gone, 60)
    await _nothing_is_given(adapter)
    await engine.start()

    async def back() -> bool:
        await publish(market_data, "SOL-PERP")
        return await adapter.get_funding_rate("SOL-PERP") is not None

    await wait_until(back, 60, every_s=0.2)
    await wait_until(lambda: adapter.connected, 60)
    await adapter.disconnect()


async def test_garbage_on_the_bus(market_data: BusWriter) -> None:
    adapter = DriftAdapter()
    await adapter.connect()
    for payload in (b"", b"\xc1\xff garbage", b"\x93\x01\x02\x03"):
        for kind in ("funding", "price", "market"):
            await market_data.raw(f"drift.{kind}.SOL-PERP", payload)
            await market_data.raw(f"drift.{kind}.NEW-PERP", payload)
    await publish(market_data, "SOL-PERP", rate=3_000_000)

    async def new_rate() -> bool:
        rate = await adapter.get_funding_rate("SOL-PERP")
        assert rate is not None
        return rate["rate_8h"] == pytest.approx(0.016)

    await wait_until(new_rate, 30)
    assert await adapter.get_funding_rate("NEW-PERP") is None
    assert len(await adapter.get_all_perp_markets()) == 3
    await adapter.disconnect()


async def test_a_market_without_a_price(market_data: BusWriter, caplog: pytest.LogCaptureFixture) -> None:
    await market_data.change(price_event("SOL-PERP", mark_price=None, bid_price=None, ask_price=None))
    await market_data.change(
        price_event("BTC-PERP", market_index=1, mark_price=1, oracle_is_valid=False).model_copy(
            update={"oracle_price": None, "oracle_slot": None, "oracle_confidence": None}
        )
    )
    adapter = DriftAdapter()
    await adapter.connect()
    for _ in range(3):
        await _nothing_is_given_for_a_missing_mark(adapter)
        assert await adapter.get_oracle_price("BTC-PERP") is None
        assert await adapter.get_mark_price("BTC-PERP") == 1e-6
    assert [row["symbol"] for row in await adapter.get_all_perp_markets()] == ["ETH-PERP"]
    assert caplog.text.count("SOL-PERP gives None: the AMM has no price") == 1
    assert caplog.text.count("BTC-PERP gives None: its oracle has no price") == 1
    client = await DriftClientManager.get_client()
    assert client is not None
    assert client.get_oracle_price_data_for_perp_market(1) is None
    await DriftClientManager.release_client()
    await adapter.disconnect()


async def _nothing_is_given_for_a_missing_mark(adapter: DriftAdapter) -> None:
    assert await adapter.get_mark_price("SOL-PERP") is None
    assert await adapter.get_funding_rate("SOL-PERP") is None
    assert await adapter.get_market_stats("SOL-PERP") == {}
    assert await adapter.get_oracle_price("SOL-PERP") == 150.0


async def test_an_oracle_that_the_program_refuses_is_named(
    market_data: BusWriter, caplog: pytest.LogCaptureFixture
) -> None:
    await market_data.change(price_event("SOL-PERP", oracle_is_valid=False))
    adapter = DriftAdapter()
    await adapter.connect()
    for _ in range(3):
        assert await adapter.get_oracle_price("SOL-PERP") == 150.0
    assert caplog.text.count("SOL-PERP: the program itself would refuse this oracle price now") == 1
    await adapter.disconnect()


async def test_funding_without_a_settlement_or_a_period(market_data: BusWriter) -> None:
    await market_data.change(funding_event("SOL-PERP", 0, oracle_twap_at_funding=0))
    await market_data.change(funding_event("BTC-PERP", 5, market_index=1, oracle_twap_at_funding=0))
    await market_data.change(funding_event("ETH-PERP", market_index=2, next_funding_ts=None))
    adapter = DriftAdapter()
    await adapter.connect()
    never = await adapter.get_funding_rate("SOL-PERP")
    assert never is not None
    assert (never["rate_8h"], never["rate_annual"], never["is_positive"]) == (0.0, 0.0, False)
    assert await adapter.get_funding_rate("BTC-PERP") is None
    assert await adapter.get_funding_rate("ETH-PERP") is not None
    assert await adapter.get_market_stats("ETH-PERP") == {}
    await adapter.disconnect()


@pytest.mark.parametrize("name", ["DOGE-PERP", "", "SOL-USD", "a.b c*>", "x" * 500, None, 7, b"SOL"])
async def test_an_unknown_market(name: str, market_data: BusWriter, caplog: pytest.LogCaptureFixture) -> None:
    adapter = DriftAdapter()
    await adapter.connect()
    for _ in range(2):
        assert await adapter.get_funding_rate(name) is None
        assert await adapter.get_market_stats(name) == {}
        assert await adapter.get_oracle_price(name) is None
        assert await adapter.get_mark_price(name) is None
        assert await DriftFundingFeed(adapter).get_funding_rate(name) is None
    assert caplog.text.count("was ever seen") == 1
    await adapter.disconnect()


@pytest.mark.parametrize("index", [99, -1, None, "0", 1.5, []])
async def test_an_unknown_index(index: int, market_data: BusWriter) -> None:
    client = await DriftClientManager.get_client()
    assert client is not None
    assert client.get_perp_market_account(index) is None
    assert client.get_oracle_price_data_for_perp_market(index) is None
    await DriftClientManager.release_client()


async def test_what_nobody_foresaw_is_logged_and_empty(
    market_data: BusWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = DriftAdapter()
    await adapter.connect()
    session = adapter._session
    assert session is not None
    with monkeypatch.context() as patch:
        patch.setattr(session, "reader_now", lambda: 1 / 0)
        await _nothing_is_given(adapter)
    assert "DriftAdapter.get_market_stats failed: ZeroDivisionError: division by zero" in caplog.text
    await adapter.disconnect()


def test_a_client_without_a_feed_gives_none() -> None:
    client = FeedClient(lambda: None)
    assert client.get_perp_market_account(0) is None
    assert client.get_oracle_price_data_for_perp_market(0) is None


@pytest.mark.parametrize(("given", "attempts"), [(None, 2), (4, 4), (1, 1), (0, 1), (-3, 1), ("many", 2), (True, 2)])
async def test_connect_takes_the_number_of_its_attempts(
    given: Any, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the old code gave as ``max_retries`` counts; what is not a number is the setting's."""
    monkeypatch.setenv("DRIFT_MAX_RETRIES", "2")
    monkeypatch.setenv("DRIFT_RETRY_BACKOFF", "0")
    tried: list[CompatSettings] = []

    @asynccontextmanager
    async def refusing(settings: CompatSettings) -> AsyncIterator[DriftFeed]:
        tried.append(settings)
        raise CannotConnect("no NATS")
        yield DriftFeed()

    monkeypatch.setattr(DriftClientManager, "_slot", ClientSlot(lambda: refusing))
    adapter = DriftAdapter()
    assert await adapter.connect(None, 0, given) is False
    assert len(tried) == attempts
    assert await adapter.connect(max_retries=3) is False
    assert len(tried) == attempts + 3
