"""``drift-bus snapshot``: what the buckets hold now, or held at a time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client

from drift_bus.buckets import StoredValue, read_bucket
from drift_bus.connection import connected
from drift_bus.errors import CommandError, UsageProblem, complain
from drift_bus.history import history_errors_in_one_line
from drift_bus.rendering import OutputConsole, json_line
from drift_bus.runtime import run_until_stopped
from drift_bus.settings import CommandSettings
from drift_bus.tables import snapshot_table
from drift_schemas import KINDS, Kind, MarketDataEvent, MessageError, Topology, decode_event
from drift_subscribers.history import Selection, as_of, parse_moment

__all__ = ["Entry", "snapshot"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event with its place in the bucket; as of a time, ``revision`` is its sequence in the stream."""

    event: MarketDataEvent
    bucket: str
    revision: int
    age_s: float


def snapshot(
    kind: str | None,
    market: str | None,
    *,
    at: str | None,
    nats_url: str | None,
    nats_domain: str | None,
    prefix: str | None,
    as_json: bool,
) -> int:
    """Prints the fresh values of one kind or all, of one market or all, as of now or of a time."""
    if kind is not None and kind not in KINDS:
        hint = f"; did you mean 'drift-bus snapshot price {kind}'?" if "-" in kind or kind.isupper() else ""
        raise CommandError(f"unknown kind {kind!r}: there are {', '.join(KINDS)}{hint}")
    kinds = KINDS if kind is None else (kind,)
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)

    async def run(_stop: asyncio.Event) -> int:
        with history_errors_in_one_line():
            at_ns = None if at is None else _past(at)
            async with connected(settings.nats_servers) as client:
                values = (
                    {one: await read_bucket(client, settings.topology, one) for one in kinds}
                    if at_ns is None
                    else await _as_of(client, settings.topology, at_ns, kinds)
                )
        entries = {one: _decoded(one, found, settings.topology) for one, found in values.items()}
        if market is not None:
            entries = _only(market, entries)
        if not any(entries.values()):
            now = "the buckets are empty: no publisher confirms anything now; see 'drift-bus watch status'"
            complain(now if at is None else f"the buckets were empty at {at}: nothing was confirmed then")
        _print(entries, at_ns, as_json=as_json)
        return 0

    return run_until_stopped(run)


def _past(typed: str) -> int:
    at_ns = parse_moment(typed)
    if at_ns > time.time_ns():
        raise UsageProblem(f"--at {typed}: that is still to come")
    return at_ns


async def _as_of(
    client: Client, topology: Topology, at_ns: int, kinds: Sequence[Kind]
) -> dict[Kind, list[StoredValue]]:
    values: dict[Kind, list[StoredValue]] = {kind: [] for kind in kinds}
    for tick in await as_of(client, topology, at_ns, Selection(kinds=tuple(kinds))):
        age_s = (at_ns - tick.at_ns) / 1e9
        values[tick.kind].append(StoredValue(tick.token, tick.sequence, age_s, tick.payload, dict(tick.headers)))
    return values


def _decoded(kind: Kind, values: Sequence[StoredValue], topology: Topology) -> list[Entry]:
    entries = []
    for value in values:
        try:
            event = decode_event(kind, value.payload, value.headers)
        except MessageError as error:
            complain(f"refused {topology.bucket(kind)} key {value.token}: {error}")
            continue
        entries.append(Entry(event, topology.bucket(kind), value.revision, round(value.age_s, 3)))
    return sorted(entries, key=lambda entry: (entry.event.market_type, entry.event.market_index))


def _only(market: str, entries: dict[Kind, list[Entry]]) -> dict[Kind, list[Entry]]:
    found = {kind: [entry for entry in of_kind if entry.event.market == market] for kind, of_kind in entries.items()}
    if any(found.values()):
        return {kind: of_kind for kind, of_kind in found.items() if of_kind}
    names = list(dict.fromkeys(entry.event.market for of_kind in entries.values() for entry in of_kind))
    there = f"there are {', '.join(names)}" if names else "there is none at all: is a publisher running?"
    raise CommandError(f"no fresh {' or '.join(entries)} of market {market!r}: {there}")


def _print(entries: dict[Kind, list[Entry]], at_ns: int | None, *, as_json: bool) -> None:
    place = "revision" if at_ns is None else "sequence"
    then = {} if at_ns is None else {"as_of_ns": at_ns}
    if as_json:
        for of_kind in entries.values():
            for entry in of_kind:
                more = {"bucket": entry.bucket, place: entry.revision, "age_s": entry.age_s, **then}
                sys.stdout.write(json_line(entry.event, **more) + "\n")
        sys.stdout.flush()
        return
    console = OutputConsole()
    for kind, of_kind in entries.items():
        if of_kind:
            rows = [(entry.event, entry.revision, entry.age_s) for entry in of_kind]
            console.print(snapshot_table(kind, rows, as_of_s=None if at_ns is None else at_ns / 1e9))
