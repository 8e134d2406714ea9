"""How the publisher meets each fault: when it notices, when right data flows again, what it asks of the node."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import nats
from nats.aio.msg import Msg

from benchmarks.processes import Worker, running
from benchmarks.program import node_config
from benchmarks.recovery_cases import CASES, CUT, Case
from benchmarks.table import Progress, Report, Table
from benchmarks.truth import Truth
from drift_bus.nats_server import LocalNatsServer
from drift_schemas import Topology, decode_event
from drift_schemas.access import close_quietly
from drift_simulator import Fault, Simulator

__all__ = ["measure"]

_AT_ONCE: Final = 3
_UPDATES_PER_S: Final = 50
_LOOK_EVERY_S: Final = 0.05
_BEHIND_S: Final = 2.0
_SETTLE_S: Final = 2.5
_PATIENCE_S: Final = 75.0
_NEVER: Final = float("inf")


@dataclass
class _Outcome:
    """What one fault did; seconds. The times after its end are infinite where the bench gave up waiting."""

    noticed_s: float | None
    behind_s: float
    right_after_end_s: float
    live_after_end_s: float
    sockets: int
    attempts_per_s: float
    requests_meanwhile: int
    requests: int
    wrong: int
    went_back: int


class _Scene:
    """One chain, one publisher, one reader of the bus."""

    def __init__(self, simulator: Simulator, publisher: Worker, truth: Truth, case: Case) -> None:
        self.simulator = simulator
        self.truth = truth
        self.case = case
        self.behind_s = 0.0
        self.lines: list[dict[str, Any]] = []
        self.bent = _markets_bent(simulator, case)
        self._publisher = publisher
        self._looked_at = 0.0

    async def listen(self) -> None:
        """Keeps what the publisher tells about itself."""
        while True:
            self.lines.append(await self._publisher.hear(3600))

    @property
    def is_live(self) -> bool:
        """The publisher says that it is."""
        return bool(self.lines) and self.lines[-1]["state"] == "live"

    def noticed_s(self, since_ns: int) -> float | None:
        """When the publisher's own count showed the fault."""
        name, before = self.case.noticed_by, [line for line in self.lines if line.get("at_ns", 0) <= since_ns]
        if name is None:
            return None
        base = before[-1].get(name, 0) if before else 0
        for line in self.lines:
            if line.get("at_ns", 0) > since_ns and line[name] >= base + self.case.noticed_at:
                return float(line["at_ns"] - since_ns) / 1e9
        return None

    async def until(self, done: Callable[[], bool], patience_s: float = _PATIENCE_S) -> float:
        """Waits, and measures meanwhile how long the bus is behind; returns the seconds, infinite after giving up."""
        begin = self._looked_at = time.monotonic()
        while not done():
            if time.monotonic() - begin > patience_s:
                return _NEVER
            await asyncio.sleep(_LOOK_EVERY_S)
            now, before = time.monotonic(), self._looked_at
            self.truth.remember()
            if self.truth.is_behind(_BEHIND_S, but=self.bent):
                self.behind_s += now - before
            self._looked_at = now
        return time.monotonic() - begin


async def _read_bus(stack: contextlib.AsyncExitStack, nats_url: str, truth: Truth) -> None:
    client = await nats.connect(nats_url)
    stack.push_async_callback(close_quietly, client)

    async def on_price(message: Msg) -> None:
        truth.show(decode_event("price", message.data, message.headers).__dict__)

    await client.subscribe(Topology().subjects.everything.removesuffix(">") + "price.*", cb=on_price)
    await client.flush()


def _markets_bent(simulator: Simulator, case: Case) -> frozenset[str]:
    """The markets whose data an account fault takes away by its nature: they may be behind while it lasts."""
    if not case.about:
        return frozenset()
    market = simulator.cluster.perp(case.market)
    alike = (other.name for other in simulator.cluster.markets if other.oracle == market.oracle)
    return frozenset((market.name, *alike)) if case.about == "oracle" else frozenset((market.name,))


def _faults(simulator: Simulator, case: Case) -> list[Fault]:
    options = dict(case.options)
    if case.about:
        market = simulator.cluster.perp(case.market)
        options["pubkey"] = str(market.pubkey if case.about == "market" else market.oracle)
    return [Fault(kind=case.kind, **options), *([CUT] if case.cut else [])]


async def _run(case: Case) -> _Outcome:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(LocalNatsServer())
        simulator = await stack.enter_async_context(Simulator(node_config(updates_per_second=_UPDATES_PER_S)))
        truth = Truth(simulator)
        await _read_bus(stack, server.url, truth)
        if case.at_start:
            _inject(simulator, case)
        begin_ns = time.monotonic_ns()
        ends = ("--rpc-url", simulator.http_url, "--nats-url", server.url, "--watch")
        publisher = await stack.enter_async_context(running("benchmarks.observed", *ends))
        scene = _Scene(simulator, publisher, truth, case)
        listening = asyncio.create_task(scene.listen(), name="listening")
        stack.callback(listening.cancel)
        counters = simulator.counters
        before = (counters.sockets_total, counters.connection_attempts, counters.http_posts)
        if not case.at_start:
            await scene.until(lambda: scene.is_live and not truth.lacks(truth.newest))
            await scene.until(lambda: False, _SETTLE_S)
            scene.behind_s = 0.0
            before = (counters.sockets_total, counters.connection_attempts, counters.http_posts)
            begin_ns = time.monotonic_ns()
            _inject(simulator, case)
        await scene.until(lambda: False, case.lasts_s)
        attempts, meanwhile = counters.connection_attempts - before[1], counters.http_posts - before[2]
        at_end = dict(truth.newest)
        simulator.faults.clear()
        right_s = await scene.until(lambda: not truth.lacks(at_end))
        live_s = right_s + await scene.until(lambda: scene.is_live)
        await scene.until(lambda: False, _SETTLE_S)
        return _Outcome(
            scene.noticed_s(begin_ns),
            scene.behind_s,
            right_s,
            live_s,
            counters.sockets_total - before[0],
            attempts / case.lasts_s,
            meanwhile,
            counters.http_posts - before[2],
            truth.wrong,
            truth.went_back,
        )


def _inject(simulator: Simulator, case: Case) -> None:
    for fault in _faults(simulator, case):
        simulator.faults.inject(fault)


async def measure(progress: Progress, runs: int) -> Report:
    """Injects every fault once, a few at a time, each with a node and a publisher of its own; ``runs`` has no say."""
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> _Outcome:
        async with some:
            progress(f"recovery: {case.name}, {case.lasts_s:g} s")
            return await _run(case)

    outcomes = await asyncio.gather(*map(one, CASES))
    found = sorted(zip(CASES, outcomes, strict=True), key=lambda pair: pair[0].name)
    times = Table(
        f"Faults at {_UPDATES_PER_S} updates/s, seconds; behind: some market that the fault leaves alone, by 2 s",
        ("fault", "lasts", "noticed", "behind", "right after end", "live after end", "wrong", "back"),
    )
    load = Table(
        "What the node was asked, from the fault's beginning",
        ("fault", "sockets", "attempts/s", "requests while it lasted", "requests"),
    )
    for case, outcome in found:
        times.add(
            case.name, f"{case.lasts_s:g}", "–" if outcome.noticed_s is None else f"{outcome.noticed_s:.2f}",
            *map(_seconds, (outcome.behind_s, outcome.right_after_end_s, outcome.live_after_end_s)),
            str(outcome.wrong), str(outcome.went_back),
        )  # fmt: skip
        counts = (outcome.requests_meanwhile, outcome.requests)
        load.add(case.name, str(outcome.sockets), f"{outcome.attempts_per_s:.2f}", *map(str, counts))
    return Report([times, load], {case.name: {"lasts_s": case.lasts_s, **_finite(outcome)} for case, outcome in found})


def _finite(outcome: _Outcome) -> dict[str, Any]:
    return {name: None if value == _NEVER else value for name, value in asdict(outcome).items()}


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < _NEVER else f"not in {_PATIENCE_S:g}"
