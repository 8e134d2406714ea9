"""However an old program ends, it ends without noise: nothing of ours is left to the garbage collector."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from tests.support.bus_writer import BusWriter
from tests.support.kept_fresh import kept_fresh
from tests.support.wait import patience

PROGRAM = Path(__file__).with_name("old_program.py")
ENDS = ["closed", "a feed of its own", "forgotten", "exit", "interrupted", "left in a thread", "asyncio.run twice"]
_ONCE = "SIMULATED data"
_PATIENCE_S = 100


@asynccontextmanager
async def old_program(end: str, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        end,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"DRIFT_BUS_NATS_URL": url, "PYTHONPATH": str(PROGRAM.parents[3])},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    async with patience("the program is ready", _PATIENCE_S):
        while (line := await process.stdout.readline()) != b"ready\n":
            assert line, (await process.stderr.read()).decode()


async def said(process: asyncio.subprocess.Process, answer: bytes | None = None) -> list[str]:
    """What it wrote to stderr until its end."""
    async with patience("the program ends", _PATIENCE_S):
        _, stderr = await process.communicate(answer)
    return stderr.decode().splitlines()


@pytest.fixture(autouse=True)
async def fresh_values(market_data: BusWriter) -> AsyncIterator[None]:
    """A program may take longer to start, on a machine with other work, than a price lives unconfirmed."""
    async with kept_fresh(market_data):
        yield


@pytest.mark.parametrize("end", ENDS)
async def test_an_old_program_ends_in_silence(end: str, market_data: BusWriter, engine: LocalNatsServer) -> None:
    async with old_program(end, engine.url) as process:
        if end == "interrupted":
            await ready(process)
            process.send_signal(signal.SIGINT)
        lines = await said(process)
        assert [line for line in lines if _ONCE not in line] == []
        assert len(lines) <= 1
        assert process.returncode == (3 if end == "exit" else 0)


async def test_what_python_says_of_an_interrupt_is_all_that_is_said(
    market_data: BusWriter, engine: LocalNatsServer
) -> None:
    async with old_program("interrupted, and not caught", engine.url) as process:
        await ready(process)
        process.send_signal(signal.SIGINT)
        lines = await said(process)
        assert lines[-1] == "KeyboardInterrupt"
        assert sum("Traceback" in line for line in lines) == 1
        assert not [line for line in lines if "Task" in line or "ignored" in line or "never" in line]


async def test_without_a_server_it_ends_as_quietly(market_data: BusWriter, engine: LocalNatsServer) -> None:
    async with (
        old_program("server gone", engine.url) as gone,
        old_program("interrupted while connecting", "nats://127.0.0.1:1") as connecting,
    ):
        await ready(gone)
        await ready(connecting)
        connecting.send_signal(signal.SIGINT)
        assert await said(connecting) == []
        await engine.kill()
        lines = await said(gone, b"\n")
        assert [line for line in lines if _ONCE not in line and "connection" not in line] == []
        assert len(lines) <= 2
        await engine.start()
