"""Bench processes: each part of the pipeline in a process of its own, started, asked and always stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["Worker", "WorkerFailed", "cpu_seconds", "open_sockets", "resident_mb", "running", "say", "serve"]

_LINE_LIMIT: Final = 2**24
_STOP_S: Final = 15.0


class WorkerFailed(RuntimeError):
    """A bench process ended, or said nothing, where it should have answered."""


class Worker:
    """A bench process that answers in JSON lines on its stdout and ends when its stdin closes."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process

    async def hear(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Returns its next line."""
        if self._process.stdout is None:
            raise WorkerFailed(f"{self.name} has no stdout")
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), timeout_s)
        except TimeoutError:
            raise WorkerFailed(f"{self.name} said nothing for {timeout_s:g} s") from None
        if not line:
            raise WorkerFailed(f"{self.name} ended with status {await self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def tell(self, line: str) -> None:
        """Writes a line to its stdin."""
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode() + b"\n")
            await self._process.stdin.drain()

    async def ask(self, what: str = "sample") -> dict[str, Any]:
        """Returns its answer to a line; see ``answer`` of :func:`serve`."""
        await self.tell(what)
        return await self.hear()

    async def finish(self) -> dict[str, Any]:
        """Asks it to stop, and returns its last line: what it found."""
        self._close_stdin()
        return await self.hear(_STOP_S)

    async def stop(self) -> None:
        """Ends it: by its stdin, then by SIGTERM, then by SIGKILL."""
        self._close_stdin()
        for patience_s, end in ((2.0, self._process.terminate), (5.0, self._process.kill)):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
                return
            with contextlib.suppress(ProcessLookupError):
                end()
        await self._process.wait()

    def _close_stdin(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextlib.asynccontextmanager
async def running(module: str, *arguments: str) -> AsyncIterator[Worker]:
    """Runs ``python -m module arguments`` for as long as the ``async with`` lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=PIPE,  # it ends with us, even if we are killed
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C reaches us alone, and we stop the processes in order
        limit=_LINE_LIMIT,
        cwd=Path(__file__).parent.parent,
    )
    worker = Worker(module.rpartition(".")[2], process)
    try:
        yield worker
    finally:
        await worker.stop()


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system time of each process so far."""
    import psutil  # here, so that no measured process carries it

    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}


def resident_mb(pid: int) -> float:
    """Resident memory of a process, 1e6 bytes."""
    import psutil

    return float(psutil.Process(pid).memory_info().rss / 1e6)


def open_sockets(pid: int) -> int:
    """TCP sockets that a process holds, of any state."""
    import psutil

    return len(psutil.Process(pid).net_connections(kind="tcp"))


def say(**values: object) -> None:
    """In a bench process: one line to whoever started it."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def serve(
    work: Callable[[asyncio.Event], Awaitable[None]], answer: Callable[[], Mapping[str, object]] | None = None
) -> int:
    """In a bench process: runs ``work(stop)``; stdin's end or SIGTERM sets ``stop``. Returns the exit status.

    Args:
        work: The process's whole work.
        answer: What it says for each line on stdin.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")

    async def run() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        lifeline, _ = await loop.connect_read_pipe(lambda: _Lifeline(stop, answer), sys.stdin)
        try:
            await work(stop)
        finally:
            lifeline.close()

    asyncio.run(run())
    return 0


class _Lifeline(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event, answer: Callable[[], Mapping[str, object]] | None) -> None:
        self._stop = stop
        self._answer = answer

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\n") if self._answer else 0):
            say(**self._answer())  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()
