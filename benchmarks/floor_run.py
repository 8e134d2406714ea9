"""Plays the floor of a run: its messages, at its moments, through a nats-server of their own."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from benchmarks.figures import Percentiles
from benchmarks.floor import write_schedule
from benchmarks.processes import cpu_seconds, running
from benchmarks.traffic import Notification
from drift_bus.nats_server import LocalNatsServer

__all__ = ["play_floor"]

_PATIENCE_S: Final = 30.0
_NOBODY: Final = Percentiles(float("nan"), float("nan"), 0)


async def play_floor(
    inside: list[Notification], schedule: Path, *, subscribed: bool = True
) -> tuple[Percentiles, Percentiles, dict[str, float]]:
    """Publishes the messages of these notifications at the moments at which the notifications were sent.

    Args:
        inside: The notifications, oldest first.
        schedule: A file to write.
        subscribed: Somebody hears the messages, as an engine does.

    Returns:
        Time to the subscriber, time to the acknowledgement, CPU seconds by process.
    """
    begin_ns = inside[0].sent_ns
    write_schedule(schedule, [((entry.sent_ns - begin_ns) / 1e9, entry.messages) for entry in inside])
    lasts_s = (inside[-1].sent_ns - begin_ns) / 1e9
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(LocalNatsServer())
        pids = {"floor nats": nats.pid}
        subscriber = None
        if subscribed:
            subscriber = await stack.enter_async_context(running("benchmarks.floor", "--nats-url", nats.url))
            await subscriber.hear()
            pids["floor engine"] = subscriber.pid
        publisher = await stack.enter_async_context(
            running("benchmarks.floor", "--nats-url", nats.url, "--schedule", str(schedule))
        )
        await publisher.hear()
        pids["floor publisher"] = publisher.pid
        before = cpu_seconds(pids)
        await publisher.hear(lasts_s + _PATIENCE_S)
        after = cpu_seconds(pids)
        delivered = Percentiles(*(await subscriber.finish())["delivered_ms"]) if subscriber else _NOBODY
        acked = Percentiles(*(await publisher.finish())["ack_ms"])
    return delivered, acked, {name: after[name] - before[name] for name in pids}
