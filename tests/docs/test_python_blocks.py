"""Every Python block of the README, the docs and the packages' pages runs, on a real bus with odd values on it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import STORED_AT_HEADER, encode
from drift_subscribers.archive import export_history
from tests.security.support import authority, guarded_server
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event
from tests.support.living_bus import LivingPublisher, living_bus, running

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("examples/*/*.md")]
)
OPEN, SECURED = "nats://127.0.0.1:4222", "tls://nats.example.com:4222"
"""The addresses that pages name; here they are those of the test's servers."""


class Block(NamedTuple):
    """A block, and where it stands."""

    page: Path
    line: int
    source: str

    @property
    def goes_on_for_ever(self) -> bool:
        """It follows a stream, so the test ends it once it has seen what it is to see."""
        return ".stream(" in self.source


def blocks() -> Iterator[Block]:
    """Every block that says it is Python, or looks like it."""
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```(?:python|py|pycon)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield Block(page, text.count("\n", 0, found.start()) + 1, found[1])


BLOCKS = list(blocks())


def test_no_python_hides_in_a_block_without_a_language() -> None:
    """So that a page's Python cannot stand where nothing runs it; ``text`` is for what is not to be run."""
    for page in PAGES:
        for found in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            if not found[1]:
                assert not re.search(r"^\s*(import|from|async|await|def|class) ", found[2], re.MULTILINE), found[0]


def test_there_are_blocks() -> None:
    assert {block.page.name for block in BLOCKS} >= {"README.md", "capture.md", "history.md", "migration.md"}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.relative_to(ROOT)}:{block.line}")
async def test_it_runs(block: Block, nats_server: LocalNatsServer, tmp_path: Path) -> None:
    if "polars" in block.source:
        pytest.importorskip("polars", reason="polars is not installed: make setup")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with AsyncExitStack() as stack:
        await a_past(nats_server)
        bus = await stack.enter_async_context(living_bus(nats_server.url))
        await odd_values(bus)
        await bus.change(market_event("SOL-PERP"))
        source = block.source.replace(OPEN, nats_server.url)
        if SECURED in source:
            guarded = await stack.enter_async_context(guarded_server(authority(tmp_path / "auth")))
            await stack.enter_async_context(guarded.writer())
            environment |= guarded.environment("engine")
            source = source.replace(SECURED, guarded.url)
        if "history/" in source:
            await export_history(bus.client, bus.topology, tmp_path / "history")
        if "capture" in source:
            shutil.copy(ROOT / "tests/publisher/captures/oddities.capture.zst", tmp_path / "today.capture.zst")
        file = tmp_path / "block.py"
        file.write_text(source)
        run = (str(Path(__file__).with_name("run_block.py")), str(file))
        process = await stack.enter_async_context(running("-u", *run, cwd=tmp_path, env=environment))
        async with asyncio.timeout(120):
            if block.goes_on_for_ever:
                await outlives_odd_values(bus, process)
            else:
                _, errors = await process.communicate()
                assert process.returncode == 0, errors.decode()


async def a_past(server: LocalNatsServer) -> None:
    """A history that is hours old, for a replay that begins two hours ago."""
    async with BusWriter(server.url) as bus:
        event = encode(price_event("SOL-PERP", 149_000_000))
        three_hours_ago = str(time.time_ns() - 3 * 3600 * 10**9)
        await bus.raw("drift.price.SOL-PERP", event, {STORED_AT_HEADER: three_hours_ago})


async def odd_values(bus: LivingPublisher) -> None:
    """A market whose oracle's account is missing, and that never settled."""
    missing = ("oracle_price", "oracle_confidence", "oracle_slot", "bid_price", "ask_price", "mark_price")
    price = price_event("SOL-PERP").model_copy(update={**dict.fromkeys(missing), "oracle_is_valid": False})
    never = ("estimated_funding_rate_long", "estimated_funding_rate_short", "next_funding_ts")
    await bus.change(price)
    await bus.change(funding_event("SOL-PERP", 0, oracle_twap_at_funding=0, **dict.fromkeys(never)))


async def outlives_odd_values(bus: LivingPublisher, process: asyncio.subprocess.Process) -> None:
    """It prints ordinary values, then is given odd ones, and prints ordinary values again."""
    assert process.stdout is not None
    assert process.stderr is not None
    for price in (100, 200):
        line = ""
        while str(price) not in line:  # else one of what was on its way before
            reading = asyncio.ensure_future(process.stdout.readline())
            while not reading.done():  # it may not have subscribed yet
                await bus.change(funding_event("SOL-PERP", 1_500_000))
                await bus.change(price_event("SOL-PERP", price * 10**6))
                await asyncio.wait({reading}, timeout=0.05)
            line = reading.result().decode()
            if not line:
                pytest.fail((await process.stderr.read()).decode())
        await odd_values(bus)
