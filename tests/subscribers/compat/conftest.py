"""A process in which nobody has used the old names yet, pointed at the test's own server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers.compat import DriftClientManager
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.session import process_feed
from drift_subscribers.compat.slot import ClientSlot
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event

MARKETS = ("SOL-PERP", "BTC-PERP", "ETH-PERP")


@pytest.fixture(autouse=True)
async def fresh_process(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """No reference, no complaint that stands, no setting; and no feed left open by a test."""
    for name in [name for name in os.environ if name.startswith("DRIFT_")]:
        monkeypatch.delenv(name)
    NOTES.forget_all()
    monkeypatch.setattr(DriftClientManager, "_slot", ClientSlot(lambda: process_feed))
    yield
    assert DriftClientManager.reference_count() == 0
    open_feeds = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("drift-")]
    assert open_feeds == []


@pytest.fixture
async def engine(nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch) -> LocalNatsServer:
    """The environment of an engine beside this server, patient enough for a loaded machine."""
    monkeypatch.setenv("DRIFT_BUS_NATS_URL", nats_server.url)
    monkeypatch.setenv("DRIFT_MAX_RETRIES", "8")
    return nats_server


@pytest.fixture
async def market_data(engine: LocalNatsServer, bus: BusWriter) -> BusWriter:
    """SOL, BTC and ETH on the bus, simulated: see the tests for the figures."""
    for index, market in enumerate(MARKETS):
        await publish(bus, market, index)
    return bus


async def publish(
    bus: BusWriter, market: str, index: int = 0, cluster: str = "simulated", rate: int = 1_500_000
) -> None:
    """All three events of a market: oracle 150, mark 150.3, long 500,000, short 400,000 base, 1e8 USD a day."""
    common: dict[str, Any] = {"market_index": index, "cluster": cluster}
    await bus.change(funding_event(market, rate, **common))
    await bus.change(price_event(market, mark_price=150_300_000, **common))
    await bus.change(market_event(market, **common))
