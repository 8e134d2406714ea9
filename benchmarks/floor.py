"""The floor: the same messages at the same moments through NATS alone, by bare nats-py, in processes of their own."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.figures import percentiles_ms
from benchmarks.processes import say, serve
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import Topology
from drift_schemas.access import close_quietly

__all__ = ["write_schedule"]

_STAMP_BYTES: Final = 8
_TOPOLOGY: Final = Topology()


def write_schedule(path: Path, moments: list[tuple[float, list[tuple[str, int]]]]) -> None:
    """Writes what :func:`_publish` plays: (seconds from the start, [(subject, payload size)])."""
    path.write_bytes(orjson.dumps(moments))


async def _publish(nats_client: Client, schedule: Path, stop: asyncio.Event) -> None:
    """Publishes by the schedule, as a publisher must: to the ingress subject, with a reply for the acknowledgement."""
    await ensure_topology(nats_client, _TOPOLOGY)
    inbox = nats_client.new_inbox()
    sent: list[int] = []
    acked: list[float] = []

    async def on_ack(reply: Msg) -> None:
        acked.append((time.monotonic_ns() - sent[int(reply.subject.rpartition(".")[2])]) / 1e9)

    await nats_client.subscribe(f"{inbox}.*", cb=on_ack)
    moments = orjson.loads(schedule.read_bytes())
    padding = os.urandom(65536)
    say(ready=True)
    await asyncio.sleep(1.0)
    begin = time.monotonic()
    for offset_s, messages in moments:
        if (pause_s := begin + offset_s - time.monotonic()) > 0:
            await asyncio.sleep(pause_s)
        for subject, size in messages:
            now_ns = time.monotonic_ns()
            payload = now_ns.to_bytes(_STAMP_BYTES) + padding[: max(0, size - _STAMP_BYTES)]
            sent.append(now_ns)
            await nats_client.publish(subject, payload, reply=f"{inbox}.{len(sent) - 1}")
    while len(acked) < len(sent) and not stop.is_set():
        await asyncio.sleep(0.05)
    say(finished=True)
    await stop.wait()
    say(ack_ms=percentiles_ms(acked), messages=len(sent))


async def _subscribe(nats_client: Client, stop: asyncio.Event) -> None:
    samples: list[float] = []

    async def on_message(message: Msg) -> None:
        samples.append((time.monotonic_ns() - int.from_bytes(message.data[:_STAMP_BYTES])) / 1e9)

    await nats_client.subscribe(_TOPOLOGY.subjects.everything, cb=on_message)
    await nats_client.flush()
    say(ready=True)
    await stop.wait()
    say(delivered_ms=percentiles_ms(samples))


def main() -> int:
    """Plays one side until stdin closes, then tells what it measured."""
    parser = argparse.ArgumentParser(prog="benchmarks.floor")
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--schedule", type=Path, help="publish this; without it, subscribe")
    options = parser.parse_args()

    async def work(stop: asyncio.Event) -> None:
        nats_client = await nats.connect(options.nats_url)
        try:
            if options.schedule:
                await _publish(nats_client, options.schedule, stop)
            else:
                await _subscribe(nats_client, stop)
        finally:
            await close_quietly(nats_client)

    return serve(work)


if __name__ == "__main__":
    sys.exit(main())
