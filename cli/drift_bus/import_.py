"""``drift-bus import``: an export becomes a stream again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from drift_bus.connection import connected
from drift_bus.errors import CommandError, complain
from drift_bus.history import history_errors_in_one_line
from drift_bus.meter import Meter
from drift_bus.runtime import run_until_stopped
from drift_bus.settings import CommandSettings
from drift_subscribers.archive import ImportResult, import_history

__all__ = ["import_export"]


def import_export(folder: Path, *, nats_url: str | None, prefix: str | None, as_json: bool) -> int:
    """Imports, or goes on with an import; 130 where it was stopped before its end."""
    if not folder.exists():
        raise CommandError(f"{folder} does not exist: name the folder of an export")
    if folder.is_file():
        raise CommandError(
            f"{folder} is a file, not the folder of an export. A capture comes back through the pipeline: "
            f"'drift-bus simulate --capture {folder}', and a publisher on it with --prefix and --cluster of its own"
        )
    settings = CommandSettings.load(nats_url=nats_url, subject_prefix=prefix)

    async def run(stop: asyncio.Event) -> int:
        meter = Meter(f"importing {folder}")
        with history_errors_in_one_line(), contextlib.ExitStack() as stack:
            stack.callback(meter.end)
            async with connected(settings.nats_servers) as client:
                result = await import_history(
                    client,
                    settings.topology,
                    folder,
                    stop=stop,
                    on_progress=lambda progress: meter.tell(progress.rows, progress.rows / max(1, progress.total)),
                )
        _tell(folder, result, settings.subject_prefix, as_json=as_json)
        return 0 if result.finished else 130

    return run_until_stopped(run)


def _tell(folder: Path, result: ImportResult, prefix: str, *, as_json: bool) -> None:
    manifest = result.manifest
    if not result.finished:
        complain("stopped before the end; the same command goes on from there")
    if not manifest.finished:
        complain(f"the export itself stopped early, at sequence {manifest.complete_through}: export again, then import")
    if as_json:
        facts = {
            "folder": str(folder),
            "stream": result.stream,
            "prefix": prefix,
            "new_rows": result.new_rows,
            "rows": manifest.rows,
            "finished": result.finished,
        }
        sys.stdout.write(json.dumps(facts) + "\n")
    elif result.new_rows or not result.finished:
        sys.stdout.write(f"stored {result.new_rows:,} events in the stream {result.stream} (--prefix {prefix})\n")
    else:
        sys.stdout.write(f"nothing to do: the stream {result.stream} holds all of {folder}\n")
