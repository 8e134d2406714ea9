"""What a command says and does where an extra is not installed: one line that names it, or the whole command.

The Python of these tests is that of the others, in which the imports of the other extras fail. The ones that install
for real are in ``test_core_install``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Simulator, SimulatorConfig
from tests.support.bus_writer import BusWriter, price_event
from tests.support.extras import python_with
from tests.support.publishing import bus_reader
from tests.support.wait import wait_until

# What driftpy and its like bring along, which no extra declares by itself.
OF_DRIFTPY = frozenset({"anchorpy_core", "borsh_construct", "grpc", "jsonrpcclient", "numpy", "pythclient", "requests"})

NOBODY = "nats://127.0.0.1:1"


async def drift_bus(*arguments: str, environment: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """Status, stdout and stderr of one command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "drift_bus", *arguments),
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate(b"")
    return process.returncode or 0, out.decode(), errors.decode()


def the_line(errors: str) -> str:
    """The one line that stderr consists of."""
    (line,) = errors.splitlines()
    return line


@pytest.mark.parametrize("arguments", [["--help"], ["publish"]])
async def test_without_the_extra_cli_the_command_names_it(arguments: list[str], tmp_path: Path) -> None:
    status, out, errors = await drift_bus(*arguments, environment=python_with(folder=tmp_path), folder=tmp_path)
    assert (status, out) == (1, "")
    assert the_line(errors).startswith("drift-bus: error: the extra 'cli' is not installed")
    assert "pip install 'drift-bus[cli]'" in errors


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["publish", "--rpc-url", "http://127.0.0.1:1", "--nats-url", NOBODY], "publisher"),
        (["capture", "-o", "some.capture", "--rpc-url", "http://127.0.0.1:1"], "publisher"),
        (["capture", "info", "some.capture"], "publisher"),
        (["import", "some.capture", "--nats-url", NOBODY], "publisher"),
        (["simulate", "--port", "0"], "simulator"),
        (["simulate", "--capture", "some.capture"], "simulator"),
    ],
)
async def test_a_command_that_needs_another_extra_names_it(arguments: list[str], extra: str, tmp_path: Path) -> None:
    (tmp_path / "some.capture").write_bytes(b"whatever")
    environment = python_with("cli", folder=tmp_path)
    status, out, errors = await drift_bus(*arguments, environment=environment, folder=tmp_path)
    assert (status, out) == (1, "")
    assert the_line(errors).startswith(f"drift-bus: error: the extra '{extra}' is not installed")
    assert f"pip install 'drift-bus[cli,{extra}]'" in errors


@pytest.mark.parametrize(
    ("missing", "extra"), [("cryptography", "cli"), ("nacl", "auth")], ids=["cryptography", "nacl"]
)
async def test_keys_are_made_with_what_the_images_leave_out(missing: str, extra: str, tmp_path: Path) -> None:
    environment = python_with("cli", folder=tmp_path, never=frozenset({missing}))
    status, out, errors = await drift_bus("auth", "init", "keys", environment=environment, folder=tmp_path)
    assert (status, out) == (1, "")
    assert f"pip install 'drift-bus[{extra}]'" in the_line(errors)
    assert "unexpected" not in errors
    assert not (tmp_path / "keys").exists()


async def test_the_demo_names_what_it_lacks_and_leaves_nothing_running(tmp_path: Path) -> None:
    environment = python_with("cli", "publisher", folder=tmp_path)
    status, _, errors = await drift_bus(
        "up", "--demo", "--program", "velocity-v1", "--seconds", "1", environment=environment, folder=tmp_path
    )
    assert status == 1
    assert "pip install 'drift-bus[cli,simulator]'" in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.fixture
async def bus(nats_server: LocalNatsServer) -> AsyncIterator[BusWriter]:
    """A bus with a price that stays in its bucket for as long as a slow machine needs."""
    async with BusWriter(nats_server.url) as writer:
        yield writer


async def test_the_extra_cli_is_enough_to_read_the_bus(
    bus: BusWriter, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    await bus.change(price_event("SOL-PERP", 150_250_000))
    environment = {**python_with("cli", folder=tmp_path), "DRIFT_BUS_NATS_URL": nats_server.url}
    commands = {
        "replay": ["replay", "--count", "1", "--json"],
        "streams": ["streams", "--json"],
        "export": ["export", "exported", "--format", "jsonl", "--json"],
        "parquet": ["export", "parquet"],
    }
    done = dict(
        zip(
            commands,
            await asyncio.gather(
                *(drift_bus(*words, environment=environment, folder=tmp_path) for words in commands.values())
            ),
            strict=True,
        )
    )
    assert json.loads(done["replay"][1])["market"] == "SOL-PERP"
    assert done["streams"][0] == done["export"][0] == 0
    assert list((tmp_path / "exported").rglob("*.jsonl"))
    status, _, errors = done["parquet"]
    assert status == 1
    assert "pip install 'drift-bus[replay]'" in the_line(errors)
    assert "Traceback" not in "".join(errors for _, _, errors in done.values())


@contextlib.asynccontextmanager
async def publishing(sim: Simulator, url: str, environment: Mapping[str, str]) -> AsyncIterator[asyncio.StreamReader]:
    """``drift-bus publish`` of a simulated chain; its stderr, until the end of the ``async with``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "drift_bus", "publish", "--nats-url", url),
        *("--rpc-url", sim.http_url, "--ws-url", sim.ws_url),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        yield process.stderr
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_a_publisher_of_velocity_needs_no_driftpy(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    environment = python_with("cli", "publisher", folder=tmp_path, never=OF_DRIFTPY)
    async with (
        Simulator(SimulatorConfig(program="velocity-v1")) as sim,
        publishing(sim, nats_server.url, environment),
        bus_reader(nats_server) as reader,
    ):
        last = await wait_until(lambda: reader.last("price", "SOL-PERP"))
        assert last.program == "velocity-v1"


async def test_a_publisher_of_drift_without_driftpy_names_the_extra(
    nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    environment = python_with("cli", "publisher", folder=tmp_path, never=OF_DRIFTPY)
    async with (
        Simulator(SimulatorConfig(program="drift-v2", perp_markets=1, spot_markets=1)) as sim,
        publishing(sim, nats_server.url, environment) as stderr,
        asyncio.timeout(60),
    ):
        said = (await stderr.read()).decode()  # to its end: it does not try again and again
        _, out, _ = await drift_bus(
            *("doctor", "--rpc-url", sim.http_url, "--ws-url", sim.ws_url, "--nats-url", NOBODY, "--json"),
            environment=environment,
            folder=tmp_path,
        )
    findings = {finding["check"]: finding for finding in map(json.loads, out.splitlines()) if "check" in finding}
    assert findings["program"]["result"] == "failed"
    assert "pip install 'drift-bus[drift-v2]'" in findings["program"]["what"]
    assert "program drift-v2 needs driftpy" in said.splitlines()[-1]
    assert "pip install 'drift-bus[drift-v2]'" in said.splitlines()[-1]
    assert "Traceback" not in said


async def test_the_simulator_plays_velocity_without_driftpy_and_says_what_drift_needs(tmp_path: Path) -> None:
    environment = python_with("cli", "simulator", folder=tmp_path, never=OF_DRIFTPY)
    status, _, errors = await drift_bus("simulate", "--port", "0", environment=environment, folder=tmp_path)
    assert status == 1
    assert "pip install 'drift-bus[simulator,drift-v2]'" in the_line(errors)
    status, out, errors = await drift_bus(
        *("simulate", "--port", "0", "--program", "velocity-v1", "--json", "--until-stdin-closes"),
        environment=environment,
        folder=tmp_path,
    )
    assert (status, errors) == (0, "")
    assert json.loads(out.splitlines()[0])["program"] == "velocity-v1"
