"""The bus: servers, JetStream, rights, streams and buckets, who publishes, clocks, room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from nats.aio.msg import Msg

from drift_bus.checks.canary import bucket_canary, stream_canary
from drift_bus.checks.finding import Finding, checked, failed, failed_by, ok, skipped, warning
from drift_bus.checks.link import ApiError, Denied, Link, NoOneAnswers, linked
from drift_bus.checks.room import room
from drift_bus.errors import CommandError
from drift_bus.redaction import redact
from drift_schemas import MessageError, Topology, decode_status
from drift_schemas.access import NatsAccess
from drift_schemas.topology import differing_fields

__all__ = ["BusUnderTest", "examine_bus"]

_OLDEST: Final = (2, 11)
_NOT_FOUND: Final = 10059
_OTHER_STREAM: Final = 10060
_HEARTBEAT_S: Final = 3.5
_UNEASY_S: Final = 1.0
_FAR_S: Final = 10.0
_LIMITS: Final = frozenset({"max_age", "max_bytes", "num_replicas", "description", "duplicate_window"})


@dataclass(frozen=True, slots=True)
class BusUnderTest:
    """What is examined.

    Attributes:
        servers: URLs.
        access: Our login.
        topology: Names of streams and buckets, with the publisher's limits if they are known.
        knows_limits: They are.
        publishes: This machine's settings are a publisher's, so it must be able to publish.
    """

    servers: list[str]
    access: NatsAccess
    topology: Topology
    knows_limits: bool
    publishes: bool


async def examine_bus(bus: BusUnderTest) -> AsyncIterator[Finding]:
    """Yields whether each server answers, and then what the first that does has to say."""
    examined = False
    for server in bus.servers:
        try:
            async with linked(server, bus.access) as link:
                yield await checked("nats server", partial(_server, server, link))
                if not examined:
                    examined = True
                    async for finding in _examine(bus, link):
                        yield finding
        except CommandError as error:
            yield failed_by("nats server", error)
    if not examined:
        yield skipped("nats jetstream", "no NATS server answers")


async def _examine(bus: BusUnderTest, link: Link) -> AsyncIterator[Finding]:
    jetstream = await checked("nats jetstream", lambda: _jetstream(bus, link))
    yield jetstream
    if jetstream.result == "failed":
        return
    looks: dict[str, Callable[[], Awaitable[Finding]]] = {
        "nats permissions": lambda: _permissions(bus, link),
        **{f"stream {config['name']}": partial(_stream, bus, link, config) for config in bus.topology.configs()},
        "publisher": lambda: _publisher(bus, link),
        "clock": lambda: _clock(bus, link),
        "room": lambda: room(link, bus.topology),
        "canary stream": lambda: stream_canary(link, bus.topology),
        "canary bucket": lambda: bucket_canary(link, bus.topology),
    }
    for name, look in looks.items():
        yield await checked(name, look)


async def _server(server: str, link: Link) -> Finding:
    began = time.monotonic()
    await link.client.flush()
    ping_ms = (time.monotonic() - began) * 1000
    found = link.client.connected_server_version
    version = f"{found.major}.{found.minor}.{found.patch}"
    said = f"{redact(server)}: nats-server {version}, ping {ping_ms:.1f} ms"
    if (found.major, found.minor) < _OLDEST:
        needed = ".".join(map(str, _OLDEST))
        return failed("", said, f"update it: message TTLs and batched direct gets need {needed} or later")
    return ok("", said, version=version, ping_ms=round(ping_ms, 2))


async def _jetstream(bus: BusUnderTest, link: Link) -> Finding:
    remedy = "start nats-server with -js and a store_dir, or use a login whose account has it, as the publisher's"
    try:
        info = await link.api("INFO")
    except NoOneAnswers:
        if await _can_read(bus, link):
            return skipped("", "JetStream tells nothing of itself here, and has the streams: a leaf node of an engine")
        return failed("", link.where.silence, link.where.elsewhere if link.where.domain else remedy)
    except ApiError as error:
        return failed("", str(error), remedy)
    except Denied:
        return skipped("", "this login may not ask JetStream about itself, which is right for an engine")
    return ok("", f"on, {info.get('streams', 0)} streams", streams=info.get("streams", 0))


async def _can_read(bus: BusUnderTest, link: Link) -> bool:
    try:
        await link.api(f"STREAM.INFO.{bus.topology.stream}")
    except ApiError as error:
        return error.code == _NOT_FOUND
    except (Denied, NoOneAnswers):
        return False
    return True


async def _permissions(bus: BusUnderTest, link: Link) -> Finding:
    """Asks in ways that change nothing: the server refuses each for another reason than permission."""
    name, subjects = bus.topology.stream, bus.topology.subjects
    probes: dict[str, Callable[[], Awaitable[object]]] = {
        "publish": lambda: link.ask(f"in.{subjects.canary}", b"", {"Nats-Expected-Stream": "NONE"}),
        "create and update streams": lambda: link.api(f"STREAM.CREATE.{name}", {"name": "ANOTHER NAME"}),
        "read streams": lambda: link.ask(link.where.direct_get(name, subjects.epoch)),
    }
    may: dict[str, bool] = {}
    unheard: list[str] = []
    for what, probe in probes.items():
        try:
            await probe()
            may[what] = True
        except Denied:
            may[what] = False
        except NoOneAnswers:
            may[what] = True
            unheard.append(what)
        except (ApiError, TimeoutError):
            may[what] = True  # allowed, and refused for a reason that other checks tell
    if "read streams" not in unheard and may["read streams"]:
        # The stream hears those who may reach it. A leaf node does not say that its login may not.
        may |= dict.fromkeys(unheard, False)
    can = ", ".join(what for what, allowed in may.items() if allowed) or "nothing"
    cannot = ", ".join(what for what, allowed in may.items() if not allowed)
    if not cannot:
        return ok("", f"this login may {can}")
    if bus.publishes or not may["read streams"]:
        whose = "the publisher's login, for an RPC URL is set here" if bus.publishes else "an engine's login"
        remedy = f"use {whose}: DRIFT_BUS_NATS_NKEY_SEED_FILE or DRIFT_BUS_NATS_CREDS"
        return failed("", f"this login may not {cannot}", remedy, **may)
    what = f"this login may {can}, and not {cannot}: right for an engine's or a replay's; a publisher needs its own"
    return ok("", what, **may)


async def _stream(bus: BusUnderTest, link: Link, wanted: Mapping[str, Any]) -> Finding:
    try:
        info = await link.stream_info(wanted["name"])
    except ApiError as error:
        if error.code == _NOT_FOUND:
            remedy = "a publisher makes it at its start, and within seconds while it runs: start one"
            return warning("", "it is not there", f"{remedy}; {link.where.elsewhere}")
        raise
    except Denied:
        return skipped("", "this login may not ask about it")
    changed = differing_fields(wanted, info["config"])
    wrong = [name for name in changed if name not in _LIMITS]
    if wrong:
        remedy = (
            "restart the publisher, which sets them; if it says that the server will not change them, "
            "use another --prefix, or back up and delete the stream"
        )
        return failed("", f"other settings than ours: {', '.join(wrong)}", remedy, fields=wrong)
    for source in info.get("sources") or ():
        if source.get("error"):
            what = f"it cannot follow {source['name']}: {source['error'].get('description')}"
            if not await _is_there(link, source["name"]):
                return warning(
                    "", what, f"nothing to do here: it follows again by itself once {source['name']} is there"
                )
            return failed("", what, "wait half a minute, it may follow again by itself; else look at the server's log")
    offline = [peer["name"] for peer in (info.get("cluster") or {}).get("replicas") or () if peer.get("offline")]
    if offline:
        return warning("", f"copies at {', '.join(offline)} are offline", "start these servers again")
    limits = [name for name in changed if name in _LIMITS and name != "description"]
    if limits and bus.knows_limits:
        return warning(
            "", f"limits differ from the settings: {', '.join(limits)}", "the publisher sets them at its next start"
        )
    messages = info["state"]["messages"]
    marks = ", marks of values that ran out among them" if wanted.get("subject_delete_marker_ttl") else ""
    return ok("", f"as it should be, {messages} messages{marks}", messages=messages)


async def _is_there(link: Link, stream: str) -> bool:
    try:
        await link.stream_info(stream)
    except ApiError as error:
        return error.code != _NOT_FOUND
    except Denied:
        return True
    return True


async def _publisher(bus: BusUnderTest, link: Link) -> Finding:
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await link.client.subscribe(bus.topology.subjects.status, cb=heard.put)
    try:
        async with asyncio.timeout(_HEARTBEAT_S):
            message = await heard.get()
    except TimeoutError:
        what = f"no publisher has beaten on {bus.topology.subjects.status} for {_HEARTBEAT_S:g} s"
        return warning("", what, "start one (drift-bus publish); until then every reader sees absence")
    finally:
        await subscription.unsubscribe()
    try:
        status = decode_status(message.data, message.headers or {})
    except MessageError as error:
        return failed(
            "", f"a heartbeat that cannot be read: {error}", "publisher and doctor are of different versions: update"
        )
    said = f"{status.publisher_id} leads, epoch {status.epoch}, {len(status.markets)} markets, {status.source_state}"
    if status.source_state not in ("live", "polling"):
        return warning("", f"{said}: {status.reason}", "see the rpc checks and the publisher's log")
    if status.bus_trouble:
        return warning("", f"{said}; {status.bus_trouble}", "it mends that within seconds; if not, see its log")
    if status.stale_markets:
        stale = ", ".join(status.stale_markets[:8])
        return warning("", f"{said}; no oracle for {stale}", "see /readyz of the publisher")
    return ok("", said, epoch=status.epoch)


async def _clock(bus: BusUnderTest, link: Link) -> Finding:
    began, wall = time.monotonic(), time.time()
    try:
        info = await link.stream_info(bus.topology.stream)
    except (ApiError, Denied):
        return skipped("", "there is no stream yet whose server could tell the time")
    took_s = time.monotonic() - began
    ahead_s = datetime.fromisoformat(info["ts"]).timestamp() - (wall + took_s / 2)
    apart_s = max(0.0, abs(ahead_s) - took_s / 2)
    said = f"the NATS server's clock is {abs(ahead_s):.3f} s {'ahead of' if ahead_s > 0 else 'behind'} ours"
    remedy = "synchronise both machines (chrony, timedatectl): ages and times of events are told by these clocks"
    if apart_s > _FAR_S:
        return failed("", said, remedy, ahead_s=round(ahead_s, 3))
    if apart_s > _UNEASY_S:
        return warning("", said, remedy, ahead_s=round(ahead_s, 3))
    return ok("", said, ahead_s=round(ahead_s, 3))
