"""A bench process: fills a stream with a history, or reads one in the way it is told, and says what that took."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from benchmarks.processes import resident_mb, say
from drift_schemas import (
    CONTENT_TYPE,
    EVENT_TYPES,
    KINDS,
    MSG_ID_HEADER,
    SCHEMA_HEADER,
    Kind,
    Topology,
    encode_fields,
    schema_of,
)
from drift_schemas.access import close_quietly

__all__: list[str] = []

_TOPOLOGY: Final = Topology()
_BATCH: Final = 1000
_CHUNK: Final = 1000
_WINDOW: Final = 4000
_SEED: Final = 7


class _Walk:
    """Real events as a beginning, and a random walk of their quantities from there."""

    def __init__(self, seeds: Path) -> None:
        self._random = random.Random(_SEED)
        self._lines = [self._line(kind, fields) for kind, fields in json.loads(seeds.read_text())]
        self._weights = [6 if kind == "price" else 1 for kind, _, _, _ in self._lines]

    @staticmethod
    def _line(kind: Kind, fields: dict[str, Any]) -> tuple[Kind, str, dict[str, Any], list[str]]:
        units = EVENT_TYPES[kind].units()
        walking = [name for name, unit in units.items() if unit.exponent and isinstance(fields[name], int)]
        return kind, _TOPOLOGY.subjects.ingress(kind, fields["market"]), fields, walking

    def frames(self, count: int, inbox: str) -> Iterator[bytes]:
        """Publishes in NATS's own protocol, each with a message id and a reply subject."""
        lines = self._random.choices(self._lines, self._weights, k=count)
        head = {
            kind: f"NATS/1.0\r\nContent-Type: {CONTENT_TYPE}\r\n{SCHEMA_HEADER}: {schema_of(kind)}\r\n{MSG_ID_HEADER}: "
            for kind in KINDS
        }
        for number, (kind, subject, fields, walking) in enumerate(lines):
            self._step(fields, walking)
            payload = encode_fields(fields)
            headers = f"{head[kind]}{number:032x}\r\n\r\n".encode()
            line = f"HPUB {subject} {inbox} {len(headers)} {len(headers) + len(payload)}\r\n".encode()
            yield b"".join((line, headers, payload, b"\r\n"))

    def _step(self, fields: dict[str, Any], walking: list[str]) -> None:
        fields["slot"] += 1
        for name in ("observed_at_ns", "published_at_ns"):
            fields[name] += self._random.randrange(1_000_000)
        for name in self._random.sample(walking, min(6, len(walking))):
            fields[name] += self._random.randint(-1, 1) * (abs(fields[name]) // 5000)


async def _fill(url: str, seeds: Path, events: int) -> dict[str, Any]:
    """Makes the stream alone, without buckets, and fills it through a bare socket."""
    client = await nats.connect(url)
    config = {**_TOPOLOGY.stream_config(), "max_bytes": -1}
    await client.request(f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(config).encode())
    await close_quietly(client)
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=2**24)
    writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\nSUB _INBOX.fill 1\r\n')
    begin, sent, acked, chunk = time.monotonic(), 0, 0, []
    rest = b""
    for frame in _Walk(seeds).frames(events, "_INBOX.fill"):
        chunk.append(frame)
        sent += 1
        if len(chunk) < _CHUNK and sent < events:
            continue
        writer.write(b"".join(chunk))
        await writer.drain()
        chunk = []
        while acked < (sent if sent == events else sent - _WINDOW):
            data = rest + await reader.read(2**20)
            if b'"error"' in data or b"-ERR" in data:
                raise RuntimeError(data[:300].decode(errors="replace"))
            if b"PING\r\n" in data:
                writer.write(b"PONG\r\n")
            whole, newline, rest = data.rpartition(b"\n")
            acked += (whole + newline).count(b'"seq":')
    writer.close()
    return {"seconds": time.monotonic() - begin, "events": events}


async def _bare(client: Client) -> int:
    """The floor: nats-py's own pull consumer, nothing decoded."""
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True, num_replicas=1
    )
    subjects, count = _TOPOLOGY.subjects.everything, 0
    pull = await client.jetstream().pull_subscribe(subjects, stream=_TOPOLOGY.stream, config=config)
    left = (await pull.consumer_info()).num_pending or 0
    while count < left:
        count += len(await pull.fetch(min(_BATCH, left - count), timeout=30))
    return count


async def _read(client: Client) -> int:
    from drift_subscribers.history import Selection, read_history

    return sum([len(messages) async for messages in read_history(client, _TOPOLOGY, Selection())])


async def _replay(client: Client) -> int:
    from drift_subscribers.replay import Replay

    count = 0
    async with Replay(client, speed="max") as replay:
        async for _ in replay:
            count += 1
    return count


async def _timed(url: str, work: Callable[[Client], Awaitable[int]]) -> dict[str, Any]:
    client = await nats.connect(url)
    try:
        begin, cpu = time.monotonic(), time.process_time()
        count = await work(client)
        return {"events": count, "seconds": time.monotonic() - begin, "cpu_s": time.process_time() - cpu}
    finally:
        await close_quietly(client)


async def _export(url: str, folder: Path, file_format: str) -> dict[str, Any]:
    import os

    from drift_subscribers.archive import ExportProgress, export_history

    at = {0.1: 0.0, 0.5: 0.0, 1.0: 0.0}

    def note(progress: ExportProgress) -> None:
        for share, seen in at.items():
            if not seen and progress.fraction >= share:
                at[share] = resident_mb(os.getpid())

    sizes: list[int] = []

    async def work(client: Client) -> int:
        result = await export_history(
            client,
            _TOPOLOGY,
            folder,
            file_format=file_format,  # type: ignore[arg-type]
            gzipped=file_format != "parquet",
            on_progress=note,
        )
        sizes.append(sum(part.bytes for part in result.manifest.parts))
        return result.new_rows

    figures = await _timed(url, work)
    return {**figures, "bytes": sizes[0], "resident_mb": {f"{share:.0%}": mb for share, mb in at.items()}}


async def _import(url: str, folder: Path) -> dict[str, Any]:
    from drift_subscribers.archive import ExportSource, import_history

    return await _timed(
        url, lambda client: _imported(import_history(client, Topology("imported"), ExportSource(folder)))
    )


async def _imported(importing: Awaitable[Any]) -> int:
    return int((await importing).new_rows)


def _peak_mb() -> float:
    """Most resident memory so far; ru_maxrss would begin with that of the process that started this one."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else float("nan")


def main() -> int:
    """Does one thing, and says the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.history_run")
    parser.add_argument("what", choices=["fill", "bare", "read", "replay", "parquet", "csv", "jsonl", "import"])
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--path", type=Path, default=Path())
    options = parser.parse_args()
    match options.what:
        case "fill":
            figures = asyncio.run(_fill(options.nats_url, options.path, options.events))
        case "import":
            figures = asyncio.run(_import(options.nats_url, options.path))
        case "bare" | "read" | "replay" as how:
            figures = asyncio.run(_timed(options.nats_url, {"bare": _bare, "read": _read, "replay": _replay}[how]))
        case file_format:
            figures = asyncio.run(_export(options.nats_url, options.path, file_format))
    say(**figures, peak_mb=_peak_mb())
    return 0


if __name__ == "__main__":
    sys.exit(main())
