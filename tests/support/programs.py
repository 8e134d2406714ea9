"""Tests of both programs: how one is kept to Drift, and which markets of a simulated cluster serve in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from drift_publisher.profiles import PROFILES
from drift_simulator import Cluster, PerpMarket, SpotMarket

__all__ = ["drift_only", "only", "spot_beside", "two_sources_on_one_oracle", "with_an_oracle_of_its_own"]


def drift_only(why: str) -> pytest.MarkDecorator:
    """Keeps a test that takes ``program`` to Drift.

    Args:
        why: What Velocity lacks; for readers.
    """
    assert why
    return pytest.mark.parametrize("program", ["drift-v2"], indirect=True)


def only(name: str, *, why: str) -> Callable[[], str]:
    """Keeps a module's tests to one program, where what they show is the same for each; to be called ``program``.

    Args:
        name: The program that they run with.
        why: What makes the other one add nothing; for readers.
    """
    assert name in PROFILES
    assert why

    @pytest.fixture(scope="module", name="program")
    def program() -> str:
        return name

    return program


def spot_beside(cluster: Cluster, perp: str) -> SpotMarket:
    """The spot market that reads the same oracle as a perp market."""
    oracle = cluster.perp(perp).oracle
    return next(market for market in cluster.spot_markets if market.oracle == oracle)


def with_an_oracle_of_its_own(cluster: Cluster) -> PerpMarket:
    """The last perp market whose oracle no other market reads."""
    oracles = Counter(market.oracle for market in cluster.markets)
    return next(market for market in reversed(cluster.perp_markets) if oracles[market.oracle] == 1)


def two_sources_on_one_oracle(cluster: Cluster) -> tuple[PerpMarket, SpotMarket]:
    """A perp market of a million tokens beside a spot market of one, on the same oracle account."""
    spot = cluster.add_spot_market("TINY", price=0.00002)
    perp = cluster.add_perp_market("1MTINY-PERP", price=20.0, oracle=spot.oracle, oracle_source="PythLazer1M")
    return perp, spot
