"""1, 8 and 64 engines on the bus, beside 1 and 4 stock DriftClients: what the node is asked, and what it costs.

Of a program that driftpy does not read, the engines on the bus stand alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Percentiles, pair, percentiles_ms
from benchmarks.processes import Worker, running
from benchmarks.program import has_sdk
from benchmarks.scene import Window, running_scene, window
from benchmarks.table import Progress, Report, Table
from benchmarks.traffic import contents_sent, journeys, read_departures

__all__ = ["measure"]

_ENGINES: Final = (1, 8, 64)
_STOCK: Final = (1, 4)
_UPDATES_PER_S: Final = 20
_AT_ONCE: Final = 4
_WARM_UP_S: Final = 3.0
_WINDOW_S: Final = 10.0
_LAST_ARRIVALS_S: Final = 0.5


@dataclass
class _Case:
    """What so many engines, or stock clients, cost in one window."""

    name: str
    sockets: int
    subscriptions: int
    requests: int
    requests_in_window: int
    bytes_per_s: float
    publisher_cpu_percent: float | None
    readers_cpu_percent: float
    latency: Percentiles | None = None


async def measure(progress: Progress, runs: int) -> Report:
    """Measures every case once; ``runs`` is not asked, for the counts are the same each time."""
    with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as folder:
        cases = await _on_the_bus(progress, Path(folder))
        if has_sdk():
            cases += await _stock(progress, Path(folder))
        return _report(cases)


async def _on_the_bus(progress: Progress, folder: Path) -> list[_Case]:
    """One scene, to which ever more engines come, each in a process of its own."""
    departures, arrivals = folder / "departures", [folder / f"engine-{number}" for number in range(_ENGINES[-1])]
    measured: list[tuple[_Case, Window, int]] = []
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(running_scene(_UPDATES_PER_S, "--departures", str(departures)))
        engines: list[Worker] = []

        async def one_more(path: Path) -> None:
            options = ("--nats-url", scene.nats.url, "--arrivals", str(path))
            engine = await stack.enter_async_context(running("benchmarks.engine", *options))
            await engine.hear()
            await engine.hear()
            engines.append(engine)

        for count in _ENGINES:
            progress(f"engines: {count} on the bus")
            while len(engines) < count:
                missing = arrivals[len(engines) : min(count, len(engines) + _AT_ONCE)]
                await asyncio.gather(*(one_more(path) for path in missing))
            pids = {"publisher": scene.publisher.pid} | {str(engine.pid): engine.pid for engine in engines}
            name = f"{count} engine{'s' if count > 1 else ''} on the bus"
            case, passed = await _one_window(name, scene.node, pids)
            measured.append((case, passed, count))
        progress("engines: collecting what each saw")
        await asyncio.gather(*(engine.finish() for engine in engines))
        await scene.node.finish()
    notifications = read_departures(departures)
    for case, passed, count in measured:
        found = (
            journey.total
            for path in arrivals[:count]
            for journey in journeys(notifications, path, passed.begin_ns, passed.end_ns)
        )
        case.latency = percentiles_ms(list(found))
    return [case for case, _, _ in measured]


async def _stock(progress: Progress, folder: Path) -> list[_Case]:
    """The same node, to which stock clients come, each in a process of its own."""
    departures, arrivals = folder / "stock-departures", [folder / f"stock-{number}" for number in range(_STOCK[-1])]
    measured: list[tuple[_Case, Window, int]] = []
    async with contextlib.AsyncExitStack() as stack:
        pace = ("--updates-per-second", str(_UPDATES_PER_S), "--departures", str(departures))
        node = await stack.enter_async_context(running("benchmarks.node", *pace))
        url = (await node.hear())["http_url"]
        clients: list[Worker] = []
        for count in _STOCK:
            progress(f"engines: {count} stock DriftClients")
            for path in arrivals[len(clients) : count]:
                options = ("--rpc-url", url, "--arrivals", str(path))
                client = await stack.enter_async_context(running("benchmarks.stock", *options))
                await client.hear()
                await client.hear()
                clients.append(client)
            pids = {str(client.pid): client.pid for client in clients}
            name = f"{count} stock DriftClient{'s' if count > 1 else ''}"
            case, passed = await _one_window(name, node, pids)
            measured.append((case, passed, count))
        await asyncio.gather(*(client.finish() for client in clients))
        await node.finish()
    for case, passed, count in measured:
        case.latency = _stock_latency(departures, arrivals[:count], passed)
    return [case for case, _, _ in measured]


async def _one_window(name: str, node: Worker, pids: dict[str, int]) -> tuple[_Case, Window]:
    await asyncio.sleep(_WARM_UP_S)
    before = await node.ask()
    passed = await window(pids, _WINDOW_S)
    after = await node.ask()
    await asyncio.sleep(_LAST_ARRIVALS_S)
    percent = {part: seconds / _WINDOW_S * 100 for part, seconds in passed.cpu_s.items()}
    publisher = percent.pop("publisher", None)
    case = _Case(
        name,
        sockets=after["sockets_open"],
        subscriptions=sum(after["subscriptions_open"].values()),
        requests=after["requests"],
        requests_in_window=after["requests"] - before["requests"],
        bytes_per_s=(after["bytes_out"] - before["bytes_out"]) / _WINDOW_S,
        publisher_cpu_percent=publisher,
        readers_cpu_percent=sum(percent.values()),
    )
    return case, passed


def _stock_latency(departures: Path, arrivals: list[Path], passed: Window) -> Percentiles:
    sent = {digest: sent_ns for (_, digest), sent_ns in contents_sent(departures, *passed[:2]).items()}
    samples = []
    for path in arrivals:
        waiting = dict(sent)
        for line in path.read_text().splitlines():
            arrived_ns, digest = line.split(" ")
            sent_ns = waiting.pop(digest, None)
            if sent_ns is not None:
                samples.append((int(arrived_ns) - sent_ns) / 1e9)
    return percentiles_ms(samples)


def _report(cases: list[_Case]) -> Report:
    first = cases[0]
    asked = Table(
        f"What the node is asked: {_UPDATES_PER_S} updates/s, few enough for 64 processes on one machine",
        ("readers", "sockets", "× first", "subscriptions", "× first", "requests ever", "in the window", "kB/s sent"),
    )
    costs = Table(
        "What it costs; ms from a notification sent to the engine's callback (stock: to its account store), p50 / p99",
        ("readers", "publisher CPU %", "× first", "readers' CPU %, each", "p50 / p99", "× first", "samples"),
    )
    for case in cases:
        asked.add(
            case.name, str(case.sockets), f"{case.sockets / first.sockets:.0f}×", str(case.subscriptions),
            f"{case.subscriptions / first.subscriptions:.1f}×", str(case.requests), str(case.requests_in_window),
            f"{case.bytes_per_s / 1e3:.0f}",
        )  # fmt: skip
        readers = int(case.name.split(" ")[0])
        publisher, before = case.publisher_cpu_percent, first.publisher_cpu_percent
        load = ("", "") if publisher is None or not before else (f"{publisher:.1f}", f"{publisher / before:.2f}×")
        times, base = case.latency, first.latency
        assert times is not None
        assert base is not None
        costs.add(
            case.name, *load, f"{case.readers_cpu_percent / readers:.1f}", pair(times),
            f"{times.p50 / base.p50:.2f}× / {times.p99 / base.p99:.2f}×", f"{times.samples:,}",
        )  # fmt: skip
    figures: dict[str, Any] = {case.name: asdict(case) for case in cases}
    return Report([asked, costs], figures)
