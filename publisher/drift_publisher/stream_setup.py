"""Creates or reconciles the streams and the buckets, and never deletes anything."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from drift_publisher.errors import NatsUnavailable, TopologyConflict
from drift_schemas import JetStreamApi, Topology
from drift_schemas.topology import differing_fields

__all__ = ["ensure_topology"]

_log = logging.getLogger(__name__)
_NOT_FOUND: Final = 10059
_NO_ROOM: Final = 10047
_NO_ROOM_HINT: Final = (
    ". The server sets the limits' bytes aside: lower DRIFT_BUS_STREAM_MAX_BYTES or DRIFT_BUS_FUNDING_MAX_BYTES, "
    "or give JetStream more room (max_file_store)"
)
_TIMEOUT_S: Final = 10.0
_ASK_AGAIN_S: Final = 1.0
_LOOK_S: Final = 0.2


async def ensure_topology(nats: Client, topology: Topology) -> bool:
    """Brings streams and buckets to what ``topology`` says. Running it again changes nothing.

    Returns:
        Whether the stream was created: there was no history.

    Raises:
        TopologyConflict: something stands there with a setting that the server will not change in place.
        NatsUnavailable: JetStream does not answer.
    """
    created = {config["name"] for config in topology.configs() if await _ensure(nats, topology.api, config)}
    return topology.stream in created


async def _ensure(nats: Client, api: JetStreamApi, wanted: dict[str, Any]) -> bool:
    name = wanted["name"]
    answer = await _request(nats, api, f"STREAM.INFO.{name}", {})
    if error := answer.get("error"):
        if error.get("err_code") != _NOT_FOUND:
            raise NatsUnavailable(f"JetStream: {name}: {error.get('description')}")
        await _accept(nats, api, "CREATE", wanted, [])
        _log.info("created stream %s", name)
        return True
    found = answer["config"]
    changed = differing_fields(wanted, found)
    if changed:
        await _accept(nats, api, "UPDATE", {**found, **wanted}, changed)
        _log.warning("stream %s: changed %s", name, ", ".join(changed))
    return False


async def _accept(nats: Client, api: JetStreamApi, verb: str, config: dict[str, Any], changed: list[str]) -> None:
    name = config["name"]
    error = (await _request(nats, api, f"STREAM.{verb}.{name}", config)).get("error")
    if error is None:
        return
    if changed:
        raise TopologyConflict(
            f"stream {name} has other settings ({', '.join(changed)}) that the server will not change: "
            f"{error.get('description')}. Set them as they are, use another --prefix, or back up and delete the stream"
        )
    hint = _NO_ROOM_HINT if error.get("err_code") == _NO_ROOM else ""
    raise TopologyConflict(f"stream {name} cannot be created: {error.get('description')}{hint}")


async def _request(nats: Client, api: JetStreamApi, action: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        reply = await _ask(nats, api, action, json.dumps(body).encode())
    except NoRespondersError:
        raise NatsUnavailable(api.silence) from None
    except NatsError as error:
        raise NatsUnavailable(f"JetStream does not answer {api.subject(action)} ({type(error).__name__})") from None
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


async def _ask(nats: Client, api: JetStreamApi, action: str, body: bytes) -> Msg:
    """Asks more than once where asking changes nothing.

    In a cluster nobody answers for a stream that another publisher is just creating, not even once it is there. And
    nobody listens for a domain while a leaf node that was just started has not found its hub.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        left_s = deadline - time.monotonic()
        is_early = left_s > _ASK_AGAIN_S
        asks_again = is_early and action.startswith("STREAM.INFO.")
        try:
            return await nats.request(api.subject(action), body, timeout=_ASK_AGAIN_S if asks_again else left_s)
        except NatsTimeout:
            if not asks_again:
                raise
        except NoRespondersError:
            if api.domain is None or not is_early:
                raise
            await asyncio.sleep(_LOOK_S)
