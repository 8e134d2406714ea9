"""Latency of the whole pipeline, notification sent → engine callback, with the bare-NATS floor beside it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.figures import Percentiles, median_of, pair, percentiles_ms, ratios_of
from benchmarks.floor_run import play_floor
from benchmarks.processes import running
from benchmarks.scene import at_each_rate, running_scene, window
from benchmarks.table import Progress, Report, Table
from benchmarks.traffic import journeys, read_departures

__all__ = ["measure"]

_RATES: Final = (50, 100, 500)
_STRETCHES: Final = {
    "to_publisher": "sent → received",
    "projecting": "received → projected",
    "to_engine": "projected → callback",
}
_WARM_UP_S: Final = 1.5
_WINDOW_S: Final = 5.0
_LAST_ARRIVALS_S: Final = 0.3


@dataclass
class _Run:
    pipeline: Percentiles
    stretches: dict[str, Percentiles]
    floor: Percentiles
    messages_per_s: float
    updates_per_s: float
    cpu_s: dict[str, float]


async def measure(progress: Progress, runs: int) -> Report:
    """Runs pipeline and floor in turn at every rate, and takes the median of the runs."""
    return _report(await at_each_rate(progress, "latency", _RATES, runs, _one_run))


async def _one_run(rate: int, folder: Path) -> _Run:
    departures, arrivals = folder / "departures", folder / "arrivals"
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(running_scene(rate, "--departures", str(departures)))
        engine = await stack.enter_async_context(
            running("benchmarks.engine", "--nats-url", scene.nats.url, "--arrivals", str(arrivals))
        )
        await engine.hear()
        await asyncio.sleep(_WARM_UP_S)
        begin_ns, end_ns, cpu_s = await window(scene.pids | {"engine": engine.pid}, _WINDOW_S)
        await asyncio.sleep(_LAST_ARRIVALS_S)
        await engine.hear()
        await engine.finish()
        await scene.node.finish()
    notifications = read_departures(departures)
    found = journeys(notifications, arrivals, begin_ns, end_ns)
    inside = [entry for entry in notifications if begin_ns <= entry.sent_ns < end_ns]
    floor, _, floor_cpu = await play_floor(inside, folder / "schedule")
    return _Run(
        percentiles_ms([journey.total for journey in found]),
        {name: percentiles_ms([getattr(journey, name) for journey in found]) for name in _STRETCHES},
        floor,
        sum(len(entry.messages) for entry in inside) / _WINDOW_S,
        len(inside) / _WINDOW_S,
        cpu_s | floor_cpu,
    )


def _report(found: dict[int, list[_Run]]) -> Report:
    latency = Table(
        "Latency in ms, p50 / p99: notification sent → engine callback",
        ("updates/s", "messages/s", "ratio p50", "ratio p99", "pipeline", "bare NATS", *_STRETCHES.values()),
    )
    cpu = Table("CPU, % of one core while that ran", ("updates/s", *found[_RATES[0]][0].cpu_s))
    figures: dict[str, Any] = {}
    for rate, runs in found.items():
        pipeline, floor = median_of([run.pipeline for run in runs]), median_of([run.floor for run in runs])
        stretches = {name: median_of([run.stretches[name] for run in runs]) for name in _STRETCHES}
        ratios = ratios_of([(run.pipeline, run.floor) for run in runs])
        load = {name: median(run.cpu_s[name] for run in runs) / _WINDOW_S * 100 for name in runs[0].cpu_s}
        updates = f"{median(run.updates_per_s for run in runs):.0f}"
        messages = f"{median(run.messages_per_s for run in runs):.0f}"
        shown = (f"{ratio:.2f}×" for ratio in ratios)
        latency.add(updates, messages, *shown, *map(pair, (pipeline, floor, *stretches.values())))
        cpu.add(updates, *(f"{percent:.0f}" for percent in load.values()))
        figures[str(rate)] = {
            "ratio_p50": ratios[0],
            "ratio_p99": ratios[1],
            "pipeline_ms": pipeline._asdict(),
            "bare_nats_ms": floor._asdict(),
            "stretches_ms": {name: times._asdict() for name, times in stretches.items()},
            "cpu_percent": load,
            "runs": [asdict(run) for run in runs],
        }
    return Report([latency, cpu], figures)
