"""A local Solana node that serves a living cluster of Drift v2 or Velocity v1, for demos, tests and benchmarks."""

from __future__ import annotations

from .cluster import Cluster, UnknownMarket
from .config import PortInUse, SimulatorConfig, SimulatorError
from .counters import Counters
from .drift.users import DEMO_AUTHORITY
from .faults import Fault, FaultBook, FaultKind
from .funding import FundingSettlement
from .perps import PerpMarket
from .replay import CaptureReplay
from .simulator import Simulator, serve
from .spots import SpotMarket

__all__ = [
    "DEMO_AUTHORITY",
    "CaptureReplay",
    "Cluster",
    "Counters",
    "Fault",
    "FaultBook",
    "FaultKind",
    "FundingSettlement",
    "PerpMarket",
    "PortInUse",
    "Simulator",
    "SimulatorConfig",
    "SimulatorError",
    "SpotMarket",
    "UnknownMarket",
    "serve",
]
