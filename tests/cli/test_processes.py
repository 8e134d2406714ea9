"""The long-running commands: they start, say what they do, and end cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from drift_bus.nats_server import LocalNatsServer
from tests.cli.support import Running, drift_bus, drift_bus_anew, started, started_anew
from tests.support.wait import wait_until


@asynccontextmanager
async def simulated_chain(*arguments: str) -> AsyncIterator[str]:
    """The HTTP URL of a running ``drift-bus simulate``, of a few markets."""
    async with started("simulate", "--port", "0", "--json", "--perp-markets", "3", *arguments) as process:
        assert process.stdout is not None
        yield json.loads(await process.stdout.readline())["http_url"]


async def test_simulate_says_how_to_use_it_and_ends_on_ctrl_c() -> None:
    done = await drift_bus_anew("simulate", "--port", "0", interrupt_after_line="Use it")

    assert (done.status, done.stderr) == (0, "")
    assert "HTTP       http://127.0.0.1:" in done.stdout
    assert "WebSocket  ws://127.0.0.1:" in done.stdout
    assert "drift-bus up --rpc-url http://127.0.0.1:" in done.stdout


async def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = await drift_bus("simulate", "--port", str(port))

    assert done.status == 1
    assert f"port {port}" in done.complaint
    assert "--port" in done.complaint


async def test_publish_feeds_the_bus_and_ends_on_ctrl_c(nats_server: LocalNatsServer, program: str) -> None:
    async with simulated_chain("--program", program) as rpc_url:
        arguments = ("publish", "--program", program, "--markets", "SOL-PERP,BTC-PERP", "--log-format", "json")
        publisher = started(*arguments, DRIFT_BUS_RPC_URL=rpc_url, DRIFT_BUS_NATS_URL=nats_server.url)
        async with publisher as process, asyncio.timeout(150):
            seen = await drift_bus("watch", "price", "--json", "--count", "20", "--nats-url", nats_server.url)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            assert process.stderr is not None
            logs = [json.loads(line) for line in (await process.stderr.read()).splitlines()]

    assert {one["market"] for one in seen.objects} == {"SOL-PERP", "BTC-PERP"}
    assert {(one["program"], one["cluster"]) for one in seen.objects} == {(program, "simulated")}
    troubles = [one["event"] for one in logs if one["level"] in ("warning", "error")]
    assert not [event for event in troubles if "still starting" not in event], "a slow start is told, and no trouble"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_publish_can_be_stopped_while_it_still_starts(
    number: signal.Signals, nats_server: LocalNatsServer
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        rpc_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with started("publish", "--rpc-url", rpc_url, "--nats-url", nats_server.url) as process:
            asked, _ = await asyncio.to_thread(silent.accept)
            process.send_signal(number)
            async with asyncio.timeout(150):
                assert await process.wait() == 0
            asked.close()


async def test_publish_tells_that_it_is_still_starting(nats_server: LocalNatsServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        rpc_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = await drift_bus_anew(
            *("publish", "--rpc-url", rpc_url, "--nats-url", nats_server.url), interrupt_after_line="still starting"
        )

    assert done.status == 0
    assert "still starting after 5 s" in done.stderr


async def test_publish_tells_an_unknown_market(nats_server: LocalNatsServer) -> None:
    async with simulated_chain() as rpc_url:
        done = await drift_bus("publish", "--rpc-url", rpc_url, "--nats-url", nats_server.url, "--markets", "NO-PERP")

    assert done.status == 1
    assert "NO-PERP" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


async def test_up_demo_shows_live_data_and_ends_by_itself(program: str, tmp_path: Path) -> None:
    """It keeps away from the chain, the server and the markets that the settings name."""
    (tmp_path / ".env").write_text("DRIFT_BUS_NATS_URL=nats://127.0.0.1:1\nDRIFT_BUS_MARKETS=NO-PERP\n")

    arguments = ("up", "--demo", "--program", program, "--seconds", "12")
    done = await drift_bus(*arguments, cwd=tmp_path, DRIFT_BUS_RPC_URL="http://127.0.0.1:1")

    assert done.status == 0, done.stderr
    *lines, summary = done.stdout.splitlines()
    markets, _, rest = summary.partition(" markets had live data")
    assert int(markets) >= 10
    assert "first after" in rest
    assert "SOL-PERP" in rest
    assert any(line.startswith(f"simulated chain of {program} at http://127.0.0.1:") for line in lines)
    assert any(f"SIMULATED  {program}  live" in line and "slot" in line for line in lines)


async def test_up_against_a_given_endpoint_and_server(
    nats_server: LocalNatsServer, program: str, tmp_path: Path
) -> None:
    """No program is named: it follows the one that is there."""
    async with simulated_chain("--program", program) as rpc_url:
        done = await drift_bus(
            *("up", "--seconds", "12"),
            cwd=tmp_path,
            DRIFT_BUS_RPC_URL=rpc_url,
            DRIFT_BUS_NATS_URL=nats_server.url,
        )

    assert done.status == 0, done.stderr
    assert f"nats-server at {nats_server.url}" in done.stdout
    assert f"SIMULATED  {program}  live" in done.stdout, "the publisher recognized the chain"
    assert "markets had live data" in done.stdout


async def test_up_tells_a_cluster_that_the_endpoint_is_not(tmp_path: Path) -> None:
    async with simulated_chain() as rpc_url:
        done = await drift_bus("up", "--cluster", "devnet", cwd=tmp_path, DRIFT_BUS_RPC_URL=rpc_url)

    assert done.status == 1
    last = done.stderr.splitlines()[-1]
    assert "the publisher ended with status 1: " in last
    assert "'devnet'" in last
    assert "Traceback" not in done.stderr


async def test_up_tells_an_endpoint_that_does_not_answer(tmp_path: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    done = await drift_bus(
        *("up", "--seconds", "60"),
        cwd=tmp_path,
        DRIFT_BUS_RPC_URL=f"http://127.0.0.1:1/v2/{key}",
        DRIFT_BUS_START_TIMEOUT_S="2",
    )

    assert done.status == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("drift-bus: error: the publisher ended with status 1: ")
    assert "http://127.0.0.1:1" in last
    assert key not in done.stdout + done.stderr


async def test_up_reports_a_child_that_was_killed_and_stops_the_others(tmp_path: Path) -> None:
    async with started("up", "--demo", cwd=tmp_path) as process, asyncio.timeout(150):
        await _until_live(process)
        children = psutil.Process(process.pid).children(recursive=True)
        publisher = next(child for child in children if "publish" in child.cmdline())
        publisher.kill()
        assert await process.wait() == 1
        assert process.stderr is not None
        told = (await process.stderr.read()).decode().splitlines()

    assert told[-1].startswith("drift-bus: error: the publisher was killed by signal 9")
    assert not [child for child in children if _runs(child)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_up_stops_everything_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    async with started_anew("up", "--demo", cwd=tmp_path) as process, asyncio.timeout(150):
        await _until_live(process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert await process.wait() == 0
        assert process.stdout is not None
        rest = (await process.stdout.read()).decode()

    assert len(children) == 3
    assert "markets had live data" in rest
    assert not [child for child in children if _runs(child)]


async def test_the_children_do_not_outlive_a_killed_up(tmp_path: Path) -> None:
    async with started("up", "--demo", cwd=tmp_path) as process, asyncio.timeout(150):
        await _until_live(process)
        children = psutil.Process(process.pid).children(recursive=True)
        ours = [child for child in children if "drift_bus" in child.cmdline()]
        others = [child for child in children if child not in ours]
        try:
            process.kill()
            await process.wait()
            await wait_until(lambda: not any(_runs(child) for child in ours), 90, what="the children end")
        finally:
            for child in others:
                child.kill()

    assert len(ours) == 2


async def test_no_secret_is_in_a_command_line(tmp_path: Path) -> None:
    async with simulated_chain() as rpc_url:
        secret = f"{rpc_url}/?api-key=s3cr3t-s3cr3t"
        async with started("up", cwd=tmp_path, DRIFT_BUS_RPC_URL=secret) as process, asyncio.timeout(150):
            await wait_until(lambda: len(psutil.Process(process.pid).children()) == 2, what="the children are there")
            lines = [child.cmdline() for child in psutil.Process(process.pid).children()]
            os.kill(process.pid, signal.SIGTERM)
            await process.wait()

    assert not any("s3cr3t" in word for line in lines for word in line)


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; who has may still be listed until its new parent, the system's first process, looks."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def _until_live(process: Running) -> None:
    """Reads stdout up to the first line that tells of live markets."""
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if "markets live" in line and " 0 markets live" not in line:
            return
    assert process.stderr is not None
    raise AssertionError(f"it ended too early: {(await process.stderr.read()).decode()}")
