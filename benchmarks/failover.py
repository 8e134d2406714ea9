"""The leading publisher fails under load: when the standby's first event reaches an engine, and what it was given."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.program import node_config
from benchmarks.table import Progress, Report, Table
from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Simulator
from tests.support.failover import Contender, Scene, Verdict, scene

__all__ = ["measure"]

_AT_ONCE: Final = 3
_UPDATES_PER_S: Final = 200
_MARKETS: Final = ("SOL-PERP", "BTC-PERP")


@dataclass(frozen=True)
class _Fault:
    """One row.

    Attributes:
        name: For the table.
        begin: Does it to the leader.
        end: Undoes it; ``None`` where the process is gone and another is started.
    """

    name: str
    begin: Callable[[Contender], None]
    end: Callable[[Contender], None] | None


_FAULTS: Final = (
    _Fault("kill -9", lambda leader: leader.process.kill(), None),
    _Fault("SIGTERM", lambda leader: leader.process.terminate(), None),
    _Fault("SIGSTOP, SIGCONT", Contender.freeze, Contender.thaw),
    _Fault("NATS: packets lost", lambda leader: leader.nats.hold(), Contender.mend),
    _Fault("NATS: connections cut", lambda leader: leader.nats.cut(), Contender.mend),
    _Fault("chain silent", Contender.deafen, Contender.mend),
)


async def _repeat(fault: _Fault, runs: int) -> tuple[list[float], Verdict]:
    pauses_s = []
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(LocalNatsServer())
        simulator = await stack.enter_async_context(Simulator(node_config(updates_per_second=_UPDATES_PER_S)))
        stage = await stack.enter_async_context(scene(simulator, server, {}, {}))
        for _ in range(runs):
            leader = await stage.ready()
            pauses_s.append(await _once(stage, leader, fault))
            if fault.end is not None:
                fault.end(leader)
            else:
                stage.contenders.remove(leader)
                await stack.enter_async_context(stage.contender())
        await stage.ready()
        return pauses_s, await stage.verdict()


async def _once(stage: Scene, leader: Contender, fault: _Fault) -> float:
    """Returns seconds from the fault to the first event of the next epoch; funding settles before it and in the gap."""
    before, began = stage.epoch, time.monotonic()
    stage.settle(_MARKETS[0])
    fault.begin(leader)
    stage.settle(_MARKETS[1])
    await stage.taken_over(before)
    await stage.settlements_seen()
    return stage.first_at[stage.epoch] - began


async def measure(progress: Progress, runs: int) -> Report:
    """Repeats every fault ``runs`` times, each on a bus of its own with two publishers and a lossless engine.

    A few faults run at a time: they share the cores, so the pauses are those of a loaded machine.
    """
    table = Table(
        f"The leader fails at {_UPDATES_PER_S} updates/s: seconds to the standby's first event, {runs} times each",
        ("fault", "p50", "max", "events", "lost", "settlements lost", "duplicates", "old epoch"),
    )
    figures: dict[str, Any] = {}
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(fault: _Fault) -> tuple[list[float], Verdict]:
        async with some:
            progress(f"failover: {fault.name}, {runs} times")
            pauses_s, verdict = await _repeat(fault, runs)
            progress(f"failover: {fault.name}: {max(pauses_s):.2f} s at most, {verdict}")
            return pauses_s, verdict

    for fault, (pauses_s, verdict) in zip(_FAULTS, await asyncio.gather(*map(one, _FAULTS)), strict=True):
        counts = (verdict.events, len(verdict.lost), verdict.unsettled, verdict.duplicates, verdict.old_epoch)
        table.add(
            fault.name,
            f"{statistics.median(pauses_s):.2f}",
            f"{max(pauses_s):.2f}",
            *(f"{count:,}" for count in counts),
        )
        figures[fault.name] = {"pauses_s": pauses_s, **verdict._asdict()}
    return Report([table], figures)
