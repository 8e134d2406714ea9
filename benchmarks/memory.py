"""Resident memory: an engine process, four engines in one process, a stock DriftClient; all markets each.

Of a program that driftpy does not read, the engines stand alone.
"""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Any, Final

from benchmarks.processes import open_sockets, resident_mb, running
from benchmarks.program import has_sdk
from benchmarks.scene import Scene, running_scene
from benchmarks.table import Progress, Report, Table

__all__ = ["measure"]

_PERP_MARKETS: Final = 85
_UPDATES_PER_S: Final = 100
_SETTLE_S: Final = 8.0
_ONE: Final = "one engine in a process"
_FOUR: Final = "four engines in a process, one shared feed"
_CORE_ONLY: Final = ", core install only (no aiohttp)"
_ENGINES: Final = {
    _ONE: (),
    _ONE + _CORE_ONLY: ("--core-only",),
    _FOUR: ("--engines", "4"),
    _FOUR + _CORE_ONLY: ("--engines", "4", "--core-only"),
}
_STOCK_BUILT: Final = "stock DriftClient, before its first update"
_STOCK: Final = "stock DriftClient, subscribed"
_PROMISED_MB: Final = {_ONE: 52.0, _ONE + _CORE_ONLY: 52.0, _FOUR: 60.0, _FOUR + _CORE_ONLY: 60.0}


async def measure(progress: Progress, runs: int) -> Report:
    """Starts each process afresh, lets it run for a while, and takes the median of the runs."""
    memory: dict[str, list[float]] = {}
    sockets: dict[str, int] = {}
    for number in range(runs):
        progress(f"memory: run {number + 1} of {runs}")
        async with running_scene(_UPDATES_PER_S, "--perp-markets", str(_PERP_MARKETS)) as scene:
            await asyncio.sleep(1.0)
            stock = {_STOCK: _stock(scene)} if has_sdk() else {}
            processes = {name: _engine(scene, *options) for name, options in _ENGINES.items()} | stock
            found = await asyncio.gather(*processes.values())
        for name, (resident, held) in zip(processes, found, strict=True):
            memory.setdefault(name, []).append(resident[-1])
            sockets[name] = held
            if name == _STOCK:
                memory.setdefault(_STOCK_BUILT, []).append(resident[0])
    return _report(memory, sockets)


async def _engine(scene: Scene, *options: str) -> tuple[list[float], int]:
    """Resident memory after a while, and the TCP sockets that the process holds."""
    async with running("benchmarks.plain_engine", "--nats-url", scene.nats.url, *options) as engine:
        await engine.hear()
        await asyncio.sleep(_SETTLE_S)
        return [resident_mb(engine.pid)], open_sockets(engine.pid)


async def _stock(scene: Scene) -> tuple[list[float], int]:
    """Resident memory when it was built and after a while, and its sockets."""
    async with running("benchmarks.stock", "--rpc-url", scene.rpc_url) as client:
        await client.hear()
        built_mb = resident_mb(client.pid)
        await client.hear()
        await asyncio.sleep(_SETTLE_S)
        return [built_mb, resident_mb(client.pid)], open_sockets(client.pid)


def _report(memory: dict[str, list[float]], sockets: dict[str, int]) -> Report:
    table = Table(
        f"Resident memory, {_PERP_MARKETS} perp markets and their spot markets, {_UPDATES_PER_S} updates/s",
        ("process", "MB", "largest", "promised", "to stock", "sockets"),
    )
    stock = median(memory[_STOCK]) if _STOCK in memory else None
    for name, values in memory.items():
        promised = _PROMISED_MB.get(name)
        table.add(
            name, f"{median(values):.1f}", f"{max(values):.1f}", "" if promised is None else f"≤ {promised:g}",
            "" if stock is None else f"{median(values) / stock:.2f}×", str(sockets.get(name, "")),
        )  # fmt: skip
    figures: dict[str, Any] = {name: {"mb": median(values), "runs": values} for name, values in memory.items()}
    return Report([table], figures)
