"""The compose file brought up, where a Docker engine answers and the base images are at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
from functools import partial

import pytest

from drift_subscribers import CannotConnect, DriftFeed, SnapshotIncomplete
from tests.deployment.compose import Project, compose_command, project
from tests.deployment.ledger import stored_sequences
from tests.support.bus_writer import BusWriter, price_event
from tests.support.nats_container import engine_version, has_image
from tests.support.wait import wait_until

BASE_IMAGES = {"NATS_BASE_IMAGE": "nats:2.15.1-alpine", "BASE_IMAGE": "python:3.12.12-slim-bookworm"}
PATIENCE_S = 240

# nats-py leaves the socket of a reconnection that failed half-way to the garbage collector.
pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def compose_can_run() -> None:
    """Skips with what is missing."""
    if engine_version() is None:
        pytest.skip("no Docker engine answers")
    if compose_command() is None:
        pytest.skip("neither docker compose nor docker-compose is here")
    for variable, usual in BASE_IMAGES.items():
        if not has_image(image := os.environ.get(variable, usual)):
            pytest.skip(f"{image} is not here: docker pull it, or name another base with {variable}")


async def test_the_demo_comes_up_and_an_engine_reads_fresh_prices() -> None:
    services = ("nats", "publisher", "publisher-standby", "simulator", "engine")
    async with project("single", ["demo"], services) as up:
        for service in services:
            await wait_until(partial(_is_healthy, up, service), PATIENCE_S, f"{service} is healthy", every_s=2)
        async with DriftFeed(up.urls[0]) as feed:
            await wait_until(lambda: feed.price("SOL-PERP"), PATIENCE_S, "a fresh price")
            assert feed.require_price("SOL-PERP").cluster == "simulated"
        await wait_until(lambda: _printed(up, "engine", "SOL-PERP  slot"), PATIENCE_S, "the engine prints", every_s=2)


async def test_any_of_three_servers_may_be_killed_and_nothing_acknowledged_is_lost() -> None:
    servers = ("nats", "nats-2", "nats-3")
    async with project("cluster", ["demo", "cluster"], (*servers, "simulator", "publisher")) as up:
        urls = ",".join(up.urls)
        await wait_until(lambda: _has_price(urls), PATIENCE_S, "a price on three copies", every_s=1)
        async with BusWriter(urls, make=False) as bus:
            for victim in servers:
                for service in servers:
                    await wait_until(partial(_is_healthy, up, service), PATIENCE_S, f"{service} is there", every_s=1)
                writing = asyncio.create_task(_write(bus, 300), name="load")
                await up.compose("kill", "-s", "SIGKILL", victim)
                await writing
                await up.compose("start", victim)
            acknowledged = [place for places in bus.stored.values() for place, _ in places]
            assert len(acknowledged) == len(set(acknowledged)) == 900
            assert not set(acknowledged) - await stored_sequences(urls, bus.topology)


async def _write(bus: BusWriter, count: int) -> None:
    for value in range(count):
        await bus.change(price_event("TEST-PERP", value))


async def _is_healthy(up: Project, service: str) -> bool:
    return await up.health_of(service) == "healthy"


async def _printed(up: Project, service: str, what: str) -> bool:
    return what in await up.compose("logs", "--no-color", service)


async def _has_price(urls: str) -> bool:
    with contextlib.suppress(CannotConnect, SnapshotIncomplete):
        async with DriftFeed(urls) as feed:
            await asyncio.sleep(1)
            return feed.price("SOL-PERP") is not None
    return False
