"""The lines of docs/deployment.md install what they promise into an empty environment, from wheels alone.

Nothing compiles here: a package without a wheel is an error. The engine's line is tried on every Python of this
machine that is newer than the one of the tests, Velocity's on the newest, Drift's on that of the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Simulator, SimulatorConfig
from tests.support.environments import ROOT, fresh_environment, install, newer_pythons, python_of, run
from tests.support.publishing import bus_reader, running_publisher
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(600)  # pip needs a minute of a machine that does nothing else

PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
ENGINE, VELOCITY, DRIFT = (
    shlex.split(line, comments=True)[2:] for line in re.findall(r"^pip install .*$", PAGE, re.MULTILINE)
)

HERE = sys.version_info[:2]
NEWER = newer_pythons()
NONE_NEWER = pytest.param(HERE, marks=pytest.mark.skip(reason=f"no Python newer than {HERE[0]}.{HERE[1]} is here"))

# The newest Pythons warn of what our dependencies still do; our own modules must not.
IMPORT_ALL = """
import importlib, pkgutil, warnings
warnings.simplefilter("error")
warnings.filterwarnings("default", module=r"(nats|msgpack|pydantic|tenacity|pydantic_core)\\b")
import drift_schemas, drift_subscribers
for package in (drift_schemas, drift_subscribers):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def named(version: tuple[int, int]) -> str:
    return f"python{version[0]}.{version[1]}"


def environment(version: tuple[int, int], folder: Path) -> Path:
    python = python_of(version)
    assert python is not None
    return fresh_environment(python, folder)


def from_wheel(arguments: list[str], wheel: Path) -> list[str]:
    """The line with the built wheel in place of the folder, which saves building it again."""
    return [f"{wheel}{word[1:]}" if re.fullmatch(r"\.(\[.*\])?", word) else word for word in arguments]


@contextlib.asynccontextmanager
async def running(*command: str | Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program in an environment of its own, gone at the end."""
    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith("DRIFT_BUS_")}
    process = await asyncio.create_subprocess_exec(
        *command, env={**kept, **settings}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def test_each_line_takes_wheels_and_pinned_versions_only() -> None:
    for line in (ENGINE, VELOCITY, DRIFT):
        assert "--only-binary=:all:" in line
        assert line[line.index("-c") + 1] == "constraints.txt"


@pytest.mark.parametrize("version", NEWER or [NONE_NEWER], ids=named)
async def test_an_engine_runs_on_every_newer_python(
    version: tuple[int, int], wheel: Path, source: Path, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    programs = await asyncio.to_thread(environment, version, tmp_path / "engine")
    await asyncio.to_thread(install, from_wheel(ENGINE, wheel), programs, cwd=source)
    imported = await asyncio.to_thread(run, programs / "python", "-I", "-c", IMPORT_ALL)
    assert imported.returncode == 0, imported.stderr

    helped = await asyncio.to_thread(run, programs / "drift-bus", "--help")
    assert (helped.returncode, helped.stdout) == (1, "")
    (line,) = helped.stderr.splitlines()
    assert line.endswith("pip install 'drift-bus[cli]'")

    engine = (ROOT / "examples" / "ten_lines.py").read_text(encoding="utf-8")
    here = engine.replace("nats://127.0.0.1:4222", nats_server.url)
    async with (
        Simulator(SimulatorConfig(program="velocity-v1")) as sim,
        running_publisher(sim, nats_server),
        running(programs / "python", "-I", "-u", "-c", here) as process,
        asyncio.timeout(60),
    ):
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()
        assert re.match(r"SOL-PERP \d+\.\d{4} funding [+-]\d", first), (first, process.returncode)


async def price_from_a_publisher_of(
    programs: Path, program: str, nats_server: LocalNatsServer, folder: Path
) -> tuple[str, str]:
    """Program and market of a price that ``drift-bus publish`` of this environment put onto the bus."""
    async with (
        Simulator(SimulatorConfig(program=program)) as sim,
        bus_reader(nats_server) as reader,
        running(
            *(programs / "drift-bus", "publish"),
            DRIFT_BUS_RPC_URL=sim.http_url,
            DRIFT_BUS_WS_URL=sim.ws_url,
            DRIFT_BUS_NATS_URL=nats_server.url,
        ) as process,
    ):
        last = await wait_until(lambda: process.returncode is not None or reader.last("price", "SOL-PERP"))
        assert last is not True, (await process.communicate())[1].decode()
        return last.program, last.market


async def test_a_publisher_of_velocity_runs_on_the_newest_python(
    wheel: Path, source: Path, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    programs = await asyncio.to_thread(environment, [HERE, *NEWER][-1], tmp_path / "velocity")
    await asyncio.to_thread(install, from_wheel(VELOCITY, wheel), programs, cwd=source)
    found = await asyncio.to_thread(
        run, programs / "python", "-c", "import importlib.util as u; print(u.find_spec('driftpy'))"
    )
    assert found.stdout.strip() == "None"
    seen = await price_from_a_publisher_of(programs, "velocity-v1", nats_server, tmp_path)
    assert seen == ("velocity-v1", "SOL-PERP")


@pytest.mark.slow
async def test_a_publisher_of_drift_runs_on_the_python_of_the_tests(
    source: Path, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    programs = await asyncio.to_thread(environment, HERE, tmp_path / "drift")
    await asyncio.to_thread(install, DRIFT, programs, cwd=source)
    seen = await price_from_a_publisher_of(programs, "drift-v2", nats_server, tmp_path)
    assert seen == ("drift-v2", "SOL-PERP")
