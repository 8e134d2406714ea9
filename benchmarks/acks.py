"""From a notification, as it leaves the node, to JetStream's acknowledgement of what it made, at three rates."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.figures import Percentiles, median_of, pair, percentiles_ms, ratios_of
from benchmarks.floor_run import play_floor
from benchmarks.processes import Worker
from benchmarks.scene import at_each_rate, running_scene, window
from benchmarks.table import Progress, Report, Table
from benchmarks.traffic import contents_sent, read_departures

__all__ = ["measure"]

_RATES: Final = (100, 500, 2_000)
_CLUSTER: Final = ("--perp-markets", "65", "--spot-markets", "20", "--oracles", "120", "--of-markets")
_WARM_UP_S: Final = 2.0
_WINDOW_S: Final = 5.0
_LAST_ACKS_S: Final = 0.5
_TROUBLE: Final = ("superseded", "duplicate", "retried", "stale", "refused")


@dataclass
class _Run:
    ack: Percentiles
    to_publisher: Percentiles
    received_to_ack: Percentiles
    floor_ack: Percentiles
    updates_per_s: float
    events_per_s: float
    cpu_s_per_1000: dict[str, float]
    counts: dict[str, int]
    unmatched: int
    sockets_opened: int


async def measure(progress: Progress, runs: int) -> Report:
    """Runs pipeline and floor in turn at every rate, and takes the median of the runs."""
    return _report(await at_each_rate(progress, "acks", _RATES, runs, _one_run))


async def _one_run(rate: int, folder: Path) -> _Run:
    departures, acks = folder / "departures", folder / "acks"
    node_options = (*_CLUSTER, "--departures", str(departures))
    async with running_scene(rate, *node_options, publisher_options=("--acks", str(acks))) as scene:
        await asyncio.sleep(_WARM_UP_S)
        counts_before = await _counts(scene.publisher)
        pids = {"publisher": scene.publisher.pid, "nats": scene.nats.pid}
        begin_ns, end_ns, cpu_s = await window(pids, _WINDOW_S)
        counts_after = await _counts(scene.publisher)
        await asyncio.sleep(_LAST_ACKS_S)
        last = await scene.publisher.finish()
        await scene.node.finish()
    sent = contents_sent(departures, begin_ns, end_ns)
    samples, unmatched = _match(sent, acks)
    notifications = [entry for entry in read_departures(departures) if begin_ns <= entry.sent_ns < end_ns]
    _, floor_ack, floor_cpu = await play_floor(notifications, folder / "schedule", subscribed=False)
    used = cpu_s | floor_cpu
    return _Run(
        percentiles_ms([(acked_ns - sent_ns) / 1e9 for sent_ns, _, acked_ns in samples]),
        percentiles_ms([(received_ns - sent_ns) / 1e9 for sent_ns, received_ns, _ in samples]),
        percentiles_ms([(acked_ns - received_ns) / 1e9 for _, received_ns, acked_ns in samples]),
        floor_ack,
        len(sent) / _WINDOW_S,
        len(samples) / _WINDOW_S,
        {name: seconds / len(sent) * 1000 for name, seconds in used.items()},
        {name: counts_after.get(name, 0) - counts_before.get(name, 0) for name in ("stored", *_TROUBLE)},
        unmatched,
        last["sockets_opened"],
    )


async def _counts(publisher: Worker) -> dict[str, int]:
    counts: dict[str, int] = (await publisher.ask())["counts"]
    return counts


def _match(sent: dict[tuple[str, str], int], acks: Path) -> tuple[list[tuple[int, int, int]], int]:
    """Departure, arrival and acknowledgement of each event, and how many notifications were never taken in."""
    samples: list[tuple[int, int, int]] = []
    taken = set()
    for line in acks.read_text().splitlines():
        address, digest, received, *acked = line.split(" ")
        sent_ns = sent.get((address, digest))
        if sent_ns is not None:
            taken.add((address, digest))
            samples += [(sent_ns, int(received), int(acked_ns)) for acked_ns in acked]
    return samples, len(sent) - len(taken)


def _report(found: dict[int, list[_Run]]) -> Report:
    times = Table(
        "Notification sent → acknowledgement of its event, ms, p50 / p99; 85 markets, 120 oracles",
        (
            "updates/s",
            "events/s",
            "sent → ack",
            "sent → received",
            "received → ack",
            "bare NATS",
            "ratio p50",
            "ratio p99",
        ),
    )
    lost = Table("What went wrong with events in these windows, all runs", ("updates/s", *_TROUBLE, "never taken in"))
    cpu = Table("CPU seconds per 1,000 updates", ("updates/s", *found[_RATES[0]][0].cpu_s_per_1000))
    figures: dict[str, Any] = {}
    for rate, runs in found.items():
        ack, floor = median_of([run.ack for run in runs]), median_of([run.floor_ack for run in runs])
        parts = [median_of([getattr(run, name) for run in runs]) for name in ("to_publisher", "received_to_ack")]
        ratios = ratios_of([(run.ack, run.floor_ack) for run in runs])
        load = {name: median(run.cpu_s_per_1000[name] for run in runs) for name in runs[0].cpu_s_per_1000}
        updates, events = (median(getattr(run, name) for run in runs) for name in ("updates_per_s", "events_per_s"))
        trouble = {name: sum(run.counts[name] for run in runs) for name in _TROUBLE}
        unmatched = sum(run.unmatched for run in runs)
        times.add(
            f"{updates:.0f}", f"{events:.0f}", *map(pair, (ack, *parts, floor)), *(f"{ratio:.2f}×" for ratio in ratios)
        )  # fmt: skip
        lost.add(f"{updates:.0f}", *map(str, trouble.values()), str(unmatched))
        cpu.add(f"{updates:.0f}", *(f"{seconds:.4f}" for seconds in load.values()))
        figures[str(rate)] = {
            "updates_per_s": updates, "events_per_s": events, "ack_ms": ack._asdict(),
            "to_publisher_ms": parts[0]._asdict(), "received_to_ack_ms": parts[1]._asdict(),
            "bare_nats_ms": floor._asdict(),
            "ratio_p50": ratios[0], "ratio_p99": ratios[1], "cpu_s_per_1000": load, "trouble": trouble,
            "unmatched": unmatched, "runs": [asdict(run) for run in runs],
        }  # fmt: skip
    return Report([times, lost, cpu], figures)
