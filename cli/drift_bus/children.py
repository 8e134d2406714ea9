"""Child processes of ``drift-bus up``: started, listened to, and always stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from drift_bus.errors import CommandError
from drift_bus.redaction import redact

__all__ = ["Child", "running_child"]

_STOP_TIMEOUT_S = 6.0
_LAST_LINES = 50
_LINE_LIMIT = 2**20


class Child:
    """One running ``drift-bus`` command.

    Attributes:
        name: What it is called when it is told about.
        lines: The last lines that it wrote to stderr, redacted.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str, str], None]) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = process
        self._on_line = on_line
        self._stopping = False
        self._reader = asyncio.create_task(self._read_stderr(), name=f"{name}: stderr")
        self._drain: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def first_line(self, timeout_s: float) -> str:
        """Returns the first line of its stdout, and reads on without keeping anything.

        Raises:
            CommandError: it ended, or said nothing within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                line = await _pipe(self._process.stdout).readline()
        except TimeoutError:
            raise CommandError(f"the {self.name} was not ready within {timeout_s:g} s") from None
        if not line:
            await self._process.wait()
            raise await self.death()
        self._drain = asyncio.create_task(self._read_away_stdout(), name=f"{self.name}: stdout")
        return line.decode(errors="replace").strip()

    async def died(self) -> CommandError:
        """Returns, as an error to raise, how the process ended; waits until it does."""
        await self._process.wait()
        return await self.death()

    async def death(self) -> CommandError:
        """How the ended process ended, with its last words."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._reader)
        status = self._process.returncode or 0
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        last = self.lines[-1].removeprefix("drift-bus: ").removeprefix("error: ") if self.lines else ""
        return CommandError(f"the {self.name} {how}{': ' if last else ''}{last}")

    async def stop(self) -> None:
        """SIGTERM, a few seconds of patience, then SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        finally:
            tasks = [task for task in (self._reader, self._drain) if task is not None]
            await asyncio.wait(tasks, timeout=1.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._process.stdin is not None:
                self._process.stdin.close()

    async def _read_stderr(self) -> None:
        async for raw in _lines(_pipe(self._process.stderr)):
            line = redact(raw.decode(errors="replace").rstrip())
            if line:
                self.lines.append(line)
                self._on_line(self.name, line)

    async def _read_away_stdout(self) -> None:
        while await _pipe(self._process.stdout).read(65536):
            pass


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise RuntimeError("the child was started without this pipe")
    return stream


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: its beginning is lost, reading goes on
            continue
        if not line:
            return
        yield line


@contextlib.asynccontextmanager
async def running_child(
    name: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str, str], None],
) -> AsyncIterator[Child]:
    """Runs ``drift-bus arguments`` for as long as the ``async with`` lasts.

    Args:
        name: What it is called in messages.
        arguments: The command line; visible to everyone on the machine, so no secrets.
        environment: Set above our own; the place for URLs with keys.
        on_line: Hears (name, line) of each line that it writes to stderr.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "drift_bus", *arguments, "--until-stdin-closes"),
        stdin=asyncio.subprocess.PIPE,  # it ends with us, even if we are killed
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        start_new_session=True,  # Ctrl-C reaches us alone, and we stop the children in order
        limit=_LINE_LIMIT,
    )
    child = Child(name, process, on_line)
    try:
        yield child
    finally:
        await child.stop()
