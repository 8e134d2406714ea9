"""The canary: a message that goes the whole way, and that no engine takes for market data.

The way into the stream and out to subscribers is tried on the bus itself, under a control subject that no engine reads;
the message expires by itself. The way on into a bucket cannot be tried there without an invented value under a market's
key, so it is tried on a stream and a bucket of the same form under a prefix of their own, which are deleted afterwards.
Where a login may not make them, the values that a publisher stores are followed instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import nats.errors
from nats.aio.msg import Msg

from drift_bus.checks.finding import Finding, failed, ok, skipped
from drift_bus.checks.following import buckets_follow
from drift_bus.checks.link import ApiError, Denied, Link, NoOneAnswers
from drift_schemas import MSG_ID_HEADER, TTL_HEADER, Topology

__all__ = ["bucket_canary", "stream_canary"]

_ARRIVAL_S: Final = 10.0
_LOOK_S: Final = 0.02
_TTL_S: Final = 60
_SIZE: Final = 1024**2
_LOG: Final = "look at the server's log and its disk"


async def stream_canary(link: Link, topology: Topology) -> Finding:
    """Publishes on the bus's own control subject, and waits until a subscriber has it."""
    subject = topology.subjects.canary
    try:
        took = await _through(link, subject, f"in.{subject}")
    except NoOneAnswers:
        if await _is_there(link, topology):
            return skipped("", "this login's leaf node may not publish, which is right for an engine")
        return skipped("", "there is no stream yet: a publisher creates it at its start")
    except Denied:
        return skipped("", "this login may not publish, which is right for an engine")
    except ApiError as error:
        return failed("", str(error), _LOG)
    except _Lost as lost:
        return failed("", str(lost), _LOG)
    return ok(
        "", f"stored after {took[0]:.1f} ms, at a subscriber after {took[1]:.1f} ms", ack_ms=took[0], arrival_ms=took[1]
    )


async def bucket_canary(link: Link, topology: Topology) -> Finding:
    """Publishes on a temporary pair of stream and bucket, and waits until the bucket has it; else follows values."""
    own = Topology(f"doctor-{secrets.token_hex(4)}", max_bytes=_SIZE, replicas=topology.replicas)
    try:
        async with _temporary(link, own.stream_config(), own.bucket_config("price")):
            began = time.monotonic()
            await _through(link, own.subjects.public("price", "CANARY"), own.subjects.ingress("price", "CANARY"))
            key = f"$KV.{own.bucket('price')}.CANARY"
            await _stored(link, link.where.direct_get(own.bucket_stream("price"), key))
            took_ms = (time.monotonic() - began) * 1000
    except (Denied, NoOneAnswers):
        return await buckets_follow(link, topology, "this login may make no streams, as only an operator's may")
    except ApiError as error:
        return failed(
            "", f"the temporary stream and bucket cannot be made: {error}", "see 'room', and the server's limits"
        )
    except _Lost as lost:
        return failed("", str(lost), _LOG)
    return ok(
        "", f"in a bucket after {took_ms:.1f} ms, on a temporary pair, deleted again", bucket_ms=round(took_ms, 1)
    )


async def _is_there(link: Link, topology: Topology) -> bool:
    with contextlib.suppress(ApiError, Denied, NoOneAnswers, TimeoutError):
        await link.stream_info(topology.stream)
        return True
    return False


class _Lost(RuntimeError):
    """The canary did not arrive."""


async def _through(link: Link, public: str, ingress: str) -> tuple[float, float]:
    """Publishes, and returns the milliseconds until the stream had it and until a subscriber had it."""
    token = secrets.token_hex(8)
    arrived = asyncio.Event()

    async def hear(message: Msg) -> None:
        if message.data == token.encode():
            arrived.set()

    subscription = await link.client.subscribe(public, cb=hear)
    try:
        await link.client.flush()
        began = time.monotonic()
        headers = {MSG_ID_HEADER: f"canary.{token}", TTL_HEADER: f"{_TTL_S}s"}
        answer: dict[str, Any] = json.loads((await link.ask(ingress, token.encode(), headers)).data)
        if error := answer.get("error"):
            raise ApiError("the stream refuses the canary", error)
        stored_ms = (time.monotonic() - began) * 1000
        try:
            async with asyncio.timeout(_ARRIVAL_S):
                await arrived.wait()
        except TimeoutError:
            raise _Lost(f"stored, and not passed on to {public} within {_ARRIVAL_S:g} s: no republish?") from None
        return round(stored_ms, 1), round((time.monotonic() - began) * 1000, 1)
    finally:
        await subscription.unsubscribe()


async def _stored(link: Link, request: str) -> None:
    deadline = time.monotonic() + _ARRIVAL_S
    while True:
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            found = await link.ask(request)
            if found.data and not (found.headers or {}).get("Status"):
                return
        if time.monotonic() > deadline:
            raise _Lost(f"stored, and not in the bucket within {_ARRIVAL_S:g} s")
        await asyncio.sleep(_LOOK_S)


@contextlib.asynccontextmanager
async def _temporary(link: Link, *configs: dict[str, Any]) -> AsyncIterator[None]:
    """Streams for as long as the ``async with`` lasts."""
    made: list[str] = []
    try:
        for config in configs:
            await link.api(f"STREAM.CREATE.{config['name']}", config)
            made.append(config["name"])
        yield
    finally:
        for name in reversed(made):
            with contextlib.suppress(ApiError, Denied, NoOneAnswers, TimeoutError):
                await link.api(f"STREAM.DELETE.{name}")
