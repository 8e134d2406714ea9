"""The migration page stays true: its code runs, its tables name what exists."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers.compat import AMM, DriftAdapter, DriftClientManager, DriftFundingFeed, PerpMarketAccount
from drift_subscribers.compat.settings import CompatSettings
from tests.subscribers.compat.conftest import publish
from tests.subscribers.compat.test_shapes import RATE, ROW, STATS
from tests.support.bus_writer import BusWriter

PAGE = (Path(__file__).parents[3] / "docs" / "migration.md").read_text()
IMPORTS, ENGINE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


async def test_the_engine_runs_and_prints_right_figures(market_data: BusWriter, engine: LocalNatsServer) -> None:
    assert "nats://127.0.0.1:4222" in ENGINE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        "-c",
        ENGINE.replace("nats://127.0.0.1:4222", engine.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    heard = asyncio.Event()
    publishing = asyncio.create_task(_keep_fresh(market_data, heard), name="publisher")
    try:
        async with asyncio.timeout(90):
            printed = await process.stdout.readline()
    finally:
        heard.set()
        await publishing
        process.kill()
        await process.wait()
    assert [float(figure) for figure in printed.split()] == pytest.approx([150.0, 0.008, 500_000.0])


async def _keep_fresh(bus: BusWriter, heard: asyncio.Event) -> None:
    while not heard.is_set():
        await publish(bus, "SOL-PERP")
        await asyncio.sleep(0.2)


def test_the_imports_work() -> None:
    exec(IMPORTS, {})


@pytest.mark.parametrize(
    "owner", [DriftClientManager, DriftAdapter, DriftFundingFeed], ids=lambda owner: owner.__name__
)
def test_every_public_name_is_on_the_page(owner: type) -> None:
    for name in vars(owner):
        assert name.startswith("_") or name in PAGE


def test_every_key_field_and_default_is_on_the_page() -> None:
    for keys in (RATE, ROW, STATS):
        assert ", ".join(f'"{key}"' for key in keys) in PAGE
    for field in (*fields(PerpMarketAccount), *fields(AMM)):
        assert re.search(rf"`[\w.]*\b{field.name}`", PAGE), field.name
    defaults = CompatSettings.from_environment({})
    assert ", ".join(f"{ttl_s:g}" for ttl_s in defaults.ttl_s.values()) + " s |" in PAGE
    assert f"| `DRIFT_MAX_RETRIES` | {defaults.max_retries} |" in PAGE
    assert f"| `DRIFT_RETRY_BACKOFF` | {defaults.retry_backoff_s:g} s |" in PAGE
