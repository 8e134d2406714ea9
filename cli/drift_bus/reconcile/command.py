"""``drift-bus reconcile``: reads both sides, and ends with what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from drift_bus.connection import connected
from drift_bus.errors import CommandError, UsageProblem, complain
from drift_bus.progress import progress
from drift_bus.reconcile.bus_side import read_bus
from drift_bus.reconcile.comparison import Tolerances, compare
from drift_bus.reconcile.figures import FundingBasis
from drift_bus.reconcile.hosted import ask, stats_url
from drift_bus.reconcile.report import Report
from drift_bus.reconcile.tables import print_report
from drift_bus.runtime import Stopped, interrupted_by, run_until_stopped
from drift_bus.settings import CommandSettings

__all__ = ["NotCompared", "reconcile"]

_LARGEST_TOLERANCE: Final = Decimal(1_000_000)


class NotCompared(CommandError):
    """One side could not be read; a status of its own, for 1 means that the sides differ."""

    status = 2


def reconcile(
    against: str,
    *,
    basis: FundingBasis,
    tolerances: Mapping[str, str],
    only: Sequence[str],
    timeout_s: float,
    everything: bool,
    nats_url: str | None,
    nats_domain: str | None,
    prefix: str | None,
    as_json: bool,
) -> int:
    """Prints how the bus and the hosted API differ.

    Args:
        against: Host, base URL or whole address of the hosted API.
        basis: Which funding of the bus is compared.
        tolerances: What was typed, by option.
        only: Names of the markets that matter; empty means all.
        timeout_s: For the hosted API's whole answer.
        everything: Also show what agrees.
        nats_url: Of the bus.
        nats_domain: Of the bus.
        prefix: Of the bus.
        as_json: One object instead of tables.

    Returns:
        0 where they agree, 1 where they differ, 130 where it was interrupted.

    Raises:
        CommandError: status 2; one side could not be read, or the command line is wrong.
    """
    url = stats_url(against)
    limits = {name: _decimal(name, typed) for name, typed in tolerances.items()}
    allowed = Tolerances(
        price_bps=limits["--price-tolerance-bps"],
        mark_bps=limits["--mark-tolerance-bps"],
        open_interest_bps=limits["--open-interest-tolerance-bps"],
        funding=limits["--funding-tolerance"],
    )
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)

    async def run(stop: asyncio.Event) -> int:
        try:
            async with connected(settings.nats_servers) as client:
                # The bus is read right after the answer came: then the two moments are as close as can be.
                async with interrupted_by(stop), progress(f"asking {url}"):
                    answer = await ask(url, timeout_s=timeout_s)
                bus = await read_bus(client, settings.topology, basis=basis)
        except Stopped:
            return 130
        except UsageProblem:
            raise
        except CommandError as error:
            raise NotCompared(str(error)) from None
        unknown = [name for name in only if name not in bus.markets and name not in answer.hosted.markets]
        if unknown:
            there = ", ".join(sorted({*bus.markets, *answer.hosted.markets}))
            raise UsageProblem(f"--market {unknown[0]}: neither side has it; there are {there}")
        result = compare(bus.markets, answer.hosted.markets, allowed, only=only)
        report = Report(answer, bus, result, basis, settings.topology.prefix)
        if as_json:
            sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            if bus.is_simulated:
                complain("warning: the bus carries SIMULATED data, so this says nothing about the hosted API")
        else:
            print_report(report, everything=everything)
        return 0 if result.agrees else 1

    return run_until_stopped(run)


def _decimal(name: str, typed: str) -> Decimal:
    try:
        number = Decimal(typed.strip())
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or not 0 <= number <= _LARGEST_TOLERANCE or len(typed) > 30:
        raise UsageProblem(f"{name} {typed!r}: give a number from 0 to {_LARGEST_TOLERANCE:,}")
    return number
