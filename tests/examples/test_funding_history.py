"""The example on an export runs, as its reader would run it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers.archive import export_history
from tests.support.bus_writer import BusWriter, funding_event, price_event

EXAMPLE = Path(__file__).parents[2] / "examples" / "funding_history.py"
PNG_BEGINS = b"\x89PNG\r\n"


async def ran(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(180):
        out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_a_day_of_funding_is_queried_and_plotted(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    folder, png = tmp_path / "funding", tmp_path / "funding.png"
    async with BusWriter(nats_server.url) as bus:
        for rate in range(1_500_000, 7_500_000, 1_500_000):
            for index, market in enumerate(("SOL-PERP", "BTC-PERP", "ETH-PERP")):
                # Of eight hours, so each hour's part of it is an eighth.
                signed, period = rate * (-1) ** index * 8, 8 * 3600
                await bus.change(funding_event(market, signed, market_index=index, funding_period=period))
        await bus.change(funding_event("SOL-PERP", 1, funding_period=0))  # a period of nothing gives no rate
        await bus.change(price_event())
        await export_history(bus.client, bus.topology, folder)
    status, out, errors = await ran(str(folder), "--png", str(png))
    assert status == 0, errors
    lines = out.splitlines()
    assert lines[1].split() == ["BTC-PERP", "4", "-0.004000", "-0.002500", "-0.001000", "-35.06"]
    assert lines[3].split() == ["SOL-PERP", "4", "+0.001000", "+0.002500", "+0.004000", "+35.06"]
    assert png.read_bytes().startswith(PNG_BEGINS)


async def test_an_export_without_funding_is_told(tmp_path: Path) -> None:
    status, _, errors = await ran(str(tmp_path / "nothing"))
    assert status == 1
    assert "no funding in" in errors
    assert "--kind funding" in errors
