"""``drift-bus export``: the history as files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drift_bus.connection import connected
from drift_bus.errors import UsageProblem, complain
from drift_bus.history import chosen_kinds, chosen_markets, history_errors_in_one_line
from drift_bus.meter import Meter
from drift_bus.runtime import run_until_stopped
from drift_bus.settings import CommandSettings
from drift_schemas import Kind
from drift_subscribers.archive import ExportResult, Format, export_history

__all__ = ["export"]


def export(
    folder: Path,
    *,
    nats_url: str | None,
    nats_domain: str | None,
    prefix: str | None,
    since: str | None,
    until: str | None,
    kinds: Sequence[str] | None,
    markets: Sequence[str] | None,
    file_format: Format,
    decimals: bool,
    gzipped: bool,
    funding_history: bool,
    as_json: bool,
) -> int:
    """Exports, or goes on with an export; 130 where it was stopped before its end."""
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)
    topology = settings.topology
    wanted = {
        "since": since,
        "until": until,
        "kinds": _kinds(kinds, funding_history=funding_history),
        "markets": chosen_markets(markets),
        "file_format": file_format,
        "numbers": "decimals" if decimals else "integers",
        "gzipped": gzipped,
        "stream": topology.funding_history if funding_history else None,
    }

    async def run(stop: asyncio.Event) -> int:
        meter = Meter(f"exporting to {folder}")
        with history_errors_in_one_line(), contextlib.ExitStack() as stack:
            stack.callback(meter.end)
            async with connected(settings.nats_servers) as client:
                result = await export_history(
                    client,
                    topology,
                    folder,
                    stop=stop,
                    on_progress=lambda progress: meter.tell(progress.rows, progress.fraction),
                    **wanted,  # type: ignore[arg-type]
                )
        _tell(folder, result, as_json=as_json)
        return 0 if result.manifest.finished else 130

    return run_until_stopped(run)


def _kinds(typed: Sequence[str] | None, *, funding_history: bool) -> tuple[Kind, ...]:
    if not funding_history:
        return chosen_kinds(typed)
    if typed and chosen_kinds(typed) != ("funding",):
        raise UsageProblem("--funding-history holds funding only: leave --kind away, or the other kinds")
    return ("funding",)


def _tell(folder: Path, result: ExportResult, *, as_json: bool) -> None:
    manifest = result.manifest
    if manifest.refused:
        complain(
            f"{manifest.refused} messages are not in the export: unreadable, or with an integer that fits no column"
        )
    if not manifest.finished:
        complain(f"stopped: complete to sequence {manifest.complete_through}; the same command goes on from there")
    if as_json:
        sys.stdout.write(json.dumps(_facts(folder, result)) + "\n")
        return
    by_kind = Counter[str]()
    for part in manifest.parts:
        by_kind[part.kind] += part.rows
    whole = ", ".join(f"{kind} {rows:,}" for kind, rows in by_kind.items()) or "no events"
    if result.new_rows:
        sys.stdout.write(f"wrote {result.new_rows:,} events in {result.new_parts} files to {folder}\n")
    elif manifest.finished:
        sys.stdout.write(f"nothing to do: {folder} holds all that the stream {manifest.stream} has of it\n")
    sys.stdout.write(f"in the export: {whole}; complete to sequence {manifest.complete_through}\n")


def _facts(folder: Path, result: ExportResult) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "folder": str(folder),
        "stream": manifest.stream,
        "new_rows": result.new_rows,
        "new_parts": result.new_parts,
        "rows": manifest.rows,
        "bytes": sum(part.bytes for part in manifest.parts),
        "complete_through": manifest.complete_through,
        "finished": manifest.finished,
        "refused": manifest.refused,
        "resumed": result.resumed,
    }
