"""``drift-bus snapshot``: what the buckets hold now."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from drift_bus.buckets import StoredValue, read_bucket
from drift_bus.connection import connected
from drift_bus.errors import CommandError, complain
from drift_bus.rendering import OutputConsole, json_line
from drift_bus.runtime import run_until_stopped
from drift_bus.settings import CommandSettings
from drift_bus.tables import snapshot_table
from drift_schemas import KINDS, Kind, MarketDataEvent, MessageError, Topology, decode_event

__all__ = ["Entry", "snapshot"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event with its place in the bucket."""

    event: MarketDataEvent
    bucket: str
    revision: int
    age_s: float


def snapshot(kind: str | None, market: str | None, *, nats_url: str | None, prefix: str | None, as_json: bool) -> int:
    """Prints the fresh values of one kind or all, of one market or all."""
    if kind is not None and kind not in KINDS:
        hint = f"; did you mean 'drift-bus snapshot price {kind}'?" if "-" in kind or kind.isupper() else ""
        raise CommandError(f"unknown kind {kind!r}: there are {', '.join(KINDS)}{hint}")
    kinds = KINDS if kind is None else (kind,)
    settings = CommandSettings.load(nats_url=nats_url, subject_prefix=prefix)

    async def run(_stop: asyncio.Event) -> int:
        async with connected(settings.nats_servers) as client:
            entries = {
                one: _decoded(one, await read_bucket(client, settings.topology, one), settings.topology)
                for one in kinds
            }
        if market is not None:
            entries = _only(market, entries)
        if not any(entries.values()):
            complain("the buckets are empty: no publisher confirms anything now; see 'drift-bus watch status'")
        _print(entries, as_json=as_json)
        return 0

    return run_until_stopped(run)


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


def _print(entries: dict[Kind, list[Entry]], *, as_json: bool) -> None:
    if as_json:
        for of_kind in entries.values():
            for entry in of_kind:
                more = {"bucket": entry.bucket, "revision": entry.revision, "age_s": entry.age_s}
                sys.stdout.write(json_line(entry.event, **more) + "\n")
        sys.stdout.flush()
        return
    console = OutputConsole()
    for kind, of_kind in entries.items():
        if of_kind:
            console.print(snapshot_table(kind, [(entry.event, entry.revision, entry.age_s) for entry in of_kind]))
