"""Runs a simulation alone: ``python -m drift_simulator --port 8899``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from .config import SimulatorConfig, SimulatorError
from .simulator import serve

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    defaults = SimulatorConfig()
    parser = argparse.ArgumentParser(
        prog="drift_simulator",
        description="A local Solana node with a living program. Its data is invented. It says where it listens in one "
        "line of JSON, and ends with SIGINT or SIGTERM.",
        epilog="Example: python -m drift_simulator --program velocity-v1 --port 8899 --funding-period 60",
    )
    parser.add_argument(
        "--program",
        default=defaults.program,
        metavar="NAME",
        help="what lives there: drift-v2 (21 perp markets of Drift, paused since April 2026) or velocity-v1 (the 5 of "
        "its successor, and no user accounts); default %(default)s",
    )
    parser.add_argument("--host", default=defaults.host, help="address to listen on")
    parser.add_argument("--port", type=int, default=defaults.port, help="HTTP port; the next one serves WebSockets")
    rate = "account changes a second; default %(default)s"
    parser.add_argument("--updates-per-second", type=float, default=defaults.updates_per_second, metavar="N", help=rate)
    period = "seconds between funding settlements; default %(default)s"
    parser.add_argument("--funding-period", type=int, default=defaults.funding_period_s, metavar="SECONDS", help=period)
    interval = "seconds between slots; default %(default)s"
    parser.add_argument(
        "--slot-interval", type=float, default=defaults.slot_interval_s, metavar="SECONDS", help=interval
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="same seed, same random walk")
    many = "how many; real ones come first, then invented ones; default: a selection of real ones"
    parser.add_argument("--perp-markets", type=int, default=None, metavar="N", help=many)
    parser.add_argument("--spot-markets", type=int, default=None, metavar="N", help="likewise")
    parser.add_argument("--oracles", type=int, default=None, metavar="N", help="at least so many oracle accounts")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = SimulatorConfig(
            program=options.program,
            host=options.host,
            port=options.port,
            seed=options.seed,
            updates_per_second=options.updates_per_second,
            funding_period_s=options.funding_period,
            slot_interval_s=options.slot_interval,
            perp_markets=options.perp_markets,
            spot_markets=options.spot_markets,
            oracles=options.oracles,
        )
        asyncio.run(serve(config))
    except (SimulatorError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
