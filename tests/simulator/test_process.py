"""The simulation as a process: its one line, its signals, its ports."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import aiohttp
import orjson
import pytest

from drift_simulator import PortInUse, Simulator, SimulatorConfig

ONE_PROGRAM = pytest.mark.parametrize("program", ["drift-v2"], indirect=True)
VELOCITY_STATE = "2etx5NvPNxeMZ7EfHE6GjJfW2imRYEUANehNS1WB4CVW"


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "drift_simulator",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize(("program", "number"), [("drift-v2", signal.SIGINT), ("velocity-v1", signal.SIGTERM)])
async def test_it_says_where_it_is_and_ends_by_signal(program: str, number: signal.Signals) -> None:
    options = {
        "--program": program,
        "--updates-per-second": 20,
        "--funding-period": 5,
        "--perp-markets": 3,
        "--seed": 1,
    }
    process = await _start(*(str(part) for option in options.items() for part in option))
    assert process.stdout is not None
    line: dict[str, Any] = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    assert set(line) == {"http_url", "ws_url", "port"}
    async with aiohttp.ClientSession() as session:
        async with session.post(line["http_url"], json={"jsonrpc": "2.0", "id": 1, "method": "getHealth"}) as answer:
            assert (await answer.json())["result"] == "ok"
        async with session.get(line["http_url"] + "/markets") as answer:
            markets = await answer.json()
        assert len([entry for entry in markets if entry["market_type"] == "perp"]) == 3
        state = {"drift-v2": "5zpq7DvB6UdFFvpmBPspGPNfUGoBRRCE2HHg5u3gxcsN", "velocity-v1": VELOCITY_STATE}[program]
        call = {"jsonrpc": "2.0", "id": 2, "method": "getAccountInfo", "params": [state, {"encoding": "base64"}]}
        async with session.post(line["http_url"], json=call) as answer:
            assert (await answer.json())["result"]["value"] is not None
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, errors) == (0, b"")


@ONE_PROGRAM
async def test_a_taken_port_is_one_clear_line(still: Simulator) -> None:
    process = await _start("--port", str(still.port))
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, output) == (1, b"")
    assert errors.decode().strip() == f"port {still.port} (or {still.port + 1}, which serves WebSockets too) is in use"


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--funding-period", "0", "funding_period_s is out of range: 0"),
        ("--program", "drift", "program 'drift' is unknown: choose drift-v2 or velocity-v1"),
    ],
)
async def test_a_bad_setting_is_one_clear_line(option: str, value: str, complaint: str) -> None:
    process = await _start(option, value)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert errors.decode().strip() == complaint


@ONE_PROGRAM
@pytest.mark.parametrize("offset", [0, -1])
async def test_either_port_taken_is_a_named_error(still: Simulator, offset: int) -> None:
    port = still.port + offset
    with pytest.raises(PortInUse) as caught:
        async with Simulator(SimulatorConfig(port=port)):
            pass
    assert caught.value.port == port


async def test_it_starts_again_on_its_port_and_slots_go_on() -> None:
    async with Simulator(SimulatorConfig(updates_per_second=0)) as first:
        port, slot = first.port, first.slot
    async with Simulator(SimulatorConfig(updates_per_second=0, port=port)) as second:
        assert second.port == port
        assert second.slot >= slot


async def test_a_simulation_that_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise ArithmeticError("the walk stumbled")

    with pytest.raises(ArithmeticError, match="stumbled"):
        async with Simulator(SimulatorConfig(updates_per_second=1_000)) as simulator:
            monkeypatch.setattr(simulator.cluster, "step", fail)
            await asyncio.wait_for(simulator.run_until(asyncio.Event()), 30)
