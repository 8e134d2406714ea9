"""A simulated cluster of each program on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from drift_publisher.backoff import Backoff
from drift_simulator import Simulator, SimulatorConfig

_FEW = 5
"""Markets of each type: all that the simulated Velocity has, and as many of Drift's."""


@pytest.fixture
async def sim(program: str) -> AsyncIterator[Simulator]:
    """A living cluster of few markets: 100 account updates and 20 slots a second."""
    async with Simulator(_config(program, perp_markets=_FEW, spot_markets=_FEW)) as simulator:
        yield simulator


@pytest.fixture
async def second(program: str) -> AsyncIterator[Simulator]:
    """Another provider of the same chain."""
    async with Simulator(_config(program, perp_markets=_FEW, spot_markets=_FEW)) as simulator:
        yield simulator


@pytest.fixture
async def whole_sim(program: str) -> AsyncIterator[Simulator]:
    """The same with every market that the simulator has by default: of Drift, an oracle of each format."""
    async with Simulator(_config(program)) as simulator:
        yield simulator


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses after a loss stay below half a second, so that one publisher can go through many losses in a row.

    That they grow, and that nobody is stormed, is for the tests that do without this.
    """
    for module in ("websocket", "budget"):
        monkeypatch.setattr(f"drift_publisher.{module}.Backoff", partial(Backoff, longest_s=0.5))


def _config(program: str, *, perp_markets: int | None = None, spot_markets: int | None = None) -> SimulatorConfig:
    return SimulatorConfig(
        program=program,
        updates_per_second=100.0,
        # Shorter than any pause between two sockets, so that what changed meanwhile is of a slot of its own.
        slot_interval_s=0.05,
        perp_markets=perp_markets,
        spot_markets=spot_markets,
    )
