"""Latency of the whole pipeline, notification sent → engine callback, with the bare-NATS floor beside it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.figures import Percentiles, median_of, percentiles_ms
from benchmarks.floor_run import play_floor
from benchmarks.processes import cpu_seconds, running
from benchmarks.table import Progress, Report, Table
from benchmarks.traffic import journeys, read_departures
from drift_bus.nats_server import LocalNatsServer

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
    received_to_ack: Percentiles
    floor: Percentiles
    floor_ack: Percentiles
    messages_per_s: float
    updates_per_s: float
    cpu_s: dict[str, float]
    counts: dict[str, int]


async def measure(progress: Progress, runs: int) -> Report:
    """Runs pipeline and floor in turn at every rate, and takes the median of the runs."""
    found: dict[int, list[_Run]] = defaultdict(list)
    for number in range(runs):
        for rate in _RATES:
            progress(f"latency: {rate} updates/s, run {number + 1} of {runs}")
            with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as folder:
                found[rate].append(await _one_run(rate, Path(folder)))
    return _report(found)


async def _one_run(rate: int, folder: Path) -> _Run:
    departures, arrivals = folder / "departures", folder / "arrivals"
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(LocalNatsServer())
        pace = ("--updates-per-second", str(rate))
        node = await stack.enter_async_context(running("benchmarks.node", *pace, "--departures", str(departures)))
        ends = ("--rpc-url", (await node.hear())["http_url"], "--nats-url", nats.url)
        publisher = await stack.enter_async_context(running("benchmarks.publisher", *ends))
        await publisher.hear()
        engine = await stack.enter_async_context(
            running("benchmarks.engine", "--nats-url", nats.url, "--arrivals", str(arrivals))
        )
        await engine.hear()
        await asyncio.sleep(_WARM_UP_S)
        pids = {"node": node.pid, "nats": nats.pid, "publisher": publisher.pid, "engine": engine.pid}
        cpu_before, begin_ns = cpu_seconds(pids), time.monotonic_ns()
        await asyncio.sleep(_WINDOW_S)
        cpu_after, end_ns = cpu_seconds(pids), time.monotonic_ns()
        await asyncio.sleep(_LAST_ARRIVALS_S)
        await engine.hear()
        await engine.finish()
        published = await publisher.finish()
        await node.finish()
    notifications = read_departures(departures)
    found = journeys(notifications, arrivals, begin_ns, end_ns)
    inside = [entry for entry in notifications if begin_ns <= entry.sent_ns < end_ns]
    floor, floor_ack, floor_cpu = await play_floor(inside, folder / "schedule")
    return _Run(
        percentiles_ms([journey.total for journey in found]),
        {name: percentiles_ms([getattr(journey, name) for journey in found]) for name in _STRETCHES},
        Percentiles(*published["received_to_ack_ms"]),
        floor,
        floor_ack,
        sum(len(entry.messages) for entry in inside) / _WINDOW_S,
        len(inside) / _WINDOW_S,
        {name: cpu_after[name] - cpu_before[name] for name in pids} | floor_cpu,
        published["counts"],
    )


def _report(found: dict[int, list[_Run]]) -> Report:
    latency = Table(
        "Latency in ms, p50 / p99: notification sent → engine callback",
        ("updates/s", "messages/s", "ratio p50", "ratio p99", "pipeline", "bare NATS", *_STRETCHES.values()),
    )
    acks = Table("Acknowledgement in ms, p50 / p99", ("updates/s", "notification received → ack", "bare NATS → ack"))
    cpu = Table("CPU, % of one core while that ran", ("updates/s", *found[_RATES[0]][0].cpu_s))
    figures: dict[str, Any] = {}
    for rate, runs in found.items():
        pipeline, floor = median_of([run.pipeline for run in runs]), median_of([run.floor for run in runs])
        ack, floor_ack = median_of([run.received_to_ack for run in runs]), median_of([run.floor_ack for run in runs])
        stretches = {name: median_of([run.stretches[name] for run in runs]) for name in _STRETCHES}
        ratios = [median(_ratio(run, which) for run in runs) for which in ("p50", "p99")]
        load = {name: median(run.cpu_s[name] for run in runs) / _WINDOW_S * 100 for name in runs[0].cpu_s}
        updates = f"{median(run.updates_per_s for run in runs):.0f}"
        messages = f"{median(run.messages_per_s for run in runs):.0f}"
        shown = (f"{ratio:.2f}×" for ratio in ratios)
        latency.add(updates, messages, *shown, *map(_pair, (pipeline, floor, *stretches.values())))
        acks.add(updates, _pair(ack), _pair(floor_ack))
        cpu.add(updates, *(f"{percent:.0f}" for percent in load.values()))
        figures[str(rate)] = {
            "ratio_p50": ratios[0],
            "ratio_p99": ratios[1],
            "pipeline_ms": pipeline._asdict(),
            "bare_nats_ms": floor._asdict(),
            "stretches_ms": {name: times._asdict() for name, times in stretches.items()},
            "received_to_ack_ms": ack._asdict(),
            "bare_nats_ack_ms": floor_ack._asdict(),
            "cpu_percent": load,
            "runs": [asdict(run) for run in runs],
        }
    return Report([latency, acks, cpu], figures)


def _ratio(run: _Run, which: str) -> float:
    return float(getattr(run.pipeline, which) / getattr(run.floor, which))


def _pair(times: Percentiles) -> str:
    return f"{times.p50:.2f} / {times.p99:.2f}"
