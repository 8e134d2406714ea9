"""What one sync read of an engine takes: from memory, on a live feed, beside a plain dict's."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Any, Final

from benchmarks.processes import running
from benchmarks.scene import running_scene
from benchmarks.table import Progress, Report, Table

__all__ = ["measure"]

_PERP_MARKETS: Final = 85
_UPDATES_PER_S: Final = 100
_SETTLE_S: Final = 2.0
_PROMISED_NS: Final = 1_000
_FLOOR: Final = "a dict's get"


async def measure(progress: Progress, runs: int) -> Report:
    """Reads in a fresh process each time; of each the median over the rounds, and the median of the runs."""
    found: dict[str, list[tuple[float, float]]] = {}
    async with running_scene(_UPDATES_PER_S, "--perp-markets", str(_PERP_MARKETS)) as scene:
        await asyncio.sleep(_SETTLE_S)
        for number in range(runs):
            progress(f"reads: run {number + 1} of {runs}")
            async with running("benchmarks.reader", "--nats-url", scene.nats.url) as reader:
                for name, rounds in (await reader.hear())["reads"].items():
                    wall, cpu = (median(one) for one in zip(*rounds, strict=True))
                    found.setdefault(name, []).append((wall, cpu))
    table = Table(
        f"One sync read, nanoseconds; {_PERP_MARKETS} markets in turn, {_UPDATES_PER_S} updates/s arriving in between",
        ("read", "wall", "CPU", "promised", "to promised", "to a dict"),
    )
    figures: dict[str, Any] = {}
    floor = median(wall for wall, _ in found[_FLOOR])
    for name, values in found.items():
        wall, cpu = (median(one) for one in zip(*values, strict=True))
        kept = ("", "") if name == _FLOOR else (f"< {_PROMISED_NS:,}", f"{wall / _PROMISED_NS:.2f}×")
        table.add(name, f"{wall:.0f}", f"{cpu:.0f}", *kept, f"{wall / floor:.1f}×")
        figures[name] = {"wall_ns": wall, "cpu_ns": cpu, "runs": values}
    return Report([table], figures)
