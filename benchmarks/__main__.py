"""``python -m benchmarks``: measures the promises; tables on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import (
    acks,
    cluster,
    decode,
    engines,
    failover,
    history,
    latency,
    memory,
    outages,
    reads,
    recovery,
    slow,
    soak,
    start,
    throughput,
)
from benchmarks.processes import WorkerFailed
from benchmarks.program import choose
from benchmarks.table import Progress, Report, show
from drift_publisher.profiles import DRIFT_V2, PROFILES

__all__ = ["main"]

_Measure = Callable[[Progress, int], Awaitable[Report]]
_BENCHES: Final[dict[str, tuple[_Measure, str]]] = {
    "decode": (decode.measure, "accounts decoded a second, ours and stock driftpy's"),
    "throughput": (throughput.measure, "updates a second, from decoding alone to acknowledged events"),
    "latency": (latency.measure, "notification sent to engine callback, beside bare NATS"),
    "acks": (acks.measure, "notification sent to JetStream's acknowledgement, beside bare NATS"),
    "engines": (engines.measure, "1, 8, 64 engines beside stock DriftClients: what the node is asked, CPU, latency"),
    "memory": (memory.measure, "resident memory of engine processes beside a stock DriftClient's"),
    "reads": (reads.measure, "what one sync read takes"),
    "slow": (slow.measure, "a fast engine's latency, alone and beside one that takes an event a second"),
    "outages": (outages.measure, "server killed or frozen, network gone: recovery of an engine, and what it lost"),
    "cluster": (cluster.measure, "three nats-servers, each killed under load: pauses, and what was lost"),
    "failover": (
        failover.measure,
        "the leading publisher fails: when the standby's first event comes, and what was lost",
    ),
    "recovery": (recovery.measure, "each fault: noticed when, right again when, what the node was asked"),
    "start": (start.measure, "first data in a new engine, and from a new publisher"),
}
_SOAK: Final = "soak"
_HISTORY: Final = "history"


def _parser() -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:11} {what}" for name, (_, what) in _BENCHES.items())
    listing += f"\n  {_HISTORY:11} replay and export beside a bare nats-py pull loop (takes --events)"
    listing += f"\n  {_SOAK:11} minutes of faults: growth, losses, order (only when named; takes --minutes)"
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measures what drift-bus promises, on this machine, without network.\n\nbenches:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bench", nargs="*", help="which to run; all but soak when none is named")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="repetitions, of which the median counts")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long soak lasts")
    parser.add_argument("--events", type=int, default=history.EVENTS, metavar="N", help="how many history has")
    parser.add_argument(
        "--program", choices=tuple(PROFILES), default=DRIFT_V2.name, help="what the simulated chain runs; drift-v2"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return parser


def _tell(text: str) -> None:
    """A line, not a spinner: a spinner's thread would be measured too."""
    sys.stderr.write(f"{text}\n")


async def _measure(names: list[str], options: argparse.Namespace, out: Console) -> dict[str, Any]:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel if task else loop.stop)
    figures: dict[str, Any] = {}
    for name in names:
        if name == _SOAK:
            report = await soak.measure(_tell, options.minutes)
        elif name == _HISTORY:
            report = await history.measure(_tell, options.runs, options.events)
        else:
            report = await _BENCHES[name][0](_tell, options.runs)
        show(out, report)
        figures[name] = report.figures
    return figures


def main() -> int:
    """Returns the exit status: 0, 1 where a bench could not run, 2 for a wrong argument, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args()
    unknown = sorted(set(options.bench) - {*_BENCHES, _HISTORY, _SOAK})
    if unknown:
        parser.error(f"no bench called {', '.join(unknown)}")
    if options.runs < 1 or options.minutes <= 0:
        parser.error("--runs: at least 1" if options.runs < 1 else "--minutes: more than 0")
    if options.events < 1:
        parser.error("--events: at least 1")
    choose(options.program)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    out = Console(width=None if sys.stdout.isatty() else 140)
    out.print(
        f"{options.program}; {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}; "
        f"median of {options.runs}"
    )
    try:
        figures = asyncio.run(_measure(options.bench or [*_BENCHES, _HISTORY], options, out))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("stopped\n")
        return 130
    except WorkerFailed as failed:
        sys.stderr.write(f"benchmarks: {failed}\n")
        return 1
    if options.json:
        options.json.write_text(json.dumps({"program": options.program, **figures}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
