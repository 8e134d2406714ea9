"""A simulated cluster on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drift_simulator import Simulator, SimulatorConfig


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A living cluster: 200 account updates a second, seed 7."""
    async with Simulator(SimulatorConfig(host="127.0.0.1", port=0, seed=7, updates_per_second=200.0)) as simulator:
        yield simulator
