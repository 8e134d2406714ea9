"""A bench process: the simulated node, with the moment at which each notification left it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import web

from benchmarks.processes import say, serve
from benchmarks.program import node_config
from drift_simulator import Simulator, SimulatorConfig
from drift_simulator.cluster import Cluster

__all__: list[str] = []

_DATA: Final = b'"data":["'


class _Departures:
    """Notes the time just before a frame goes to the socket; what it was about is worked out afterwards."""

    def __init__(self, simulator: Simulator) -> None:
        self._frames: list[tuple[int, bytes]] = []
        ledger = simulator.cluster.ledger
        self._writes = [(address, account.owner, bytes(account.data)) for address, account in ledger.items()]
        self._initial = len(self._writes)
        ledger.listen(lambda address, account: self._writes.append((address, account.owner, bytes(account.data))))
        send_frame = web.WebSocketResponse.send_frame

        async def timed(response: web.WebSocketResponse, message: bytes, *arguments: Any) -> None:
            self._frames.append((time.monotonic_ns(), message))
            await send_frame(response, message, *arguments)

        web.WebSocketResponse.send_frame = timed  # type: ignore[assignment, method-assign]

    def write(self, path: Path) -> int:
        """Writes a line per account at the start (time 0) and per notification; returns the notifications."""
        by_data = {b64encode(data): (address, owner) for address, owner, data in self._writes}
        notifications = 0
        with path.open("wb") as file:
            for address, owner, data in self._writes[: self._initial]:
                file.write(orjson.dumps([0, address, owner, b64encode(data).decode()]) + b"\n")
            for sent_ns, frame in self._frames:
                begin = frame.find(_DATA)
                data = frame[begin + len(_DATA) : frame.index(b'"', begin + len(_DATA))] if begin >= 0 else b""
                if data in by_data:
                    notifications += 1
                    file.write(orjson.dumps([sent_ns, *by_data[data], data.decode()]) + b"\n")
        return notifications


def _writes_per_told(config: SimulatorConfig) -> float:
    """How many accounts change for each change that a publisher of all markets hears of."""
    cluster = Cluster(config)
    followed = {market.oracle for market in cluster.markets} & set(cluster.oracles)
    return (len(cluster.oracles) + len(cluster.markets)) / (len(followed) + len(cluster.markets))


def main() -> int:
    """Serves a cluster until stdin closes, then writes what was sent when; a line on stdin asks for its counters."""
    parser = argparse.ArgumentParser(prog="benchmarks.node")
    parser.add_argument("--updates-per-second", type=float, required=True)
    parser.add_argument("--perp-markets", type=int)
    parser.add_argument("--spot-markets", type=int)
    parser.add_argument("--oracles", type=int)
    parser.add_argument("--of-markets", action="store_true", help="count only updates of markets and their oracles")
    parser.add_argument("--departures", type=Path)
    options = parser.parse_args()
    simulators: list[Simulator] = []

    def counted() -> dict[str, Any]:
        return simulators[0].counters.snapshot()

    async def work(stop: asyncio.Event) -> None:
        config = node_config(
            updates_per_second=options.updates_per_second,
            perp_markets=options.perp_markets,
            spot_markets=options.spot_markets,
            oracles=options.oracles,
        )
        if options.of_markets:
            config = replace(config, updates_per_second=config.updates_per_second * _writes_per_told(config))
        async with Simulator(config) as simulator:
            simulators.append(simulator)
            departures = _Departures(simulator) if options.departures else None
            if departures:
                gc.disable()  # what it notes grows, and walking that is no part of a node's latency
            say(http_url=simulator.http_url, ws_url=simulator.ws_url)
            await stop.wait()
        say(notifications=departures.write(options.departures) if departures else 0)

    return serve(work, counted)


if __name__ == "__main__":
    sys.exit(main())
