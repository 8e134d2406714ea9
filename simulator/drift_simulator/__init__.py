"""A local Solana node that serves a living Drift v2 cluster, for demos, tests and benchmarks."""

from __future__ import annotations

from .cluster import Cluster, UnknownMarket
from .config import PortInUse, SimulatorConfig, SimulatorError
from .counters import Counters
from .faults import Fault, FaultBook, FaultKind
from .funding import FundingSettlement
from .perps import PerpMarket
from .replay import CaptureReplay
from .simulator import Simulator, serve
from .spots import SpotMarket
from .users import DEMO_AUTHORITY

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
