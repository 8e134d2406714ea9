"""A fast engine at 500 updates a second: alone, and beside one that takes an event a second."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Percentiles, median_of, pair, percentiles_ms, ratios_of
from benchmarks.processes import Worker, running
from benchmarks.scene import Scene, Window, running_scene, window
from benchmarks.table import Progress, Report, Table
from benchmarks.traffic import journeys, read_departures

__all__ = ["measure"]

_UPDATES_PER_S: Final = 500
_CYCLES: Final = 2
_SETTLE_S: Final = 0.5
_WARM_UP_S: Final = 1.5
_WINDOW_S: Final = 3.0
_LAST_ARRIVALS_S: Final = 0.3
_ALONE: Final = "nobody"
_FAST: Final = "two more fast ones, in other processes"
_ELSEWHERE: Final = "a slow one and one that blocks, in other processes"
_PLAIN: Final = ("benchmarks.plain_engine",)
_SLOW: Final = ("benchmarks.slow_engine",)
_BLOCKING: Final = (*_SLOW, "--block")
_SAME_FEED: Final = "a slow one on the same feed"


async def measure(progress: Progress, runs: int) -> Report:
    """In every run one fast engine, beside which the slow ones come and go; the median of the runs."""
    found: dict[str, list[Percentiles]] = defaultdict(list)
    gaps = 0
    for number in range(runs):
        with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as folder:
            progress(f"slow: run {number + 1} of {runs}")
            samples, missed = await _one_run(Path(folder))
        gaps += missed
        for name, values in samples.items():
            found[name].append(percentiles_ms(values))
    return _report(found, gaps)


async def _one_run(folder: Path) -> tuple[dict[str, list[float]], int]:
    """The fast engine's latencies by case, in seconds, and the gaps that it had to repair."""
    departures, arrivals = folder / "departures", folder / "arrivals"
    windows: dict[str, list[Window]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(running_scene(_UPDATES_PER_S, "--departures", str(departures)))
        engine = await stack.enter_async_context(
            running("benchmarks.engine", "--nats-url", scene.nats.url, "--arrivals", str(arrivals))
        )
        await engine.hear()
        await engine.hear()
        await asyncio.sleep(_WARM_UP_S)
        for _ in range(_CYCLES):
            windows[_ALONE].append(await window({}, _WINDOW_S))
            windows[_FAST].append(await _beside_others(scene, _PLAIN, _PLAIN))
            windows[_ELSEWHERE].append(await _beside_others(scene, _SLOW, _BLOCKING))
            windows[_SAME_FEED].append(await _beside_a_neighbour(engine))
        await asyncio.sleep(_LAST_ARRIVALS_S)
        gaps: int = (await engine.finish())["gaps"]
        await scene.node.finish()
    notifications = read_departures(departures)
    found = {
        name: [
            journey.total
            for passed in several
            for journey in journeys(notifications, arrivals, passed.begin_ns, passed.end_ns)
        ]
        for name, several in windows.items()
    }
    return found, gaps


async def _beside_others(scene: Scene, *others: tuple[str, ...]) -> Window:
    """A window with other engines in processes of their own, each a module and its options."""
    async with contextlib.AsyncExitStack() as stack:
        for module, *options in others:
            other = running(module, "--nats-url", scene.nats.url, *options)
            await (await stack.enter_async_context(other)).hear()
        await asyncio.sleep(_SETTLE_S)
        return await window({}, _WINDOW_S)


async def _beside_a_neighbour(engine: Worker) -> Window:
    """A window with a slow engine in the fast one's own process, on its feed."""
    await engine.ask("a slow one comes")
    await asyncio.sleep(_SETTLE_S)
    passed = await window({}, _WINDOW_S)
    await engine.ask("it goes")
    await asyncio.sleep(_SETTLE_S)
    return passed


def _report(found: dict[str, list[Percentiles]], gaps: int) -> Report:
    table = Table(
        f"A fast engine at {_UPDATES_PER_S} updates/s, notification sent → callback, ms; {gaps} gaps",
        ("beside it", "p50 / p99", "to nobody p50", "to nobody p99", "p99 of each run"),
    )
    figures: dict[str, Any] = {"gaps": gaps}
    for name, runs in found.items():
        times, ratios = median_of(runs), ratios_of(list(zip(runs, found[_ALONE], strict=True)))
        each = " ".join(f"{one.p99:.1f}" for one in runs)
        table.add(name, pair(times), *(f"{one:.2f}×" for one in ratios), each)
        figures[name] = {
            "p50_ms": times.p50, "p99_ms": times.p99, "samples": times.samples,
            "ratio_p50": ratios[0], "ratio_p99": ratios[1], "runs": [one._asdict() for one in runs],
        }  # fmt: skip
    return Report([table], figures)
