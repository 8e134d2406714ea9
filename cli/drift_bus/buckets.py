"""Reads a bucket's content from its stream: one batched direct get, its own end mark, the server's clock."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_bus.errors import CommandError
from drift_schemas import (
    SEQUENCE_HEADER,
    SUBJECT_HEADER,
    Kind,
    Topology,
    bucket_ttl_s,
)
from drift_subscribers.server_clock import parse_time_stamp, stored_at_ns

__all__ = ["NoBucket", "StoredValue", "read_bucket"]

_TIMEOUT_S = 3.0
_END_OF_BATCH, _NOT_FOUND = "204", "404"


class NoBucket(CommandError):
    """The bucket was never made on this server."""


@dataclass(frozen=True, slots=True)
class StoredValue:
    """One fresh key.

    Attributes:
        token: The market's subject token.
        revision: The key's revision.
        age_s: Seconds since it was stored, by the server's clock; in a replay by the replayed time.
        payload: The encoded event.
        headers: The message's headers.
    """

    token: str
    revision: int
    age_s: float
    payload: bytes
    headers: dict[str, str]


async def read_bucket(client: Client, topology: Topology, kind: Kind) -> list[StoredValue]:
    """Returns what the bucket of ``kind`` holds and is not older than its TTL, by token.

    Raises:
        NoBucket: there is none.
        CommandError: the server does not answer, or without JetStream.
    """
    now_ns = await _now_ns(client, topology, kind)
    subject_prefix = f"$KV.{topology.bucket(kind)}."
    values = []
    for message in await _last_per_subject(client, topology, topology.bucket_stream(kind), f"{subject_prefix}>"):
        headers = dict(message.headers or {})
        age_s = (now_ns - stored_at_ns(headers)) / 1e9
        # An empty value marks a key that ended; one that outlived its TTL may show after a server restart.
        if message.data and age_s <= bucket_ttl_s(kind):
            token = headers[SUBJECT_HEADER].removeprefix(subject_prefix)
            revision = int(headers[SEQUENCE_HEADER])
            values.append(StoredValue(token, revision, max(0.0, age_s), message.data, headers))
    return sorted(values, key=lambda value: value.token)


async def _now_ns(client: Client, topology: Topology, kind: Kind) -> int:
    """The server's time; in a replay the time of what was replayed last."""
    server_ns = await _server_time_ns(client, topology, kind)
    if not topology.prefix.startswith("replay."):
        return server_ns
    newest = json.dumps({"last_by_subj": topology.subjects.everything}).encode()
    try:
        reply = await client.request(topology.api.direct_get(topology.stream), newest, timeout=_TIMEOUT_S)
        return stored_at_ns(reply.headers or {})
    except (nats.errors.Error, KeyError, ValueError):
        return server_ns


async def _server_time_ns(client: Client, topology: Topology, kind: Kind) -> int:
    try:
        info_of = topology.api.subject(f"STREAM.INFO.{topology.bucket_stream(kind)}")
        reply = await client.request(info_of, b"", timeout=_TIMEOUT_S)
    except nats.errors.NoRespondersError:
        raise CommandError(topology.api.silence) from None
    except nats.errors.TimeoutError:
        raise CommandError("the NATS server did not answer in time; may this user read the buckets?") from None
    info: dict[str, Any] = json.loads(reply.data)
    if "error" in info:
        if info["error"].get("code") == 404:
            where = "on this server" if topology.domain is None else f"in the JetStream domain {topology.domain!r}"
            raise NoBucket(
                f"no bucket {topology.bucket(kind)} {where}: no publisher has run here with the prefix "
                f"{topology.prefix!r}; {topology.api.elsewhere}"
            )
        raise CommandError(f"NATS: {info['error'].get('description', 'unknown error')}")
    return parse_time_stamp(info["ts"])


async def _last_per_subject(client: Client, topology: Topology, stream: str, subjects: str) -> list[Msg]:
    inbox = client.new_inbox()
    replies: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(inbox, cb=replies.put)
    try:
        request = json.dumps({"multi_last": [subjects]}).encode()
        await client.publish(topology.api.direct_get(stream), request, reply=inbox)
        messages: list[Msg] = []
        while True:
            async with asyncio.timeout(_TIMEOUT_S):
                message = await replies.get()
            status = (message.headers or {}).get("Status")
            if status in (_END_OF_BATCH, _NOT_FOUND):
                return messages
            if status is not None:
                raise CommandError(
                    f"NATS could not read {stream}: {(message.headers or {}).get('Description', status)}"
                )
            messages.append(message)
    except TimeoutError:
        raise CommandError(f"the NATS server did not answer in time for {stream}") from None
    finally:
        await subscription.unsubscribe()
