"""History: replay at full speed and export, beside a bare nats-py pull loop over the same stream."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

import nats

from benchmarks.processes import WorkerFailed, running
from benchmarks.scene import running_scene
from benchmarks.table import Progress, Report, Table
from drift_bus.nats_server import LocalNatsServer
from drift_schemas import MarketDataEvent, Topology, decode_event
from drift_schemas.access import close_quietly
from drift_subscribers.history import Selection, read_history

__all__ = ["EVENTS", "measure"]

EVENTS: Final = 200_000
"""Events in the stream, unless told otherwise."""

_PATIENCE_S: Final = 7200.0
_SEED_MESSAGES: Final = 2000
_SEED_LOOKS: Final = 120
_TOPOLOGY: Final = Topology()
_READERS: Final = {
    "bare": "bare nats-py pull loop",
    "read": "read_history",
    "replay": "replay, --speed max",
    "parquet": "export to Parquet (zstd)",
    "csv": "export to CSV (gzip)",
    "jsonl": "export to JSON lines (gzip)",
}


async def measure(progress: Progress, runs: int, events: int = EVENTS) -> Report:
    """Fills a stream once, then reads it ``runs`` times in every way, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as name:
        folder = Path(name)
        progress("history: real events to begin with")
        seeds = folder / "seeds.json"
        seeds.write_text(json.dumps(await _seeds()))
        async with LocalNatsServer(store_dir=folder / "store") as server:
            progress(f"history: filling a stream with {events:,} events")
            filled = await _ask("fill", server.url, seeds, events)
            stored_bytes = await _stream_bytes(server.url)
            found: dict[str, list[dict[str, Any]]] = {what: [] for what in _READERS}
            for number in range(runs):
                for what, label in _READERS.items():
                    progress(f"history: {label}, run {number + 1} of {runs}")
                    found[what].append(await _ask(what, server.url, folder / f"{what}-{number}"))
            progress("history: import of the Parquet export")
            imported = await _ask("import", server.url, folder / "parquet-0")
    _check(found, imported, events)
    return _report(found, filled, imported, stored_bytes, events)


async def _seeds() -> list[tuple[str, dict[str, Any]]]:
    """The last event of every subject of a simulated cluster that ran for a moment."""
    last: dict[str, MarketDataEvent] = {}
    async with running_scene(500, "--perp-markets", "65") as scene:
        client = await nats.connect(scene.nats.url)

        for _ in range(_SEED_LOOKS):
            if (await client.jetstream().stream_info(_TOPOLOGY.stream)).state.messages >= _SEED_MESSAGES:
                break
            await asyncio.sleep(0.5)
        else:
            raise WorkerFailed(f"the publisher did not store {_SEED_MESSAGES} events to begin with")
        async for messages in read_history(client, _TOPOLOGY, Selection()):
            for message in messages:
                if message.kind is not None:
                    last[message.subject] = decode_event(message.kind, message.payload, message.headers)
        await close_quietly(client)
    return [(event.kind, event.model_dump()) for event in last.values()]


async def _ask(what: str, url: str, path: Path, events: int = 0) -> dict[str, Any]:
    async with running(
        "benchmarks.history_run", what, "--nats-url", url, "--path", str(path), "--events", str(events)
    ) as worker:
        return await worker.hear(_PATIENCE_S)


async def _stream_bytes(url: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info(_TOPOLOGY.stream)
    await close_quietly(client)
    return int(info.state.bytes)


def _check(found: dict[str, list[dict[str, Any]]], imported: dict[str, Any], events: int) -> None:
    """A way that did not see every event has not earned its figure."""
    for what, rounds in [*found.items(), ("import", [imported])]:
        for one in rounds:
            if one["events"] != events:
                raise WorkerFailed(f"history: {what} saw {one['events']} events of {events}")


def _report(
    found: dict[str, list[dict[str, Any]]],
    filled: dict[str, Any],
    imported: dict[str, Any],
    stored_bytes: int,
    events: int,
) -> Report:
    table = Table(
        f"history of {events:,} events, {stored_bytes / events:.0f} bytes each in the stream "
        f"(filled at {events / filled['seconds']:,.0f}/s)",
        ("", "events/s", "of bare", "CPU µs/event", "bytes/event", "peak MB", "MB at 10 / 50 / 100 %"),
    )
    floor = statistics.median(one["seconds"] for one in found["bare"])
    for what, rounds in found.items():
        seconds = statistics.median(one["seconds"] for one in rounds)
        cpu = statistics.median(one["cpu_s"] for one in rounds)
        resident = rounds[-1].get("resident_mb")
        table.add(
            _READERS[what],
            f"{events / seconds:,.0f}",
            f"{floor / seconds:.2f}x",
            f"{cpu / events * 1e6:.1f}",
            f"{rounds[-1]['bytes'] / events:.1f}" if "bytes" in rounds[-1] else "",
            f"{max(one['peak_mb'] for one in rounds):.0f}",
            " / ".join(f"{mb:.0f}" for mb in resident.values()) if resident else "",
        )
    table.add(
        "import of the Parquet export",
        f"{events / imported['seconds']:,.0f}",
        "",
        f"{imported['cpu_s'] / events * 1e6:.1f}",
        "",
        f"{imported['peak_mb']:.0f}",
        "",
    )
    figures = {"events": events, "stream_bytes": stored_bytes, "fill": filled, "import": imported, **found}
    return Report([table], figures)
