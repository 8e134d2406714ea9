"""``drift-bus import``: an export, or what follows from a capture, becomes a stream."""

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
from drift_subscribers.archive import ExportSource, ImportResult, ImportSource, import_history

__all__ = ["import_export"]


def import_export(
    path: Path, *, nats_url: str | None, nats_domain: str | None, prefix: str | None, as_json: bool
) -> int:
    """Imports, or goes on with an import; 130 where it was stopped before its end."""
    if not path.exists():
        raise CommandError(f"{path} does not exist: name the folder of an export, or a capture")
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)

    async def run(stop: asyncio.Event) -> int:
        meter = Meter(f"importing {path}")
        with history_errors_in_one_line(), contextlib.ExitStack() as stack:
            stack.callback(meter.end)
            source = _source(path)
            async with connected(settings.nats_servers) as client:
                result = await import_history(
                    client,
                    settings.topology,
                    source,
                    stop=stop,
                    on_progress=lambda progress: meter.tell(
                        progress.rows, progress.rows / progress.total if progress.total else None
                    ),
                )
        _tell(path, source, result, settings.subject_prefix, as_json=as_json)
        return 0 if result.finished else 130

    return run_until_stopped(run)


def _source(path: Path) -> ImportSource:
    if path.is_dir():
        return ExportSource(path)
    from drift_bus.captured_history import CaptureSource

    return CaptureSource(path)


def _tell(path: Path, source: ImportSource, result: ImportResult, prefix: str, *, as_json: bool) -> None:
    if not result.finished:
        complain("stopped before the end; the same command goes on from there")
    if isinstance(source, ExportSource) and not source.manifest.finished:
        through = source.manifest.complete_through
        complain(f"the export itself stopped early, at sequence {through}: export again, then import")
    if as_json:
        facts = {
            "source": str(path),
            "stream": result.stream,
            "prefix": prefix,
            "new_rows": result.new_rows,
            "rows": result.rows,
            "finished": result.finished,
        }
        sys.stdout.write(json.dumps(facts) + "\n")
    elif result.new_rows or not result.finished:
        sys.stdout.write(f"stored {result.new_rows:,} events in the stream {result.stream} (--prefix {prefix})\n")
    else:
        sys.stdout.write(f"nothing to do: the stream {result.stream} holds all of {path}\n")
