"""The program that a run is about: chosen once, and passed on to every bench process by the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from drift_simulator import SimulatorConfig

if TYPE_CHECKING:
    from drift_publisher.profile import AnyProfile

__all__ = ["choose", "has_sdk", "node_config", "profile"]

_VARIABLE: Final = "BENCH_PROGRAM"
_WITH_SDK: Final = frozenset({"drift-v2"})


def choose(name: str) -> None:
    """From now on, this process and those that it starts are about this program."""
    os.environ[_VARIABLE] = name


def _name() -> str:
    return os.environ.get(_VARIABLE, SimulatorConfig.program)


def profile() -> AnyProfile:
    """The chosen program, as the publisher knows it."""
    from drift_publisher.profiles import PROFILES

    return PROFILES[_name()]


def node_config(**settings: Any) -> SimulatorConfig:
    """Settings of a simulated node on which the chosen program lives."""
    return SimulatorConfig(program=_name(), **settings)


def has_sdk() -> bool:
    """Somebody else's Python client reads the program: there is something to compare with."""
    return _name() in _WITH_SDK
