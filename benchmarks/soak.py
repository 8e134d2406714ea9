"""The soak: minutes of traffic under faults, and whether memory, tasks or sockets grow and anything gets lost."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.growth import growth_of
from benchmarks.processes import Worker, open_sockets, resident_mb, running
from benchmarks.storm import Storm
from benchmarks.stream_check import StreamCheck, check_stream
from benchmarks.table import Progress, Report, Table
from drift_bus.nats_server import LocalNatsServer

__all__ = ["measure"]

_UPDATES_PER_S: Final = 500
_CLUSTER: Final = ("--perp-markets", "65", "--spot-markets", "20", "--oracles", "120", "--of-markets")
_SAMPLE_EVERY_S: Final = 10.0
_WARM_UP_S: Final = 20.0
_COME_TO_REST_S: Final = 5.0
_JUDGED: Final[dict[str, Callable[[dict[str, Any]], float]]] = {
    "publisher: resident MB": lambda sample: float(sample["rss_mb"]),
    "engine: resident MB": lambda sample: float(sample["engine_rss_mb"]),
    "publisher: live blocks": lambda sample: float(sample["publisher"]["live"]),
    "engine: live blocks": lambda sample: float(sample["engine"]["live"]),
    "engine: tasks": lambda sample: float(sample["engine"]["tasks"]),
}

_BY_STATE: Final[dict[str, Callable[[dict[str, Any]], float]]] = {
    "tasks": lambda sample: float(sample["publisher"]["tasks"]),
    "open sockets": lambda sample: float(sample["sockets"]),
}
_SETTLED_AFTER_S: Final = 60.0


async def measure(progress: Progress, minutes: float) -> Report:
    """Soaks once for so many minutes."""
    with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as folder:
        acked, received = Path(folder) / "acked", Path(folder) / "received"
        async with contextlib.AsyncExitStack() as stack:
            nats = await stack.enter_async_context(LocalNatsServer())
            pace = ("--updates-per-second", str(_UPDATES_PER_S), *_CLUSTER)
            node = await stack.enter_async_context(running("benchmarks.node", *pace))
            node_url = (await node.hear())["http_url"]
            ends = ("--rpc-url", node_url, "--nats-url", nats.url)
            publisher = await stack.enter_async_context(
                running("benchmarks.observed", *ends, "--acked-ids", str(acked))
            )
            await publisher.hear()
            engine = await stack.enter_async_context(
                running("benchmarks.soak_engine", "--nats-url", nats.url, "--received", str(received))
            )
            opened_ns = (await engine.hear())["open_ns"]
            await asyncio.sleep(_WARM_UP_S)
            storm = Storm(node_url)
            raging = asyncio.create_task(storm.run(), name="storm")
            stack.callback(raging.cancel)
            samples = await _sampled(progress, publisher, engine, raging, minutes)
            raging.cancel()
            await asyncio.gather(raging, return_exceptions=True)
            await asyncio.sleep(_COME_TO_REST_S)
            last = await publisher.finish()
            await asyncio.sleep(_COME_TO_REST_S)
            heard = await engine.finish()
            progress("soak: reading the stream")
            check = await check_stream(nats.url, acked, received, opened_ns + 10**9)
    return _report(samples, storm.injected, last, heard, check)


async def _sampled(
    progress: Progress, publisher: Worker, engine: Worker, raging: asyncio.Task[None], minutes: float
) -> list[dict[str, Any]]:
    samples: list[dict[str, Any]] = []
    begin = time.monotonic()
    while (spent := time.monotonic() - begin) <= minutes * 60:
        if raging.done():
            raging.result()
        sample: dict[str, Any] = {
            "at_s": spent,
            "publisher": await publisher.ask(),
            "engine": await engine.ask(),
            "rss_mb": resident_mb(publisher.pid),
            "engine_rss_mb": resident_mb(engine.pid),
            "sockets": open_sockets(publisher.pid),
        }
        samples.append(sample)
        told = sample["publisher"]
        progress(
            f"soak: {spent:4.0f} s, {told['state']}, {sample['rss_mb']:.1f} MB, {told['tasks']} tasks, "
            f"{sample['sockets']} sockets, {told['counts']}, engine {sample['engine']}"
        )
        await asyncio.sleep(max(0.0, begin + len(samples) * _SAMPLE_EVERY_S - time.monotonic()))
    return samples


def _series(samples: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """What is judged, over time: memory once it has settled; tasks and sockets like with like, by state."""
    settled = [sample for sample in samples if sample["at_s"] >= _SETTLED_AFTER_S] or samples
    found = {name: [(sample["at_s"], read(sample)) for sample in settled] for name, read in _JUDGED.items()}
    for name, read in _BY_STATE.items():
        for state in ("live", "polling"):
            alike = [sample for sample in samples if sample["publisher"]["state"] == state]
            found[f"publisher: {name}, {state}"] = [(sample["at_s"], read(sample)) for sample in alike]
    return found


def _report(
    samples: list[dict[str, Any]],
    injected: Counter[str],
    last: dict[str, Any],
    heard: dict[str, Any],
    check: StreamCheck,
) -> Report:
    minutes = samples[-1]["at_s"] / 60
    growth = Table(
        f"Soak of {minutes:.1f} minutes, {injected.total()} faults: first quarter, last quarter, growth",
        ("what", "first", "last", "a minute", "±", "verdict"),
    )
    figures: dict[str, Any] = {"samples": samples, "faults": dict(injected), "growth": {}}
    for name, series in _series(samples).items():
        found = growth_of(series)
        numbers = (f"{found.first:.1f}", f"{found.last:.1f}", f"{found.per_minute:+.3f}", f"{found.bound:.3f}")
        growth.add(name, *numbers, found.verdict)
        figures["growth"][name] = found._asdict()
    states = Counter(sample["publisher"]["state"] for sample in samples)
    counts = Table("What went over the bus, and what was lost", ("what", "count"))
    rows: dict[str, object] = {
        **{f"publisher: {name}": count for name, count in sorted(last["counts"].items())},
        **{f"publisher: {name}": last[name] for name in ("sockets_opened", "reconnects", "requests", "refused")},
        **{f"publisher: samples in state {state}": count for state, count in states.items()},
        **{f"engine: {name}": count for name, count in heard.items()},
        **{f"stream: {name.replace('_', ' ')}": count for name, count in check._asdict().items()},
    }
    for name, value in rows.items():
        counts.add(name, f"{value:,}" if isinstance(value, int) else str(value))
    figures |= {"publisher": last, "engine": heard, "stream": check._asdict()}
    return Report([growth, counts], figures)
