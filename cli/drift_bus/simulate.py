"""``drift-bus simulate``: the simulated Solana node, living or serving a capture, until a signal stops it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from drift_bus.errors import CommandError, UsageProblem
from drift_bus.runtime import also_stopped_by_stdin, run_until_stopped, wait_for_stop

if TYPE_CHECKING:
    from drift_simulator import CaptureReplay, Simulator
    from drift_simulator.counters import Counters

__all__ = ["refuse_mixture", "serve_capture", "simulate", "speed_of"]

_ONLY_FOR_WALK = ("program", "updates_per_second", "funding_period", "seed", "perp_markets")
_ONLY_FOR_CAPTURE = ("speed", "loop", "exit_at_end")
_STATUS_EVERY_S = 10.0
_LOOK_S = 0.1


def simulate(options: Mapping[str, Any], *, as_json: bool, until_stdin_closes: bool) -> int:
    """Runs the simulator; prints its URLs first, then a status line now and then."""
    from drift_simulator import PortInUse, Simulator, SimulatorConfig, SimulatorError

    try:
        config = SimulatorConfig(**{name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        raise UsageProblem(str(error)) from None

    async def run(stop: asyncio.Event) -> int:
        try:
            async with also_stopped_by_stdin(stop, wanted=until_stdin_closes), Simulator(config) as simulator:
                _tell_urls(simulator, as_json=as_json)
                while not await wait_for_stop(stop, _STATUS_EVERY_S):
                    _tell_counters(simulator.counters, as_json=as_json)
        except PortInUse as error:
            raise CommandError(f"{error}: choose another with --port") from None
        except SimulatorError as error:
            raise CommandError(str(error)) from None
        return 0

    return run_until_stopped(run)


def refuse_mixture(context: typer.Context, *, is_capture: bool) -> None:
    """Refuses options of the random walk beside a capture, and those of a capture without one.

    Raises:
        UsageProblem: one was given.
    """
    for name in _ONLY_FOR_WALK if is_capture else _ONLY_FOR_CAPTURE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = f"--{name.replace('_', '-')}"
            other = "a capture has its own" if is_capture else "it needs --capture FILE"
            raise UsageProblem(f"{flag} cannot be used here: {other}")


def speed_of(text: str) -> float:
    """``1``, ``2.5``, ``max``.

    Raises:
        UsageProblem: it is no speed.
    """
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (math.isfinite(speed) and speed > 0):
        raise UsageProblem(f"--speed {text}: give a number above 0, or max")
    return speed


def serve_capture(
    file: Path,
    *,
    port: int,
    speed: float,
    loop: bool,
    exit_at_end: bool,
    as_json: bool,
    until_stdin_closes: bool,
) -> int:
    """Serves a capture in place of the random walk; tells when it begins, how far it is, and when it ends."""
    from drift_bus.capture_info import opened
    from drift_schemas.capture import CaptureError
    from drift_simulator import CaptureReplay, PortInUse, SimulatorError

    if loop and exit_at_end:
        raise UsageProblem("--loop has no end: leave out --exit-at-end")
    opened(file)
    node = CaptureReplay(file, port=port, speed=speed, loop=loop)

    async def run(stop: asyncio.Event) -> int:
        try:
            async with also_stopped_by_stdin(stop, wanted=until_stdin_closes), node:
                _tell_capture(node, as_json=as_json)
                telling = asyncio.create_task(_tell_position(node, as_json=as_json), name="position")
                try:
                    await node.run_until(stop, or_end=exit_at_end)
                    if node.has_ended:
                        await telling
                finally:
                    telling.cancel()
                    await asyncio.gather(telling, return_exceptions=True)
        except PortInUse as error:
            raise CommandError(f"{error}: choose another with --port") from None
        except SimulatorError as error:
            raise CommandError(str(error)) from None
        except CaptureError as error:
            raise CommandError(f"{file}: {error}") from None
        return 0

    return run_until_stopped(run)


def _tell_capture(node: CaptureReplay, *, as_json: bool) -> None:
    header = node.header
    if as_json:
        urls = {"http_url": node.http_url, "ws_url": node.ws_url, "cluster": "simulated", "program": header.program}
        _say(json.dumps({**urls, "capture": str(node.reader.path), "captured_cluster": header.cluster}))
        return
    begun = datetime.fromtimestamp(header.started_at_ns / 1e9, UTC)
    what = f"a capture of {header.program} on {header.cluster}"
    _say(f"A Solana node on which {what} of {begun:%Y-%m-%d %H:%M:%S} UTC happens again.")
    _say("Whatever it was, its cluster is now called simulated. Time starts with the first client. Ctrl-C ends it.")
    _tell_addresses(node.http_url, node.ws_url, header.program)


async def _tell_position(node: CaptureReplay, *, as_json: bool) -> None:
    """Says when the capture begins, where it is now and then, and when it has ended."""
    was_playing = False
    tell_at = 0.0
    while not node.has_ended:
        await asyncio.sleep(_LOOK_S)
        now = time.monotonic()
        if node.is_playing and not was_playing:
            was_playing, tell_at = True, now + _STATUS_EVERY_S
            _say(json.dumps({"event": "begins"}) if as_json else "a client is here: time starts")
        if was_playing and now >= tell_at:
            tell_at = now + _STATUS_EVERY_S
            if as_json:
                _say(json.dumps({"event": "at", "slot": node.slot, "records": node.played}))
            else:
                _say(f"slot {node.slot}, {node.played:,} records told, {node.counters.sockets_open} sockets open")
    if as_json:
        cut_short = None if node.cut_short is None else str(node.cut_short)
        _say(json.dumps({"event": "ended", "records": node.played, "cut_short": cut_short}))
    else:
        cut = "" if node.cut_short is None else f" (the file is {node.cut_short})"
        _say(f"the capture has ended after {node.played:,} records{cut}: slots stop here")


def _tell_urls(simulator: Simulator, *, as_json: bool) -> None:
    program, http_url, ws_url = simulator.cluster.program, simulator.http_url, simulator.ws_url
    if as_json:
        _say(json.dumps({"http_url": http_url, "ws_url": ws_url, "cluster": "simulated", "program": program.name}))
        return
    _say(f"A simulated Solana node with {program.title} accounts. Its data is invented. Ctrl-C ends it.")
    _tell_addresses(http_url, ws_url, program.name)


def _tell_addresses(http_url: str, ws_url: str, program: str) -> None:
    from drift_simulator import SimulatorConfig

    chosen = "" if program == SimulatorConfig.program else f" --program {program}"
    _say(f"  HTTP       {http_url}")
    _say(f"  WebSocket  {ws_url}")
    _say(f"  Use it     drift-bus up --rpc-url {http_url} --ws-url {ws_url} --cluster simulated{chosen}")


def _tell_counters(counters: Counters, *, as_json: bool) -> None:
    if as_json:
        _say(json.dumps(counters.snapshot()))
        return
    sockets, updates, requests = counters.sockets_open, counters.updates, counters.requests
    _say(f"{updates:,} account changes, {sockets} sockets open, {requests:,} requests answered")


def _say(line: str) -> None:
    typer.echo(line)
