"""A key that runs out tells so: a watch hears a delete marker, which is absence to everybody who reads."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError

from drift_bus.buckets import read_bucket
from drift_bus.nats_server import LocalNatsServer
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import KINDS, TTL_HEADER, Topology
from tests.cli.support import drift_bus
from tests.support.connecting import nats_client
from tests.support.publishing import keys_of
from tests.support.wait import wait_until

TOPOLOGY = Topology()
BUCKET = TOPOLOGY.bucket("price")
KEY = "SOL-PERP"


@pytest.fixture
async def client(nats_server: LocalNatsServer) -> AsyncIterator[Client]:
    async with nats_client(nats_server.url) as client:
        await ensure_topology(client, TOPOLOGY)
        yield client


async def run_out(client: Client) -> None:
    """A value that lives for a second, and its end."""
    await client.jetstream().publish(f"in.drift.price.{KEY}", b"\x80", headers={TTL_HEADER: "1s"})
    await wait_until(lambda: is_marked(client), 45, "the key is marked as run out")


async def is_marked(client: Client) -> bool:
    found = await client.request(TOPOLOGY.api.direct_get(TOPOLOGY.bucket_stream("price"), f"$KV.{BUCKET}.{KEY}"))
    return (found.headers or {}).get("Nats-Marker-Reason") == "MaxAge"


async def test_a_value_that_ran_out(client: Client, nats_server: LocalNatsServer) -> None:
    """A watch hears of it; to nats-py's keys, the command's reading of buckets, snapshot and doctor it is absence."""
    kv = await client.jetstream().key_value(BUCKET)
    watcher = await kv.watch(KEY, include_history=False)
    heard: list[tuple[str | None, bytes | None]] = []

    async def listen() -> None:
        async for entry in watcher:
            if entry is not None:
                heard.append((entry.operation, entry.value))

    listening = asyncio.create_task(listen(), name="watch")
    try:
        await run_out(client)
        await wait_until(lambda: len(heard) == 2, 45, "the value and its end")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await watcher.stop()
    assert heard[0] == (None, b"\x80")
    assert heard[1][0] == "PURGE"
    assert not heard[1][1]
    assert await read_bucket(client, TOPOLOGY, "price") == []
    assert await keys_of(client, "price") == set()
    with pytest.raises(Exception, match="no keys"):
        await kv.keys()
    with contextlib.suppress(KeyNotFoundError):
        assert not (await kv.get(KEY)).value, "nats-py gives an entry without a value"
    url = ("--nats-url", nats_server.url)
    snapshot, doctor = await asyncio.gather(*(drift_bus(one, "--json", *url) for one in ("snapshot", "doctor")))
    assert (snapshot.status, snapshot.objects) == (0, [])
    assert "the buckets are empty" in snapshot.stderr
    assert doctor.status == 0, doctor.stdout


async def test_buckets_of_an_older_version_are_told_to_leave_markers(nats_server: LocalNatsServer) -> None:
    async with nats_client(nats_server.url) as client:
        for config in TOPOLOGY.configs():
            older = {name: value for name, value in config.items() if name != "subject_delete_marker_ttl"}
            answer = await client.request(f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(older).encode())
            assert "error" not in json.loads(answer.data)
        await ensure_topology(client, TOPOLOGY)
        for kind in KINDS:
            name = TOPOLOGY.bucket_stream(kind)
            info: dict[str, Any] = json.loads((await client.request(f"$JS.API.STREAM.INFO.{name}")).data)
            assert info["config"]["subject_delete_marker_ttl"] == 60 * 10**9
