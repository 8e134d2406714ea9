"""Creates or reconciles the streams and the buckets, and never deletes anything."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from drift_publisher.asking import ask
from drift_publisher.errors import NatsUnavailable, TopologyConflict
from drift_schemas import KINDS, JetStreamApi, Topology
from drift_schemas.topology import differing_fields

__all__ = ["ensure_topology", "stream_info"]

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
_BEGIN: Final = ("opt_start_time", "opt_start_seq")


async def ensure_topology(nats: Client, topology: Topology, *, is_another: bool = False) -> bool:
    """Brings streams and buckets to what ``topology`` says. Running it again changes nothing.

    Args:
        nats: A connection that may manage streams.
        topology: What should be there.
        is_another: Somebody else has made the stream anew, so that what follows it must begin again.

    Returns:
        Whether the stream was created: there was no history.

    Raises:
        TopologyConflict: something stands there with a setting that the server will not change in place.
        NatsUnavailable: JetStream does not answer.
    """
    buckets = frozenset(map(topology.bucket_stream, KINDS))
    stream, *followers = topology.configs()
    of_another = await _there(nats, topology.api, followers) if is_another else frozenset()
    if not is_another and await stream_info(nats, topology.api, topology.stream) is None:
        of_another = await _there(nats, topology.api, followers)  # they followed one that is gone
    is_new = await _ensure(nats, topology.api, stream)
    for config in followers:
        await _ensure(nats, topology.api, config, from_now=config["name"] in buckets and not is_new)
        if config["name"] in of_another:
            await _follow_again(nats, topology.api, config)
    return is_new


async def _there(nats: Client, api: JetStreamApi, configs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    names = [config["name"] for config in configs]
    return frozenset([name for name in names if await stream_info(nats, api, name) is not None])


async def stream_info(nats: Client, api: JetStreamApi, name: str, *, subjects: str = "") -> dict[str, Any] | None:
    """What the server says about a stream, with the subjects that ``subjects`` matches; ``None`` where it is not there.

    Raises:
        NatsUnavailable: JetStream does not answer, or with another error.
    """
    answer = await _request(nats, api, f"STREAM.INFO.{name}", {"subjects_filter": subjects} if subjects else {})
    if error := answer.get("error"):
        if error.get("err_code") == _NOT_FOUND:
            return None
        raise NatsUnavailable(f"JetStream: {name}: {error.get('description')}")
    return answer


async def _ensure(nats: Client, api: JetStreamApi, wanted: dict[str, Any], *, from_now: bool = False) -> bool:
    """Says whether it had to be created; with ``from_now`` it then takes nothing that its source had before.

    A bucket gives each message a new time: what was stored an hour ago would look fresh in it.
    """
    name = wanted["name"]
    info = await stream_info(nats, api, name)
    if info is None:
        try:
            await _accept(nats, api, "CREATE", await _from_now(nats, api, wanted) if from_now else wanted, [])
        except (TopologyConflict, NatsUnavailable):
            # Another publisher may just have made it, with a beginning of its own.
            info = await stream_info(nats, api, name)
            if info is None:
                raise
        else:
            _log.info("created stream %s", name)
            return True
    found = info["config"]
    changed = differing_fields(wanted, found)
    if changed:
        await _accept(nats, api, "UPDATE", {**found, **_with_begin_of(found, wanted)}, changed)
        _log.warning("stream %s: changed %s", name, ", ".join(changed))
    return False


async def _from_now(nats: Client, api: JetStreamApi, wanted: dict[str, Any]) -> dict[str, Any]:
    """The same, to begin after what the source has by now."""
    source = await stream_info(nats, api, wanted["sources"][0]["name"])
    if source is None or not source["state"]["last_seq"]:
        return wanted
    return {**wanted, "sources": [{**one, "opt_start_time": source["ts"]} for one in wanted["sources"]]}


def _with_begin_of(found: Mapping[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The same settings; a source that is there already keeps the place at which it began."""
    begins = {
        source["name"]: {name: source[name] for name in _BEGIN if name in source}
        for source in found.get("sources") or ()
    }
    if not any(begins.values()):
        return wanted
    return {**wanted, "sources": [{**source, **begins.get(source["name"], {})} for source in wanted["sources"]]}


async def _follow_again(nats: Client, api: JetStreamApi, wanted: dict[str, Any]) -> None:
    """Makes the sources anew in place: their source is another stream than before.

    Left to itself, the server notices that after ten to twenty seconds. What the follower holds stays.
    """
    name = wanted["name"]
    try:
        await _accept(nats, api, "UPDATE", {**wanted, "sources": []}, ["sources"])
        await _accept(nats, api, "UPDATE", wanted, ["sources"])
    except (TopologyConflict, NatsUnavailable) as refused:
        _log.warning("%s follows the new stream some seconds later: %s", name, refused)
        return
    _log.info("stream %s follows the new stream", name)


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
            return await ask(nats, api.subject(action), body, timeout_s=_ASK_AGAIN_S if asks_again else left_s)
        except TimeoutError:
            if not asks_again:
                raise NatsTimeout from None
        except NoRespondersError:
            if api.domain is None or not is_early:
                raise
            await asyncio.sleep(_LOOK_S)
