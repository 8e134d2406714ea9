"""Updates a second: what stock driftpy only decodes, beside each stretch of our way from socket to acknowledgement.

driftpy reads Drift only: of another program the stretches of our way stand alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.decode import stock_decoders
from benchmarks.processes import cpu_seconds
from benchmarks.program import has_sdk
from benchmarks.recording import Recording, filled_store, record
from benchmarks.sources import replaying_source
from benchmarks.table import Progress, Report, Table
from benchmarks.traffic import MessageBasket, new_projector
from drift_bus.nats_server import LocalNatsServer
from drift_publisher.bus import Bus
from drift_publisher.nats_connection import connect_nats
from drift_publisher.source import AccountUpdate
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import Topology

__all__ = ["measure"]

_FRAMES: Final = 10_000
_CHUNK: Final = 64
_IN_FLIGHT: Final = 384
_PATIENCE_S: Final = 60.0


class Passage(NamedTuple):
    """One run over a stretch: updates done, and what they cost."""

    updates: float
    wall_s: float
    cpu_s: float
    server_cpu_s: float = 0.0
    not_stored: int = 0
    messages: int = 0


async def _stock_decode(recording: Recording) -> Passage:
    calls = stock_decoders(recording.updates, filled_store(recording.accounts))["live mix"]
    wall, cpu = time.perf_counter(), time.process_time()
    for call in calls:
        call()
    return Passage(len(calls), time.perf_counter() - wall, time.process_time() - cpu)


async def _project(recording: Recording) -> Passage:
    store, basket = filled_store(recording.accounts), MessageBasket()
    projector = new_projector(store, basket)
    projector.publish_all()
    messages, wall, cpu = 0, time.perf_counter(), time.process_time()
    for update in recording.updates:
        projector.publish(store.apply(update))
        messages += len(basket.messages)
        basket.messages.clear()
    spent, used = time.perf_counter() - wall, time.process_time() - cpu
    return Passage(len(recording.updates), spent, used, messages=messages)


async def _to_store(recording: Recording) -> Passage:
    store, done, finished = filled_store(recording.accounts), 0, asyncio.Event()

    def deliver(update: AccountUpdate) -> None:
        nonlocal done
        store.apply(update)
        done += 1
        if done == len(recording.frames):
            finished.set()

    async with replaying_source(recording, store, deliver) as (replay, begin):
        begin()
        wall, cpu, done = time.perf_counter(), time.process_time(), 0
        await replay.tell(str(len(recording.frames)))
        await asyncio.wait_for(finished.wait(), _PATIENCE_S)
        return Passage(done, time.perf_counter() - wall, time.process_time() - cpu)


async def _whole(recording: Recording) -> Passage:
    """Sends on credit: as fast as acknowledgements come, so that nothing has to be superseded."""
    topology = Topology()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(LocalNatsServer())
        nats = await stack.enter_async_context(
            connect_nats([server.url], name="benchmark", timeout_s=10, reconnected=asyncio.Event())
        )
        await ensure_topology(nats, topology)
        bus = Bus(nats)
        sending = asyncio.create_task(bus.run(), name="bus")
        stack.callback(sending.cancel)
        store, delivered = filled_store(recording.accounts), 0
        submitted, submit = 0, bus.submit

        def counted(message: Any) -> None:
            nonlocal submitted
            submitted += 1
            submit(message)

        bus.submit = counted  # type: ignore[method-assign]
        projector = new_projector(store, bus)

        def deliver(update: AccountUpdate) -> None:
            nonlocal delivered
            delivered += 1
            projector.publish(store.apply(update))

        replay, begin = await stack.enter_async_context(replaying_source(recording, store, deliver))
        projector.publish_all()
        await bus.drained(10)
        begin()
        bus.counts.clear()
        delivered = submitted = credited = 0
        server_cpu = cpu_seconds({"nats": server.pid})["nats"]
        wall, cpu = time.perf_counter(), time.process_time()
        async with asyncio.timeout(_PATIENCE_S):
            while delivered < len(recording.frames) or bus.outstanding:
                waiting = credited - delivered + submitted - bus.counts.total()
                if credited < len(recording.frames) and waiting + _CHUNK <= _IN_FLIGHT:
                    credited += _CHUNK
                    await replay.tell(str(_CHUNK))
                else:
                    await asyncio.sleep(0.001)
        spent, used = time.perf_counter() - wall, time.process_time() - cpu
        not_stored = submitted - bus.counts["stored"]
        return Passage(
            delivered * bus.counts["stored"] / submitted,
            spent,
            used,
            cpu_seconds({"nats": server.pid})["nats"] - server_cpu,
            not_stored,
            submitted,
        )


_STOCK: Final = "(a) driftpy: decode, nothing else"
_STRETCHES: Final[dict[str, Callable[[Recording], Awaitable[Passage]]]] = {
    _STOCK: _stock_decode,
    "(b) ours: socket bytes → store": _to_store,
    "(c) ours: decode, project, encode": _project,
    "(d) ours: socket bytes → JetStream's ack": _whole,
}


async def measure(progress: Progress, runs: int) -> Report:
    """Runs every stretch in turn; each ratio is the median of those to (a) of the same run, where there is an (a)."""
    progress("throughput: recording traffic")
    recording = await record(_FRAMES)
    stretches = {name: stretch for name, stretch in _STRETCHES.items() if name != _STOCK or has_sdk()}
    found: dict[str, list[Passage]] = {name: [] for name in stretches}
    for number in range(runs):
        for name, stretch in stretches.items():
            progress(f"throughput: {name}, run {number + 1} of {runs}")
            found[name].append(await stretch(recording))
    table = Table(
        f"Updates a second, the same {_FRAMES:,} notifications; CPU s per 1,000",
        (
            "stretch",
            "updates/s",
            "ratio to (a)",
            "CPU s per 1,000",
            "CPU ratio",
            "server CPU",
            "messages",
            "not stored",
        ),
    )
    figures: dict[str, Any] = {}
    base = found.get(_STOCK, [])
    for name, passages in found.items():
        per_s = [run.updates / run.wall_s for run in passages]
        cpu = [run.cpu_s / run.updates * 1000 for run in passages]
        ratios: tuple[float | None, float | None] = (None, None)
        if base:
            ratios = (
                median(mine / (a.updates / a.wall_s) for mine, a in zip(per_s, base, strict=True)),
                median((a.cpu_s / a.updates * 1000) / mine for mine, a in zip(cpu, base, strict=True)),
            )
        told = ["" if one is None else f"{one:.2f}×" for one in ratios]
        server = median(run.server_cpu_s / run.updates * 1000 for run in passages)
        not_stored = max(run.not_stored for run in passages)
        table.add(
            name, f"{median(per_s):,.0f}", told[0], f"{median(cpu):.4f}", told[1],
            f"{server:.4f}" if server else "", f"{passages[0].messages:,}" if passages[0].messages else "",
            str(not_stored) if passages[0].messages else "",
        )  # fmt: skip
        figures[name] = {
            "updates_per_s": median(per_s), "ratio": ratios[0], "cpu_s_per_1000": median(cpu), "cpu_ratio": ratios[1],
            "server_cpu_s_per_1000": server, "not_stored": not_stored, "runs": [run._asdict() for run in passages],
        }  # fmt: skip
    return Report([table], figures)
