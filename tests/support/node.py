"""Node and the packages of npm that tests of foreign clients need: installed once, into a cache beside the suite."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.wait import patience

__all__ = ["JAVASCRIPT", "node_packages", "node_script"]

JAVASCRIPT: Final = Path(__file__).parents[2] / "examples" / "javascript"
_FOR_TESTS: Final = {"@asyncapi/specs": "6.11.1", "@nats-io/kv": "3.4.0"}
_INSTALL_TIMEOUT_S: Final = 120
_INSTALL: Final = (
    *("install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"),  # no network is told soon
)


def node_packages() -> Path:
    """The folder ``node_modules`` with what the JavaScript example names, and what the tests need besides.

    One cache serves every run of the suite until a version changes. Skips the test where there is no Node, or where
    npm cannot install; a failure is remembered for this run, so that it is waited for once.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no Node here (node and npm)")
    package = json.loads((JAVASCRIPT / "package.json").read_text())
    wanted = json.dumps({**package, "dependencies": {**package["dependencies"], **_FOR_TESTS}}, sort_keys=True)
    name = f"drift-bus-node-{os.getuid()}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / name
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes install once between them
        failed = cache / f"failed-{run}"
        if not (cache / "complete").exists():
            why = failed.read_text() if failed.exists() else _install(cache, wanted)
            if why:
                failed.write_text(why)
                pytest.skip(f"npm cannot install the packages of {JAVASCRIPT.name}: {why}")
            (cache / "complete").touch()
    return cache / "node_modules"


def _install(cache: Path, package: str) -> str:
    """Installs; returns why it failed, in one line, or nothing."""
    (cache / "package.json").write_text(package)
    try:
        done = subprocess.run(
            ["npm", *_INSTALL], cwd=cache, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
    return "" if done.returncode == 0 else (errors or [f"status {done.returncode}"])[0]


@asynccontextmanager
async def node_script(
    folder: Path, script: Path, *arguments: str, ends: bool = True
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Runs a script beside the packages; what it prints comes as objects, and its errors fail the test.

    Args:
        folder: An empty folder of this test.
        script: The ``.mjs`` file; a copy of it runs.
        arguments: Of the script.
        ends: It ends by itself; otherwise it is ended with the block.
    """
    (folder / "node_modules").symlink_to(node_packages())
    copy = Path(shutil.copy(script, folder))
    process = await asyncio.create_subprocess_exec(
        *("node", str(copy), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None

    async def printed(out: asyncio.StreamReader, errors: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
        while True:
            async with patience(f"the next line of {script.name}"):
                if not (line := await out.readline()):
                    assert await process.wait() == 0, (await errors.read()).decode()
                    return
            yield json.loads(line)

    try:
        yield printed(process.stdout, process.stderr)
        if not ends:
            assert process.returncode is None, (await process.stderr.read()).decode()
            return
        async with patience(f"the end of {script.name}"):
            status, errors = await process.wait(), await process.stderr.read()
        assert status == 0, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
