"""``drift-bus streams``: how much history there is, how fast it grows, and when its limits are reached."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from rich import box
from rich.table import Table

from drift_bus import formats
from drift_bus.connection import connected
from drift_bus.errors import CommandError
from drift_bus.history import history_errors_in_one_line
from drift_bus.rendering import OutputConsole
from drift_bus.runtime import run_until_stopped
from drift_bus.settings import CommandSettings
from drift_schemas import KINDS, Topology
from drift_subscribers.history import NoHistory, parse_moment
from drift_subscribers.history.inquiry import Inquiry

__all__ = ["StreamState", "streams"]

_PATIENCE_S: Final = 5.0
_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream, as the server tells of it.

    Attributes:
        stream: Its name.
        messages: How many it holds.
        bytes: Their size in the store.
        first: Time of the oldest, RFC 3339; ``None`` where it is empty.
        last: Time of the newest.
        span_s: From the oldest to now, by the server's clock.
        messages_per_s: What it keeps, over that span.
        bytes_per_s: The same in bytes.
        max_age_s: Limit by age; 0: none.
        max_bytes: Limit by size; -1: none.
        days_until_age: Until the oldest message reaches the limit by age; 0: it has.
        days_until_bytes: Until the limit by size is reached, at this rate.
    """

    stream: str
    messages: int
    bytes: int
    first: str | None
    last: str | None
    span_s: float
    messages_per_s: float | None
    bytes_per_s: float | None
    max_age_s: float
    max_bytes: int
    days_until_age: float | None
    days_until_bytes: float | None

    @classmethod
    def of(cls, info: dict[str, Any]) -> Self:
        """Reads an answer of the JetStream API."""
        config, state = info["config"], info["state"]
        messages, size = int(state["messages"]), int(state["bytes"])
        max_age_s, max_bytes = config.get("max_age", 0) / _NS, int(config.get("max_bytes", -1)) or -1
        first, last = (state["first_ts"], state["last_ts"]) if messages else (None, None)
        span_s = 0.0 if first is None else max(0, parse_moment(info["ts"]) - parse_moment(first)) / _NS
        per_s = size / span_s if span_s else None
        return cls(
            stream=config["name"],
            messages=messages,
            bytes=size,
            first=first,
            last=last,
            span_s=round(span_s, 3),
            messages_per_s=messages / span_s if span_s else None,
            bytes_per_s=per_s,
            max_age_s=max_age_s,
            max_bytes=max_bytes,
            days_until_age=max(0.0, max_age_s - span_s) / _DAY_S if max_age_s and messages else None,
            days_until_bytes=max(0, max_bytes - size) / per_s / _DAY_S if max_bytes > 0 and per_s else None,
        )


def streams(
    *, nats_url: str | None, nats_domain: str | None, prefix: str | None, everything: bool, as_json: bool
) -> int:
    """Prints the streams under the prefix, or all that drift-bus made on the server."""
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)

    async def run(_stop: asyncio.Event) -> int:
        with history_errors_in_one_line():
            async with (
                connected(settings.nats_servers) as client,
                Inquiry(client, settings.topology.api, patience_s=_PATIENCE_S) as inquiry,
            ):
                infos = (
                    [info async for info in _all(inquiry)] if everything else await _under(inquiry, settings.topology)
                )
        if not infos:
            raise CommandError("no stream of drift-bus on this server: has a publisher run here?")
        _print([StreamState.of(info) for info in infos], as_json=as_json)
        return 0

    return run_until_stopped(run)


async def _under(inquiry: Inquiry, topology: Topology) -> list[dict[str, Any]]:
    """The stream, which must be there, and what else is there of its topology."""
    infos = [await inquiry.stream_info(topology.stream)]
    for name in (topology.funding_history, *(topology.bucket_stream(kind) for kind in KINDS)):
        try:
            infos.append(await inquiry.stream_info(name))
        except NoHistory:
            continue  # an import or a replay has fewer
    return infos


async def _all(inquiry: Inquiry) -> AsyncIterator[dict[str, Any]]:
    offset, total = 0, 1
    while offset < total:
        page = await inquiry.api("STREAM.LIST", {"offset": offset})
        total, offset = page["total"], offset + max(1, len(page["streams"] or ()))
        for info in page["streams"] or ():
            if info["config"].get("description", "").startswith("drift-bus"):
                yield {"ts": page.get("ts"), **info}


def _print(states: list[StreamState], *, as_json: bool) -> None:
    if as_json:
        for state in states:
            sys.stdout.write(json.dumps(asdict(state)) + "\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Stream", style="bold", no_wrap=True)
    for name in ("Messages", "Size", "Oldest", "Rate", "Growth", "Keeps", "Up to", "Limit in"):
        table.add_column(name, justify="right", no_wrap=True)
    for state in states:
        table.add_row(
            state.stream,
            f"{state.messages:,}",
            _size(state.bytes),
            "–" if state.first is None else f"{formats.age(state.span_s)} ago",
            "–" if state.messages_per_s is None else f"{state.messages_per_s:,.1f}/s",
            "–" if state.bytes_per_s is None else f"{_size(state.bytes_per_s * _DAY_S)}/day",
            _duration(state.max_age_s) if state.max_age_s else "no limit",
            _size(state.max_bytes) if state.max_bytes > 0 else "no limit",
            _limit(state),
        )
    OutputConsole().print(table)


def _limit(state: StreamState) -> str:
    """The limit that comes first, and when."""
    days = [
        (until, name)
        for until, name in ((state.days_until_age, "age"), (state.days_until_bytes, "size"))
        if until is not None
    ]
    if not days:
        return "–"
    until, name = min(days)
    return f"reached ({name})" if until == 0 else f"{_duration(until * _DAY_S)} ({name})"


def _duration(seconds: float) -> str:
    return formats.age(seconds) if seconds < 2 * _DAY_S else f"{seconds / _DAY_S:,.1f} days"


def _size(count: float) -> str:
    for limit, unit in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if count >= limit:
            return f"{count / limit:,.1f} {unit}"
    return f"{count:.0f} B"
