"""A fresh folder of keys, and a server with them, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drift_bus.authority import Written
from drift_simulator import Simulator, SimulatorConfig
from tests.cli.conftest import commands_start_at_once
from tests.security.support import Guarded, authority, guarded_server

__all__ = ["commands_start_at_once", "guarded", "sim", "written"]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A folder as ``auth init`` writes it."""
    return authority(tmp_path / "auth")


@pytest.fixture
async def guarded(written: Written) -> AsyncIterator[Guarded]:
    """A server that knows the folder's keys, and nobody else."""
    async with guarded_server(written) as server:
        yield server


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A living cluster: 100 account updates a second, seed 7."""
    async with Simulator(SimulatorConfig(host="127.0.0.1", port=0, seed=7, updates_per_second=100.0)) as simulator:
        yield simulator
