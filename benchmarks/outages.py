"""Server killed, server frozen, network gone: how soon an engine knows, how soon it is right again, what it lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.processes import Worker, running
from benchmarks.scene import Scene, running_scene
from benchmarks.stream_check import StreamCheck, check_stream
from benchmarks.table import Progress, Report, Table
from tests.support.line import Line

__all__ = ["measure"]

_UPDATES_PER_S: Final = 200
_WARM_UP_S: Final = 4.0
_REST_S: Final = 8.0
_LAST_ARRIVALS_S: Final = 1.0
_SOON_NS: Final = 10**9
_READERS: Final = {"DriftFeed, Lossless": (), "bare nats-py": ("--bare",)}

_Act = Callable[[Scene, Line], Awaitable[None]]


class _Fault(NamedTuple):
    """What is done, for how long, and what undoes it."""

    name: str
    seconds: float
    begin: _Act
    end: _Act


async def _kill(scene: Scene, line: Line) -> None:
    await scene.nats.kill()


async def _start(scene: Scene, line: Line) -> None:
    await scene.nats.start()


async def _freeze(scene: Scene, line: Line) -> None:
    scene.nats.signal(signal.SIGSTOP)


async def _thaw(scene: Scene, line: Line) -> None:
    scene.nats.signal(signal.SIGCONT)


async def _cut(scene: Scene, line: Line) -> None:
    line.cut()


async def _hold(scene: Scene, line: Line) -> None:
    line.hold()


async def _mend(scene: Scene, line: Line) -> None:
    line.mend()


_FAULTS: Final = (
    _Fault("kill -9, restarted at once", 0.0, _kill, _start),
    _Fault("kill -9, back after 5 s", 5.0, _kill, _start),
    _Fault("SIGSTOP for 10 s", 10.0, _freeze, _thaw),
    _Fault("connection reset, 5 s", 5.0, _cut, _mend),
    _Fault("packets lost, 12 s", 12.0, _hold, _mend),
)


class _Span(NamedTuple):
    """When a fault lasted, wall nanoseconds, and when the next one began."""

    begin_ns: int
    end_ns: int
    until_ns: int


@dataclass
class _Outcome:
    """Seconds; ``None`` where it did not happen."""

    noticed_s: float | None
    reads_gone_s: float | None
    reason: str
    live_s: float | None
    reads_back_s: float | None
    first_event_s: dict[str, float | None]
    caught_up_s: dict[str, float | None]
    """Until the last event that was published before the fault's end had come."""
    came_late: dict[str, int]


async def measure(progress: Progress, runs: int) -> Report:
    """Does every fault once, to one bus, one feed and one bare subscription; ``runs`` is not asked."""
    with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as name:
        folder = Path(name)
        spans: list[_Span] = []
        async with contextlib.AsyncExitStack() as stack:
            options = ("--acked-ids", str(folder / "acked"))
            scene = await stack.enter_async_context(running_scene(_UPDATES_PER_S, publisher_options=options))
            line = await stack.enter_async_context(Line(scene.nats.url))
            readers: list[Worker] = []
            opened_ns = 0
            for number, bare in enumerate(_READERS.values()):
                place = ("--nats-url", line.url, "--folder", str(folder / str(number)), *bare)
                readers.append(await stack.enter_async_context(running("benchmarks.witness", *place)))
                opened_ns = (await readers[-1].hear())["open_ns"]
            await asyncio.sleep(_WARM_UP_S)
            for fault in _FAULTS:
                progress(f"outages: {fault.name}")
                begin_ns = time.time_ns()
                await fault.begin(scene, line)
                await asyncio.sleep(fault.seconds)
                await fault.end(scene, line)
                end_ns = time.time_ns()
                await asyncio.sleep(_REST_S)
                spans.append(_Span(begin_ns, end_ns, time.time_ns()))
            await scene.publisher.finish()
            await asyncio.sleep(_LAST_ARRIVALS_S)
            heard = await readers[0].finish()
            await readers[1].stop()
            progress("outages: reading the stream")
            checks = {
                reader: await check_stream(
                    scene.nats.url, folder / "acked", folder / str(number) / "received", opened_ns + _SOON_NS
                )
                for number, reader in enumerate(_READERS)
            }
        outcomes = {fault.name: _outcome(folder, span) for fault, span in zip(_FAULTS, spans, strict=True)}
    return _report(outcomes, checks, heard)


def _outcome(folder: Path, span: _Span) -> _Outcome:
    """What the readers noted about one fault."""
    standing = [line.split(" ", 4) for line in (folder / "0" / "standing").read_text().splitlines()]
    seen = [(int(at), state, int(fresh) == int(known), reason) for at, state, fresh, known, reason in standing]
    during = [one for one in seen if span.begin_ns <= one[0] < span.until_ns]
    lost = next((at for at, state, _, _ in during if state != "live"), None)
    gone = next(((at, reason) for at, _, whole, reason in during if not whole), None)
    first_event: dict[str, float | None] = {}
    caught_up: dict[str, float | None] = {}
    came_late: dict[str, int] = {}
    for number, reader in enumerate(_READERS):
        moments = [
            tuple(map(int, line.split(" "))) for line in (folder / str(number) / "arrivals").read_text().splitlines()
        ]
        after = [(at, published) for at, published in moments if span.end_ns <= at < span.until_ns]
        late = [at for at, published in after if published < span.end_ns]
        first_event[reader] = _since(span.end_ns, after[0][0] if after else None)
        caught_up[reader] = _since(span.end_ns, max(late, default=span.end_ns) if after else None)
        came_late[reader] = len(late)
    return _Outcome(
        _since(span.begin_ns, lost),
        _since(span.begin_ns, gone[0] if gone else None),
        gone[1] if gone else "",
        _since(span.end_ns, _back(seen, span, lambda state, whole: state == "live")),
        _since(span.end_ns, _back(seen, span, lambda state, whole: whole)),
        first_event,
        caught_up,
        came_late,
    )


def _back(seen: list[tuple[int, str, bool, str]], span: _Span, good: Callable[[str, bool], bool]) -> int | None:
    """From when on it was good until the next fault; not before the fault's end."""
    since: int | None = None
    for at, state, whole, _ in seen:
        if at >= span.until_ns:
            break
        if not good(state, whole):
            since = None
        elif since is None:
            since = at
    return None if since is None else max(since, span.end_ns)


def _since(begin_ns: int, at_ns: int | None) -> float | None:
    return None if at_ns is None else (at_ns - begin_ns) / 1e9


def _report(outcomes: dict[str, _Outcome], checks: dict[str, StreamCheck], heard: dict[str, Any]) -> Report:
    feed, bare = _READERS
    times = Table(
        f"Outages at {_UPDATES_PER_S} updates/s; seconds, the first two from the fault's begin, the rest from its end",
        (
            "fault", "noticed", "reads gone", "because", "live", "reads whole", "first event", "caught up",
            "events of the outage", "bare nats-py: first event",
        ),
    )  # fmt: skip
    for name, found in outcomes.items():
        times.add(
            name, _text(found.noticed_s), _text(found.reads_gone_s), found.reason, _text(found.live_s),
            _text(found.reads_back_s), _text(found.first_event_s[feed]), _text(found.caught_up_s[feed]),
            f"{found.came_late[feed]:,}", _text(found.first_event_s[bare]),
        )  # fmt: skip
    lost = Table(
        "Prices over all of that, each reader beside the stream",
        (
            "reader", "due", "missing", "twice", "unknown", "out of order", "acknowledged", "of these not stored",
            "stored twice",
        ),
    )  # fmt: skip
    for reader, check in checks.items():
        lost.add(
            reader, f"{check.prices_due:,}", f"{check.prices_missing:,}", str(check.prices_twice),
            str(check.prices_unknown), str(check.out_of_order), f"{check.acked:,}", str(check.acked_missing),
            str(check.stored_twice),
        )  # fmt: skip
    figures: dict[str, Any] = {
        "faults": {name: asdict(found) for name, found in outcomes.items()},
        "readers": {reader: check._asdict() for reader, check in checks.items()},
        "feed": heard,
    }
    return Report([times, lost], figures)


def _text(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"
