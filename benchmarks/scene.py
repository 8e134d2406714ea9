"""What most benches stand on: node, nats-server and publisher, each its own process, and a window to measure in."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.processes import Worker, cpu_seconds, running
from benchmarks.table import Progress
from drift_bus.nats_server import LocalNatsServer

__all__ = ["Scene", "Window", "at_each_rate", "running_scene", "window"]

R = TypeVar("R")


@dataclass(frozen=True)
class Scene:
    """A chain and a bus: what an engine needs around it."""

    nats: LocalNatsServer
    node: Worker
    publisher: Worker
    rpc_url: str
    """The node's, for HTTP."""
    ready_ns: int
    """When the publisher had read every account, on the monotonic clock."""

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by part."""
        return {"node": self.node.pid, "nats": self.nats.pid, "publisher": self.publisher.pid}


@contextlib.asynccontextmanager
async def running_scene(
    updates_per_s: float, *node_options: str, publisher_options: Sequence[str] = ()
) -> AsyncIterator[Scene]:
    """Runs a scene whose publisher has read every account."""
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(LocalNatsServer())
        pace = ("--updates-per-second", str(updates_per_s), *node_options)
        node = await stack.enter_async_context(running("benchmarks.node", *pace))
        rpc_url = (await node.hear())["http_url"]
        ends = ("--rpc-url", rpc_url, "--nats-url", nats.url)
        publisher = await stack.enter_async_context(running("benchmarks.observed", *ends, *publisher_options))
        yield Scene(nats, node, publisher, rpc_url, (await publisher.hear())["ready_ns"])


class Window(NamedTuple):
    """A stretch of time on the monotonic clock, and the CPU seconds that each process spent in it."""

    begin_ns: int
    end_ns: int
    cpu_s: dict[str, float]


async def window(pids: Mapping[str, int], seconds: float) -> Window:
    """Lets a window pass."""
    before, begin_ns = cpu_seconds(pids), time.monotonic_ns()
    await asyncio.sleep(seconds)
    after, end_ns = cpu_seconds(pids), time.monotonic_ns()
    return Window(begin_ns, end_ns, {name: after[name] - before[name] for name in pids})


async def at_each_rate(
    progress: Progress, name: str, rates: Sequence[int], runs: int, one_run: Callable[[int, Path], Awaitable[R]]
) -> dict[int, list[R]]:
    """Calls ``one_run(rate, temporary folder)`` at every rate, and all of that ``runs`` times."""
    found: dict[int, list[R]] = defaultdict(list)
    for number in range(runs):
        for rate in rates:
            progress(f"{name}: {rate} updates/s, run {number + 1} of {runs}")
            with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as folder:
                found[rate].append(await one_run(rate, Path(folder)))
    return found
