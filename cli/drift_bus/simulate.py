"""``drift-bus simulate``: the simulated Solana node, until a signal stops it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from drift_bus.errors import CommandError, UsageProblem
from drift_bus.runtime import also_stopped_by_stdin, run_until_stopped, wait_for_stop

if TYPE_CHECKING:
    from drift_simulator.counters import Counters

__all__ = ["simulate"]

_STATUS_EVERY_S = 10.0


def simulate(options: Mapping[str, Any], *, as_json: bool, until_stdin_closes: bool) -> int:
    """Runs the simulator; prints its URLs first, then a status line now and then."""
    from drift_simulator import PortInUse, Simulator, SimulatorConfig

    try:
        config = SimulatorConfig(**{name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        raise UsageProblem(str(error)) from None

    async def run(stop: asyncio.Event) -> int:
        try:
            async with also_stopped_by_stdin(stop, wanted=until_stdin_closes), Simulator(config) as simulator:
                _tell_urls(simulator.http_url, simulator.ws_url, as_json=as_json)
                while not await wait_for_stop(stop, _STATUS_EVERY_S):
                    _tell_counters(simulator.counters, as_json=as_json)
        except PortInUse as error:
            raise CommandError(f"{error}: choose another with --port") from None
        return 0

    return run_until_stopped(run)


def _tell_urls(http_url: str, ws_url: str, *, as_json: bool) -> None:
    if as_json:
        _say(json.dumps({"http_url": http_url, "ws_url": ws_url, "cluster": "simulated"}))
        return
    _say("A simulated Solana node with Drift accounts. Its data is invented. Ctrl-C ends it.")
    _say(f"  HTTP       {http_url}")
    _say(f"  WebSocket  {ws_url}")
    _say(f"  Use it     drift-bus up --rpc-url {http_url} --ws-url {ws_url} --cluster simulated")


def _tell_counters(counters: Counters, *, as_json: bool) -> None:
    if as_json:
        _say(json.dumps(counters.snapshot()))
        return
    sockets, updates, requests = counters.sockets_open, counters.updates, counters.requests
    _say(f"{updates:,} account changes, {sockets} sockets open, {requests:,} requests answered")


def _say(line: str) -> None:
    typer.echo(line)
