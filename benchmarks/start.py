"""How soon data is there: in a newly started engine process, and after the publisher's start."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any, Final

from benchmarks.processes import resident_mb, running
from benchmarks.scene import running_scene
from benchmarks.table import Progress, Report, Table
from drift_bus.nats_server import LocalNatsServer

__all__ = ["measure"]

_PERP_MARKETS: Final = 85
_UPDATES_PER_S: Final = 100
_SETTLE_S: Final = 2.0
_PROMISED: Final = {
    "engine: process start to first data, s": 2.0,
    "engine: connect and whole snapshot, ms": 50.0,
}


async def _engine_start() -> dict[str, float]:
    """An engine that comes late: everything stands on the bus already."""
    async with running_scene(_UPDATES_PER_S, "--perp-markets", str(_PERP_MARKETS)) as scene:
        await asyncio.sleep(_SETTLE_S)
        begin_ns = time.monotonic_ns()
        async with running("benchmarks.engine", "--nats-url", scene.nats.url) as engine:
            opened, first = await engine.hear(), await engine.hear()
            return {
                "engine: process start to first data, s": (first["first_ns"] - begin_ns) / 1e9,
                "engine: connect and whole snapshot, ms": (opened["open_ns"] - opened["opening_ns"]) / 1e6,
                "engine: values in the snapshot": opened["entries"],
            }


async def _publisher_start() -> dict[str, float]:
    """An engine that waits: there is a bus and nobody on it yet."""
    async with (
        LocalNatsServer() as nats,
        running("benchmarks.node", "--updates-per-second", str(_UPDATES_PER_S)) as node,
        running("benchmarks.engine", "--nats-url", nats.url) as engine,
    ):
        rpc_url = (await node.hear())["http_url"]
        await engine.hear()
        begin_ns = time.monotonic_ns()
        async with running("benchmarks.observed", "--rpc-url", rpc_url, "--nats-url", nats.url) as publisher:
            ready, first = await publisher.hear(), await engine.hear()
            await asyncio.sleep(_SETTLE_S)
            return {
                "publisher: process start to first data at an engine, s": (first["first_ns"] - begin_ns) / 1e9,
                "publisher: of that, all accounts read to first data, ms": (first["first_ns"] - ready["ready_ns"])
                / 1e6,
                "publisher: resident memory, MB": resident_mb(publisher.pid),
            }


async def measure(progress: Progress, runs: int) -> Report:
    """Starts engines and publishers, and takes the median of the runs."""
    found: list[dict[str, float]] = []
    for number in range(runs):
        progress(f"start: run {number + 1} of {runs}")
        found.append(await _engine_start() | await _publisher_start())
    middle: dict[str, Any] = {name: median(run[name] for run in found) for name in found[0]}
    title = f"Start, the engine's with {_PERP_MARKETS} perp markets and their spot markets"
    table = Table(title, ("what", "median", "largest", "promised", "largest to promised"))
    for name, value in middle.items():
        largest, promised = max(run[name] for run in found), _PROMISED.get(name)
        kept = ("", "") if promised is None else (f"< {promised:g}", f"{largest / promised:.2f}×")
        table.add(name, *(f"{one:,.0f}" if one >= 100 else f"{one:.2f}" for one in (value, largest)), *kept)
    return Report([table], middle | {"runs": found})
