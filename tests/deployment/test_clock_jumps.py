"""The wall clock of publisher or engine jumps by an hour, either way.

nats-server is linked statically, so libfaketime does not reach it; what a feed does when the server's clock jumps is
in ``tests/subscribers/test_server_clock.py``, and a node behind the publisher's clock in
``tests/publisher/unit/test_lag.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import DriftFeed
from tests.deployment.jumping_clock import JumpingClock, find_libfaketime
from tests.support.bus_writer import BusWriter, price_event
from tests.support.publishing import BusReader, bus_reader, publisher_process
from tests.support.wait import wait_until

HOUR_S = 3600
JUMPS_S = [HOUR_S, -HOUR_S]
MARKET = "SOL-PERP"


@pytest.fixture
def clock(tmp_path: Path) -> JumpingClock:
    """A clock for child processes, true until it is told to jump."""
    library = find_libfaketime()
    if library is None:
        pytest.skip("libfaketime is not installed here (Debian, Ubuntu: apt install faketime)")
    return JumpingClock(library, tmp_path)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A chain with a few markets that change quickly."""
    config = SimulatorConfig(port=0, seed=7, updates_per_second=100.0, perp_markets=8, spot_markets=4)
    async with Simulator(config) as simulator:
        yield simulator


@asynccontextmanager
async def process(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """``python -m arguments``, killed at the end."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


def _is_off_by(bus: BusReader, jump_s: int) -> bool:
    """The newest change was published by a clock that is about so far off; the order is that of arrival."""
    changes = bus.changes[f"price.{MARKET}"]
    return bool(changes) and abs(changes[-1].published_at_ns / 1e9 - time.time() - jump_s) < HOUR_S / 2


def _has_more(events: Sequence[object], than: int) -> bool:
    return len(events) > than


def _reads(feed: DriftFeed, slot: int) -> bool:
    price = feed.price(MARKET)
    return price is not None and price.slot >= slot


@pytest.mark.parametrize("jump_s", JUMPS_S)
async def test_a_publisher_whose_clock_jumps_goes_on(
    jump_s: int, clock: JumpingClock, sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """Events carry the wrong time and nothing else changes: fresh prices in the old order, and no gap."""
    async with (
        publisher_process(sim, nats_server, **clock.environment),
        bus_reader(nats_server) as bus,
        DriftFeed(nats_server.url) as feed,
    ):
        await wait_until(lambda: feed.price(MARKET), 90, "the first price")
        for off_s in (jump_s, 0):
            clock.jump(off_s)
            await wait_until(partial(_is_off_by, bus, off_s), 90, "the jump has arrived")
            prices = bus.changes[f"price.{MARKET}"]
            await wait_until(partial(_has_more, prices, len(prices) + 20), 90, "it goes on")
            await wait_until(lambda: bus.status and bus.status.source_state == "live", 90, "the source is live")
            assert [event.slot for event in prices] == sorted(event.slot for event in prices)
            await wait_until(partial(_reads, feed, prices[-1].slot), 90, "the newest price is fresh")
        assert feed.statistics().gaps == 0


@pytest.mark.parametrize("jump_s", JUMPS_S)
async def test_an_engine_whose_clock_jumps_reads_what_is_fresh_and_only_that(
    jump_s: int, clock: JumpingClock, nats_server: LocalNatsServer
) -> None:
    async with (
        BusWriter(nats_server.url) as bus,
        process("tests.deployment.engine_process", nats_server.url, MARKET, env=clock.environment) as engine,
    ):

        async def says(price: int | None) -> bool:
            """The engine's next line: it lives by the clock that jumped, and reads this price."""
            assert engine.stdout is not None
            said: dict[str, Any] = json.loads(await engine.stdout.readline())
            await bus.beat()
            is_off = abs(said["wall_s"] - time.time() - jump_s) < HOUR_S / 2
            return is_off and said["price"] == price

        await bus.change(price_event(MARKET, 1))
        clock.jump(jump_s)
        await bus.change(price_event(MARKET, 2))
        await wait_until(lambda: says(2), 90, "the price is fresh under the new clock")
        await wait_until(lambda: says(None), 90, "it runs out when nobody confirms it")
        await bus.change(price_event(MARKET, 3))
        await wait_until(lambda: says(3), 90, "a new one is read")


@pytest.mark.parametrize("off_s", JUMPS_S)
async def test_a_feed_asks_the_server_for_the_time_and_not_its_own_clock(
    off_s: int, nats_server: LocalNatsServer
) -> None:
    async with BusWriter(nats_server.url) as bus:
        await bus.change(price_event(MARKET, 1))
        async with DriftFeed(nats_server.url, wall_clock=lambda: time.time() + off_s) as feed:
            await wait_until(lambda: feed.price(MARKET), what="a value from before the feed is fresh")
            await wait_until(lambda: feed.price(MARKET) is None, what="and runs out like any other")
