"""What a simulation is told at the start, and the errors it may answer with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .arithmetic import ONE_DAY

__all__ = ["PortInUse", "SimulatorConfig", "SimulatorError"]


class SimulatorError(Exception):
    """Base of the errors that a simulation raises by itself."""


class PortInUse(SimulatorError):
    """The asked port, or the one above it, is taken.

    Args:
        port: The HTTP port that was asked for.
    """

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} (or {port + 1}, which serves WebSockets too) is in use")
        self.port = port


@dataclass(frozen=True)
class SimulatorConfig:
    """Settings of one simulation.

    Args:
        program: What is simulated: ``drift-v2`` or ``velocity-v1``.
        host: Address to listen on.
        port: HTTP port; the next one serves WebSockets as well. 0 finds a free pair.
        seed: Seed of everything random; same seed, same steps, same clock: same bytes.
        updates_per_second: Account writes a second. An oracle and each market that follows it count one each.
        funding_period_s: Seconds between settlements, at most a day; also each market's ``funding_period``.
        slot_interval_s: Seconds between slots.
        perp_markets: How many perp markets, real ones first; None: the program's default selection of real ones.
        spot_markets: How many spot markets, chosen likewise.
        oracles: At least this many oracle accounts; those that no market uses are Lazer feeds.
        clock: Unix time in seconds. Injected by tests.
        queue_limit: Messages that may wait for one WebSocket before the node drops the connection.
    """

    program: str = "drift-v2"
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 7
    updates_per_second: float = 50.0
    funding_period_s: int = 3600
    slot_interval_s: float = 0.4
    perp_markets: int | None = None
    spot_markets: int | None = None
    oracles: int | None = None
    clock: Callable[[], float] = time.time
    queue_limit: int = 4096

    def __post_init__(self) -> None:
        """Refuse values that no simulation can run with.

        Raises:
            ValueError: A number is out of range, or there is no such program; the message names the setting.
        """
        from .programs import program_named

        program_named(self.program)
        checks = {
            "port": 0 <= self.port <= 65534,
            "updates_per_second": 0 <= self.updates_per_second <= 100_000,
            "funding_period_s": 1 <= self.funding_period_s <= ONE_DAY,
            "slot_interval_s": self.slot_interval_s > 0,
            "perp_markets": self.perp_markets is None or 1 <= self.perp_markets <= 1_000,
            "spot_markets": self.spot_markets is None or 1 <= self.spot_markets <= 1_000,
            "oracles": self.oracles is None or 1 <= self.oracles <= 10_000,
            "queue_limit": self.queue_limit >= 1,
        }
        for name, passed in checks.items():
            if not passed:
                raise ValueError(f"{name} is out of range: {getattr(self, name)}")
