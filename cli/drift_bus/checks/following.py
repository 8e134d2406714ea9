"""Whether the buckets follow the stream, seen on what the publisher stores: for logins that may only read."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import Final, NamedTuple

from drift_bus.checks.finding import Finding, failed, ok, skipped
from drift_bus.checks.link import Denied, Link, NoOneAnswers
from drift_schemas import KINDS, Kind, Topology, bucket_ttl_s

__all__ = ["buckets_follow"]

_ARRIVAL_S: Final = 10.0
_LOOK_S: Final = 0.02
_SOURCE_HEADER: Final = "Nats-Stream-Source"


class _Newest(NamedTuple):
    """The newest value of a kind in the stream."""

    kind: Kind
    market: str
    sequence: int
    age_s: float


async def buckets_follow(link: Link, topology: Topology, why: str) -> Finding:
    """Waits until each bucket has the newest value that the stream had when it was asked.

    Args:
        why: What kept us from sending a canary of our own.
    """
    try:
        found = [newest for kind in KINDS if (newest := await _newest(link, topology, kind)) is not None]
    except (Denied, NoOneAnswers):
        found = []
    fresh = [one for one in found if one.age_s < bucket_ttl_s(one.kind) / 2]  # an older one may be about to expire
    if not fresh:
        remedy = "start a publisher, or run it with the operator's login, to try the way into a bucket"
        return skipped("", f"{why}, and no publisher stores anything whose way could be followed", remedy)
    began, late = time.monotonic(), []
    for newest in fresh:
        if not await _arrived(link, topology, newest, began + _ARRIVAL_S):
            late.append(f"{newest.kind} of {newest.market}")
    if late:
        what = f"stored {_ARRIVAL_S:g} s ago, and not in its bucket: {', '.join(late)}"
        return failed("", what, "look at the server's log, its disk, and the findings on the buckets")
    took_ms = round((time.monotonic() - began) * 1000, 1)
    kinds = ", ".join(one.kind for one in fresh)
    return ok("", f"buckets have the stream's newest {kinds}; no canary of our own, for {why}", bucket_ms=took_ms)


async def _newest(link: Link, topology: Topology, kind: Kind) -> _Newest | None:
    question = json.dumps({"last_by_subj": topology.subjects.of_kind(kind)}).encode()
    headers = (await link.ask(link.where.direct_get(topology.stream), question)).headers or {}
    if "Nats-Subject" not in headers:
        return None
    now = datetime.fromisoformat((await link.stream_info(topology.stream))["ts"])
    age_s = (now - datetime.fromisoformat(headers["Nats-Time-Stamp"])).total_seconds()
    return _Newest(kind, headers["Nats-Subject"].rpartition(".")[2], int(headers["Nats-Sequence"]), age_s)


async def _arrived(link: Link, topology: Topology, newest: _Newest, deadline: float) -> bool:
    bucket = topology.bucket(newest.kind)
    request = link.where.direct_get(topology.bucket_stream(newest.kind), f"$KV.{bucket}.{newest.market}")
    while True:
        headers = (await link.ask(request)).headers or {}
        source = headers.get(_SOURCE_HEADER, "").split()
        if len(source) > 1 and int(source[1]) >= newest.sequence:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
