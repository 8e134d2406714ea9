"""``drift-bus`` as a process that is forked from one with all imports done, in place of one that begins anew."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ForkedCommand", "all_imported", "forked_command"]

_ZYGOTE = Path(__file__).with_name("zygote.py")


class ForkedCommand:
    """A running command; has what tests use of ``asyncio.subprocess.Process``.

    Attributes:
        pid: Its process id.
        stdout: What it prints.
        stderr: What it complains of.
        returncode: Its exit status once it has ended, negative after a signal.
    """

    def __init__(self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader, told: int) -> None:
        self.pid = pid
        self.stdout: asyncio.StreamReader | None = stdout
        self.stderr: asyncio.StreamReader | None = stderr
        self.returncode: int | None = None
        self._told = told
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(told, self._on_end)

    async def wait(self) -> int:
        """Waits for its end; returns the status."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Reads what it still prints, and waits for its end."""
        assert self.stdout is not None
        assert self.stderr is not None
        stdout, stderr = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # its end is still on the way to us
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._told)
        self.returncode = int(os.read(self._told, 64))  # empty where the zygote itself is gone: an error, as it should
        os.close(self._told)
        self._ended.set()


async def forked_command(
    arguments: Sequence[str], *, cwd: Path | None, environment: Mapping[str, str], limit: int
) -> ForkedCommand:
    """Starts ``drift-bus arguments``; stdin is empty, lines of its output may have ``limit`` bytes."""
    request = {
        "arguments": arguments,
        "cwd": str(cwd or Path.cwd()),
        "umask": _umask(),
        "environment": dict(environment),
    }
    pipes = [os.pipe() for _ in range(3)]
    try:
        pid = await asyncio.to_thread(lambda: _zygote().fork(request, [writing for _, writing in pipes]))
    finally:
        for _, writing in pipes:
            os.close(writing)
    stdout, stderr, told = (reading for reading, _ in pipes)
    return ForkedCommand(pid, await _reader(stdout, limit), await _reader(stderr, limit), told)


class _Zygote:
    """The process that is forked from, and the line to it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_ZYGOTE), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._end)
        assert self._line.recv(1) == b"\n", "the process to fork from did not start"

    def fork(self, request: Mapping[str, Any], files: Sequence[int]) -> int:
        """Returns the process id of one more command."""
        with self._lock:
            line = f"{json.dumps(request)}\n".encode()
            sent = socket.send_fds(self._line, [line], list(files))
            self._line.sendall(line[sent:])
            return int(self._line.recv(64))

    def _end(self) -> None:
        self._line.close()
        self._process.wait()


def all_imported() -> None:
    """Waits until commands can be forked: what is stored for ten seconds is not to expire meanwhile."""
    _zygote()


@cache
def _zygote() -> _Zygote:
    return _Zygote()


async def _reader(pipe: int, limit: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0))
    return reader


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
