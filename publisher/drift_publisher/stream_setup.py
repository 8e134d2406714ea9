"""Creates or reconciles the streams and the buckets, and never deletes anything."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nats.aio.client import Client

from drift_publisher.errors import NatsUnavailable, TopologyConflict
from drift_publisher.stream_api import PATIENCE_S, StreamApi
from drift_schemas import KINDS, Topology
from drift_schemas.topology import differing_fields

__all__ = ["ensure_topology"]

_log = logging.getLogger(__name__)
_NO_ROOM: Final = 10047
_NO_ROOM_HINT: Final = (
    ". The server sets the limits' bytes aside: lower DRIFT_BUS_STREAM_MAX_BYTES or DRIFT_BUS_FUNDING_MAX_BYTES, "
    "or give JetStream more room (max_file_store)"
)
_BEGIN: Final = ("opt_start_time", "opt_start_seq")


async def ensure_topology(
    nats: Client, topology: Topology, *, is_another: bool = False, patience_s: float = PATIENCE_S
) -> bool:
    """Brings streams and buckets to what ``topology`` says. Running it again changes nothing.

    Args:
        nats: A connection that may manage streams.
        topology: What should be there.
        is_another: Somebody else has made the stream anew, so that what follows it must begin again.
        patience_s: How long JetStream may take to answer any one request, in seconds, however often it is asked.

    Returns:
        Whether the stream was created: there was no history.

    Raises:
        TopologyConflict: something stands there with a setting that the server will not change in place.
        NatsUnavailable: JetStream does not answer.
    """
    streams = StreamApi(nats, topology.api, patience_s)
    buckets = frozenset(map(topology.bucket_stream, KINDS))
    stream, *followers = topology.configs()
    of_another = await _there(streams, followers) if is_another else frozenset()
    if not is_another and await streams.info(topology.stream) is None:
        of_another = await _there(streams, followers)  # they followed one that is gone
    is_new = await _ensure(streams, stream)
    for config in followers:
        await _ensure(streams, config, from_now=config["name"] in buckets and not is_new)
        if config["name"] in of_another:
            await _follow_again(streams, config)
    return is_new


async def _there(streams: StreamApi, configs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    names = [config["name"] for config in configs]
    return frozenset([name for name in names if await streams.info(name) is not None])


async def _ensure(streams: StreamApi, wanted: dict[str, Any], *, from_now: bool = False) -> bool:
    """Says whether it had to be created; with ``from_now`` it then takes nothing that its source had before.

    A bucket gives each message a new time: what was stored an hour ago would look fresh in it.
    """
    name = wanted["name"]
    info = await streams.info(name)
    if info is None:
        try:
            await _accept(streams, "CREATE", await _from_now(streams, wanted) if from_now else wanted, [])
        except (TopologyConflict, NatsUnavailable):
            # Another publisher may just have made it, with a beginning of its own.
            info = await streams.info(name)
            if info is None:
                raise
        else:
            _log.info("created stream %s", name)
            return True
    found = info["config"]
    changed = differing_fields(wanted, found)
    if changed:
        await _accept(streams, "UPDATE", {**found, **_with_begin_of(found, wanted)}, changed)
        _log.warning("stream %s: changed %s", name, ", ".join(changed))
    return False


async def _from_now(streams: StreamApi, wanted: dict[str, Any]) -> dict[str, Any]:
    """The same, to begin after what the source has by now."""
    source = await streams.info(wanted["sources"][0]["name"])
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


async def _follow_again(streams: StreamApi, wanted: dict[str, Any]) -> None:
    """Makes the sources anew in place: their source is another stream than before.

    Left to itself, the server notices that after ten to twenty seconds. What the follower holds stays.
    """
    name = wanted["name"]
    try:
        await _accept(streams, "UPDATE", {**wanted, "sources": []}, ["sources"])
        await _accept(streams, "UPDATE", wanted, ["sources"])
    except (TopologyConflict, NatsUnavailable) as refused:
        _log.warning("%s follows the new stream some seconds later: %s", name, refused)
        return
    _log.info("stream %s follows the new stream", name)


async def _accept(streams: StreamApi, verb: str, config: dict[str, Any], changed: list[str]) -> None:
    name = config["name"]
    error = (await streams.request(verb, name, config)).get("error")
    if error is None:
        return
    if changed:
        raise TopologyConflict(
            f"stream {name} has other settings ({', '.join(changed)}) that the server will not change: "
            f"{error.get('description')}. Set them as they are, use another --prefix, or back up and delete the stream"
        )
    hint = _NO_ROOM_HINT if error.get("err_code") == _NO_ROOM else ""
    raise TopologyConflict(f"stream {name} cannot be created: {error.get('description')}{hint}")
