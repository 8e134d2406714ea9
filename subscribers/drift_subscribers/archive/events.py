"""The events of an export, in the order in which the stream held them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from drift_schemas import EVENT_TYPES, Kind, MarketDataEvent
from drift_subscribers.archive.columns import KEY_COLUMNS, columns_of
from drift_subscribers.archive.errors import DamagedExport
from drift_subscribers.archive.files import read_rows
from drift_subscribers.archive.manifest import Manifest, Part

__all__ = ["ArchivedEvent", "read_events"]


class ArchivedEvent(NamedTuple):
    """One event of an export.

    Attributes:
        sequence: Its place in the stream that stored it first.
        stream_time_ns: When that was, in nanoseconds since the epoch.
        message_id: The id under which it was published, if any.
        event: What it says.
    """

    sequence: int
    stream_time_ns: int
    message_id: str | None
    event: MarketDataEvent


def read_events(folder: Path, manifest: Manifest, *, after: int = 0) -> Iterator[ArchivedEvent]:
    """Yields the events behind sequence ``after``, all kinds in one order, in bounded memory.

    Raises:
        DamagedExport: a part cannot be read, or holds something else than the manifest says.
        MissingExtra: Parquet without pyarrow.
    """
    kinds = [_of_kind(folder, manifest, kind, after) for kind in manifest.request.kinds]
    last = after
    for archived in heapq.merge(*kinds, key=attrgetter("sequence")):
        if archived.sequence <= last:
            raise DamagedExport(folder, f"sequence {archived.sequence} is there twice or out of order")
        last = archived.sequence
        yield archived


def _of_kind(folder: Path, manifest: Manifest, kind: Kind, after: int) -> Iterator[ArchivedEvent]:
    parts = sorted((part for part in manifest.parts if part.kind == kind), key=attrgetter("first_sequence"))
    for part in parts:
        if part.last_sequence > after:
            for archived in _of_part(folder, manifest, part):
                if archived.sequence > after:
                    yield archived


def _of_part(folder: Path, manifest: Manifest, part: Part) -> Iterator[ArchivedEvent]:
    path, request, rows = folder / part.path, manifest.request, 0
    model, columns = EVENT_TYPES[part.kind], columns_of(part.kind, request.numbers, manifest.layout)
    names = [column.name for column in columns[len(KEY_COLUMNS) :]]
    for batch in read_rows(path, request.format, columns, gzipped=request.gzipped):
        rows += len(batch)
        for sequence, time_ns, message_id, *fields in batch:
            try:
                event = model.model_validate(dict(zip(names, fields, strict=True)))
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                raise DamagedExport(path, f"sequence {sequence}: {first['loc'][0]}: {first['msg']}") from None
            yield ArchivedEvent(sequence, time_ns, message_id, event)
    if rows != part.rows:
        raise DamagedExport(path, f"holds {rows} events where the manifest says {part.rows}")
