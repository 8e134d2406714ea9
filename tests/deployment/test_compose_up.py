"""The compose file brought up, where a Docker engine answers; on a stand-in where the base images are not at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from functools import partial

import pytest

from drift_schemas import StatusEvent, Topology
from drift_subscribers import CannotConnect, DriftFeed, SnapshotIncomplete
from tests.deployment.compose import Project, compose_command, project
from tests.deployment.ledger import Witness, repeated, stored_changes, stored_sequences
from tests.deployment.standin import CannotStandIn, stand_in_image
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
def compose_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips with what is missing; a base image that is neither here nor named is stood in for."""
    if engine_version() is None:
        pytest.skip("no Docker engine answers")
    if compose_command() is None:
        pytest.skip("neither docker compose nor docker-compose is here")
    for variable, usual in BASE_IMAGES.items():
        if variable in os.environ or has_image(usual):
            continue
        try:
            monkeypatch.setenv(variable, stand_in_image())
        except CannotStandIn as missing:
            pytest.skip(f"{usual} is not here: docker pull it, or name another base with {variable} ({missing})")


async def test_the_demo_comes_up_and_an_engine_reads_fresh_prices() -> None:
    services = ("nats", "publisher", "publisher-standby", "simulator", "engine")
    async with project("single", ["demo"], services) as up:
        await _all_are_healthy(up, services)
        async with DriftFeed(up.urls[0]) as feed:
            await wait_until(lambda: feed.price("SOL-PERP"), PATIENCE_S, "a fresh price")
            assert feed.require_price("SOL-PERP").cluster == "simulated"
        await wait_until(lambda: _printed(up, "engine", "SOL-PERP  slot"), PATIENCE_S, "the engine prints", every_s=2)


async def test_the_standby_leads_when_the_leaders_container_is_killed_and_when_it_is_stopped() -> None:
    pair = ("publisher", "publisher-standby")
    async with project("single", ["demo"], ("nats", "simulator", *pair)) as up:
        await _all_are_healthy(up, pair)
        async with DriftFeed(up.urls[0]) as feed, Witness(feed, "price") as witness:
            for how in (("kill", "-s", "SIGKILL"), ("stop",)):
                leader = await wait_until(lambda: feed.price("SOL-PERP") and feed.status(), PATIENCE_S, "one leads")
                await up.compose(*how, await up.service_on(leader.host, pair))
                takes_over = partial(_leads_after, feed, leader)
                await wait_until(takes_over, PATIENCE_S, "the other publishes")
                await up.compose("start", *pair)
                await _all_are_healthy(up, pair)
                assert takes_over(), "who comes back stands by"
            stored = await stored_changes(up.urls[0], Topology(), kinds=("price",))
            await wait_until(lambda: witness.seen[-1] >= max(stored), what="the engine has all of it")
            assert not {place for place in stored if place >= witness.seen[0]} - set(witness.seen)
            assert not repeated(list(stored.values()))
            assert feed.statistics().refused == {}


def _leads_after(feed: DriftFeed, former: StatusEvent) -> bool:
    """Another one leads, and what it publishes has reached the engine."""
    status, price = feed.status(), feed.price("SOL-PERP")
    return (
        status is not None
        and status.host != former.host
        and price is not None
        and price.epoch == status.epoch > former.epoch
    )


async def test_any_of_three_servers_may_be_killed_and_nothing_acknowledged_is_lost() -> None:
    servers = ("nats", "nats-2", "nats-3")
    async with project("cluster", ["demo", "cluster"], (*servers, "simulator", "publisher")) as up:
        urls = ",".join(up.urls)
        await wait_until(lambda: _has_price(urls), PATIENCE_S, "a price on three copies", every_s=1)
        async with BusWriter(urls, make=False) as bus:
            for victim in servers:
                await _all_are_healthy(up, servers)
                writing = asyncio.create_task(_write(bus, 300), name="load")
                await up.compose("kill", "-s", "SIGKILL", victim)
                await writing
                await up.compose("start", victim)
            await _all_are_healthy(up, servers)  # one that has just begun may not answer for its streams
            acknowledged = [place for places in bus.stored.values() for place, _ in places]
            assert len(acknowledged) == len(set(acknowledged)) == 900
            assert not set(acknowledged) - await stored_sequences(urls, bus.topology)


async def _write(bus: BusWriter, count: int) -> None:
    for value in range(count):
        await bus.change(price_event("TEST-PERP", value))


async def _all_are_healthy(up: Project, services: Sequence[str]) -> None:
    for service in services:
        await wait_until(partial(_is_healthy, up, service), PATIENCE_S, f"{service} is healthy", every_s=1)


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
