"""A publisher in this process, and a reader that keeps what the bus said."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from driftpy.drift_client import DriftClient
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher, PublisherSettings
from drift_publisher.chain import Chain
from drift_schemas import (
    REASSERTION_HEADER,
    Kind,
    MarketDataEvent,
    StatusEvent,
    Topology,
    decode_event,
    decode_status,
)
from drift_simulator import CaptureReplay, Simulator
from tests.support.connecting import nats_client
from tests.support.wait import wait_until

__all__ = [
    "PATIENT_LEASE_S",
    "BusReader",
    "bus_reader",
    "chain_of",
    "drift_client",
    "keys_of",
    "publisher_process",
    "running_publisher",
]

PATIENT_LEASE_S = 10
"""A lease that a machine with other work to do does not let lapse; tests of leadership take the real one."""


class HasUrl(Protocol):
    """A server or a cluster."""

    @property
    def url(self) -> str:
        """Where to connect."""
        ...


def chain_of(publisher: Publisher) -> Chain:
    """The chain of a publisher that has started."""
    assert publisher.chain is not None
    return publisher.chain


def drift_client(publisher: Publisher) -> DriftClient:
    """The driftpy client of a publisher of Drift that has started."""
    client = chain_of(publisher).client
    assert isinstance(client, DriftClient)
    return client


@contextlib.asynccontextmanager
async def running_publisher(
    sim: Simulator | CaptureReplay, server: HasUrl, **settings: Any
) -> AsyncIterator[Publisher]:
    """A publisher that has read every market; it stops cleanly at the end, or the test fails.

    Its lease is a patient one, unless ``settings`` say otherwise.
    """
    chain = {"rpc_url": sim.http_url, "ws_url": sim.ws_url}
    values = {**chain, "nats_url": server.url, "lease_ttl_s": PATIENT_LEASE_S, **settings}
    publisher = Publisher(PublisherSettings(_env_file=None, **values))
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(publisher.run(stop, on_ready=ready.set), name="publisher under test")
    waiting = asyncio.create_task(ready.wait(), name="ready")
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield publisher
    finally:
        waiting.cancel()
        stop.set()
        async with asyncio.timeout(60):
            await task


@contextlib.asynccontextmanager
async def publisher_process(
    sim: Simulator, server: HasUrl, *, rpc_url: str = "", ws_url: str = "", **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``drift-bus publish`` as an operator runs it, with a patient lease; killed at the end if it is still there.

    Args:
        sim: The chain.
        server: The NATS server, or what stands before it.
        rpc_url, ws_url: What stands before the chain, where something does.
        environment: More settings, by their names in the environment.
    """
    chain = {"DRIFT_BUS_RPC_URL": rpc_url or sim.http_url, "DRIFT_BUS_WS_URL": ws_url or sim.ws_url}
    lease = {"DRIFT_BUS_LEASE_TTL_S": str(PATIENT_LEASE_S)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "drift_bus", "publish", "--nats-url", server.url),
        env={**os.environ, **chain, **lease, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@dataclass
class BusReader:
    """Everything that core subscribers saw, by subject."""

    prefix: str = "drift"
    changes: defaultdict[str, list[MarketDataEvent]] = field(default_factory=lambda: defaultdict(list))
    reassertions: defaultdict[str, list[MarketDataEvent]] = field(default_factory=lambda: defaultdict(list))
    headers: defaultdict[str, list[Mapping[str, str]]] = field(default_factory=lambda: defaultdict(list))
    status: StatusEvent | None = None
    beats: int = 0
    oldest_arrival_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def last(self, kind: Kind, market: str) -> MarketDataEvent | None:
        """The newest event of a market, a re-assertion or not."""
        events = self.changes[f"{kind}.{market}"] + self.reassertions[f"{kind}.{market}"]
        return max(events, key=lambda event: event.published_at_ns, default=None)

    def markets(self, kind: Kind) -> set[str]:
        """Names of the markets seen with this kind."""
        return {key.split(".", 1)[1] for key, events in self.changes.items() if key.startswith(f"{kind}.") and events}

    async def on_message(self, message: Msg) -> None:
        """Takes one message in; a message that does not decode fails the test."""
        headers = message.headers or {}
        key = message.subject.removeprefix(f"{self.prefix}.")
        if key == "status":
            self.status = decode_status(message.data, headers)
            self.beats += 1
        elif not key.startswith(("ctl.", "standby.")):
            event = decode_event(key.split(".")[0], message.data, headers)  # type: ignore[arg-type]
            (self.reassertions if REASSERTION_HEADER in headers else self.changes)[key].append(event)
            self.headers[key].append(headers)
            age_s = (time.time_ns() - event.published_at_ns) / 1e9
            self.oldest_arrival_s[event.kind] = max(self.oldest_arrival_s[event.kind], age_s)


@contextlib.asynccontextmanager
async def bus_reader(server: LocalNatsServer, prefix: str = "drift") -> AsyncIterator[BusReader]:
    """A core subscriber on everything under the prefix."""
    reader = BusReader(prefix)
    async with nats_client(server.url, max_reconnect_attempts=-1, reconnect_time_wait=1) as client:
        await client.subscribe(f"{prefix}.>", cb=reader.on_message)
        await client.flush()
        yield reader


async def keys_of(client: Client, kind: Kind, topology: Topology | None = None) -> set[str]:
    """The markets that stand in a bucket now, whatever their age; none where there is no bucket."""
    topology = topology or Topology()
    stream = topology.bucket_stream(kind)
    try:
        info = await client.jetstream(timeout=30).stream_info(stream, subjects_filter=">")
        subjects = list(info.state.subjects or {})
        asked = (client.request(topology.api.direct_get(stream, one), timeout=30) for one in subjects)
        found = await asyncio.gather(*asked)
    except (NotFoundError, NoRespondersError):
        return set()
    # a delete marker has no data, and is what a key that ran out leaves
    return {one.rpartition(".")[2] for one, last in zip(subjects, found, strict=True) if last.data}


async def wait_for_prices(reader: BusReader, count: int = 1, timeout_s: float = 10.0) -> None:
    """Waits until ``count`` markets have shown a price."""
    await wait_until(lambda: len(reader.markets("price")) >= count, timeout_s, f"{count} markets with a price")
