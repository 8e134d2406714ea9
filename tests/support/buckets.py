"""Buckets follow the stream by themselves, a moment later: whoever reads them at once waits here before."""

from __future__ import annotations

import json
from typing import Any

from nats.aio.client import Client

from drift_schemas import KINDS, Kind, Topology
from tests.support.wait import wait_until

__all__ = ["buckets_follow"]


async def buckets_follow(client: Client, topology: Topology) -> None:
    """Waits until every bucket has taken in as many messages as the stream holds of its kind."""

    async def info(stream: str, **wish: str) -> dict[str, Any]:
        answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", json.dumps(wish).encode(), timeout=30)
        state: dict[str, Any] = json.loads(answer.data)["state"]
        return state

    async def follows(kind: Kind) -> bool:
        stored = (await info(topology.stream, subjects_filter=f"{topology.prefix}.{kind}.*")).get("subjects") or {}
        return (await info(topology.bucket_stream(kind)))["last_seq"] >= sum(stored.values())

    for kind in KINDS:
        await wait_until(lambda kind=kind: follows(kind), what=f"the bucket of {kind} follows")  # type: ignore[misc]
