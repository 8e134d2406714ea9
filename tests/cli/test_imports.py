"""The command answers at once because it imports late."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("nats", "pydantic", "driftpy", "solana", "aiohttp", "numpy", "rich.live", "structlog", "asyncio")


def test_the_command_imports_nothing_heavy() -> None:
    code = f"import sys, drift_bus.main; print([name for name in {HEAVY!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", "drift_bus", *arguments], capture_output=True, text=True, check=True)

    for command in ("up", "publish", "watch", "snapshot", "simulate"):
        assert f" {command} " in done.stdout
    assert "up --demo" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["up", "publish", "watch", "snapshot", "simulate"])
def test_each_help_teaches_with_an_example(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drift_bus", command, "--help"], capture_output=True, text=True, check=True
    )

    assert "Example:" in done.stdout


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "drift_bus", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("drift-bus ")
