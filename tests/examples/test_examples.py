"""Every example runs, against a real bus, as its reader would run it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.living_bus import living_bus, running

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def bus(nats_server: LocalNatsServer) -> AsyncIterator[BusWriter]:
    """A bus with three markets on it, all of them fresh."""
    async with living_bus(nats_server.url) as writer:
        yield writer


async def said(process: asyncio.subprocess.Process) -> list[str]:
    """What a process prints until it ends by itself with status 0."""
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode().splitlines()


async def test_the_funding_engine_prints_every_change(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    path = str(EXAMPLES / "funding_engine.py")
    async with running(path, "--nats-url", nats_server.url, "--count", "3") as process:
        assert process.stdout is not None
        first = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert "SOL-PERP  slot 300000000  settled +0.001000%/h  estimate +0.001000%/h  [simulated]" in first
        await bus.reassert(funding_event("SOL-PERP", 1_500_000))
        await bus.change(funding_event("SOL-PERP", 3_000_000))
        await bus.change(funding_event("SOL-PERP", -3_000_000, is_paused=True))
        rest = await said(process)
    assert [word in rest[at] for at, word in enumerate(("+0.002000%/h", "-0.002000%/h"))] == [True, True]
    assert "PAUSED" in rest[1]


async def test_the_funding_engine_stops_when_its_time_is_over(nats_server: LocalNatsServer) -> None:
    path = str(EXAMPLES / "funding_engine.py")
    async with running(path, "--nats-url", nats_server.url, "--seconds", "0.5") as process:
        assert await said(process) == []


async def test_the_late_joiner_prints_the_whole_market(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    async with running(str(EXAMPLES / "late_joiner.py"), "--nats-url", nats_server.url) as process:
        lines = await said(process)
    assert [line.split()[:2] for line in lines] == [
        ["SOL-PERP", "150.250000"],
        ["BTC-PERP", "95000.123456"],
        ["SOL", "150.240000"],
    ]
    assert "+0.0080 % / 8 h" in lines[0]


async def test_two_engines_share_a_feed_and_stop_when_their_time_is_over(
    bus: BusWriter, nats_server: LocalNatsServer
) -> None:
    await bus.change(price_event("SOL-PERP", 150_000_000, mark_price=150_150_000))
    path = str(EXAMPLES / "two_engines.py")
    async with running(path, "--nats-url", nats_server.url) as process:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            lines = {(await process.stdout.readline()).decode() for _ in range(2)}
    assert lines == {
        "carry: -100 SOL-PERP earns +1.20 USD in 8 h [simulated]\n",
        "scalp: SOL-PERP mark +10.0 bp from its oracle [simulated]\n",
    }
    async with running(path, "--nats-url", nats_server.url, "--seconds", "0.1") as process:
        await said(process)


async def test_the_plain_script_reads_without_an_event_loop(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    path = str(EXAMPLES / "plain_script.py")
    async with running(path, "--nats-url", nats_server.url, "--count", "2") as process:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            first = (await process.stdout.readline()).decode()
        await bus.change(price_event("SOL-PERP", 151_000_000))
        rest = await said(process)
    assert first == "SOL-PERP  150.250000  funding +0.0080 % / 8 h  [simulated]\n"
    assert rest == ["SOL-PERP  151.000000  funding +0.0080 % / 8 h  [simulated]"]


async def test_the_plain_script_says_what_is_wrong_in_one_line(nats_server: LocalNatsServer) -> None:
    path = str(EXAMPLES / "plain_script.py")
    async with running(path, "--nats-url", nats_server.url, "--patience", "0.1") as process:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        assert (process.returncode, errors.decode()) == (1, "plain_script: no event within 0.1 s\n")


async def test_the_ten_lines_of_the_readme_run(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    source = (EXAMPLES / "ten_lines.py").read_text()
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    here = source.replace("nats://127.0.0.1:4222", nats_server.url)
    assert here.count(nats_server.url) == 1

    read = asyncio.Event()

    async def publish() -> None:
        price = 150_250_000
        while not read.is_set():
            await bus.change(price_event("SOL-PERP", price))
            price += 1_000

    async with running("-u", "-c", here) as process:
        publishing = asyncio.create_task(publish())
        assert process.stdout is not None
        first = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        read.set()
        await publishing
    assert re.match(r"SOL-PERP 15\d\.\d{4} ", first)
    assert first.endswith("funding +0.0080 % / 8 h\n")
