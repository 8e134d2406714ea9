"""Export: the history of a stream as files, in bounded memory, resumable at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from drift_schemas import KINDS, Kind, Topology
from drift_subscribers.archive.columns import LAYOUT, Numbers
from drift_subscribers.archive.errors import ArchiveError, OtherExport
from drift_subscribers.archive.files import Format
from drift_subscribers.archive.folder import locked_folder, remove_traces
from drift_subscribers.archive.manifest import Manifest, Request
from drift_subscribers.archive.parts import OpenParts, day_of, settle
from drift_subscribers.history import (
    EmptyHistory,
    HistoryPurged,
    Selection,
    Span,
    StoredMessage,
    find_span,
    parse_moment,
    read_span,
)
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.history.span import PATIENCE_S

__all__ = ["PART_ROWS", "ExportProgress", "ExportResult", "export_history"]

PART_ROWS: Final = 1_000_000
"""After so many rows the open parts are closed and the manifest is written: what a crash costs at most."""


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """How far an export is.

    Attributes:
        rows: Events written in this run.
        sequence: The stream's sequence that it has reached.
        first_sequence: Where this run began.
        last_sequence: Where it ends.
    """

    rows: int
    sequence: int
    first_sequence: int
    last_sequence: int

    @property
    def fraction(self) -> float:
        """0 to 1, by sequences."""
        return (self.sequence - self.first_sequence + 1) / max(1, self.last_sequence - self.first_sequence + 1)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What a run of an export did.

    Attributes:
        manifest: The export's state after it.
        new_rows: Events that this run added; 0: there was nothing to do.
        new_parts: Files that this run added.
        resumed: There was an export to go on with.
    """

    manifest: Manifest
    new_rows: int
    new_parts: int
    resumed: bool


async def export_history(
    client: Client,
    topology: Topology,
    folder: Path,
    *,
    since: str | None = None,
    until: str | None = None,
    kinds: tuple[Kind, ...] = KINDS,
    markets: tuple[str, ...] = (),
    file_format: Format = "parquet",
    numbers: Numbers = "integers",
    gzipped: bool = False,
    stream: str | None = None,
    part_rows: int = PART_ROWS,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[ExportProgress], None] = lambda _: None,
) -> ExportResult:
    """Writes the changes that the stream holds to ``folder``: ``kind=<kind>/day=<day>/part-<first sequence>.<format>``.

    The same call again goes on where the last one stopped, however that ended: after an interruption, or to add what
    was stored since, where the range has no end. A relative time (``-2h``) keeps the meaning that it had when the
    export began. No file is ever half-written under its final name.

    Args:
        client: A connection that reconnects; it stays the caller's.
        topology: Names of stream and subjects.
        folder: Where to; made when it is not there.
        since: Beginning, as :func:`drift_subscribers.history.parse_moment` reads it; ``None``: from the beginning.
        until: End, itself not included; ``None``: what the stream holds now.
        kinds: Which kinds.
        markets: Which markets, by on-chain name; empty: all.
        file_format: ``parquet`` (needs the ``replay`` extra), ``csv`` or ``jsonl``.
        numbers: Chain integers, or decimals in natural units.
        gzipped: CSV and JSON lines only.
        stream: Another stream than the topology's, with the same subjects, such as its funding history.
        part_rows: Rows after which the parts are closed.
        stop: Once set, the export closes its parts and returns early; ``manifest.finished`` is false then.
        on_progress: Called after each batch.

    Raises:
        BadMoment, BadSelection: the range or the selection is wrong.
        NoHistory, EmptyHistory, HistoryPurged: there is no such history, and why.
        HistoryInterrupted: the server stayed away; what was written stays, and the same call goes on.
        OtherExport: the folder holds something else, or another export writes there now.
        DamagedExport: a part of the export that is there is missing or has another size.
        MissingExtra: Parquet without pyarrow.
    """
    if gzipped and file_format == "parquet":
        raise ArchiveError("Parquet files are compressed inside (zstd): gzip is for csv and jsonl")
    request = Request(
        since=since,
        until=until,
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        markets=tuple(dict.fromkeys(markets)),
        format=file_format,
        numbers=numbers,
        gzipped=gzipped,
    )
    source = stream or topology.stream
    manifest = Manifest.load(folder)
    if manifest is not None:
        _check_same(folder, manifest, request, source, topology)
        await _check_same_stream(client, topology, folder, manifest, source)
    selection = _selection(request, manifest)
    try:
        span = await find_span(client, topology, selection, stream=source)
    except (EmptyHistory, HistoryPurged) as error:
        if manifest is None:
            raise
        if isinstance(error, HistoryPurged):
            raise OtherExport(
                f"{folder} is complete to sequence {manifest.complete_through}, but the stream begins at "
                f"{error.first_sequence} by now: what was between is gone. Go on in a new folder"
            ) from None
        span = None
    with locked_folder(folder):
        if manifest is not None:
            settle(folder, manifest)
        if span is None:
            return _nothing_new(folder, manifest)
        is_new = manifest is None
        if manifest is None:
            manifest = _new_manifest(topology, request, selection, span)
            manifest.save(folder)
        writing = _Writing(folder, manifest, span, part_rows, stop or asyncio.Event(), on_progress)
        before = (manifest.rows, len(manifest.parts))
        try:
            async with aclosing(read_span(client, topology, selection, span)) as batches:
                await writing.write(batches)
        except OSError as error:
            raise ArchiveError(
                f"cannot write to {folder}: {error}; what is complete stays, and the same call goes on from there"
            ) from None
        finally:
            if is_new and not manifest.parts:
                remove_traces(folder)
    if not manifest.parts and manifest.finished:
        raise EmptyHistory(f"nothing in the stream {source} of {selection.describe()} but re-assertions")
    return ExportResult(manifest, manifest.rows - before[0], len(manifest.parts) - before[1], resumed=not is_new)


class _Writing:
    """The loop of one run: from batches of messages to committed parts."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        span: Span,
        part_rows: int,
        stop: asyncio.Event,
        on_progress: Callable[[ExportProgress], None],
    ) -> None:
        self._manifest = manifest
        self._span = span
        self._parts = OpenParts(folder, manifest)
        self._part_rows = part_rows
        self._stop = stop
        self._on_progress = on_progress
        self._reached = span.first_sequence - 1
        self._day = ""

    async def write(self, batches: AsyncIterator[list[StoredMessage]]) -> None:
        """Writes all of them, or until it is to stop; what is committed is in the manifest."""
        rows, span = 0, self._span
        try:
            async for messages in batches:
                for message in messages:
                    self._add(message)
                rows += len(messages)
                self._on_progress(ExportProgress(rows, self._reached, span.first_sequence, span.last_sequence))
                if self._stop.is_set():
                    break
            finished = not self._stop.is_set() or self._reached >= span.last_sequence
            if self._parts.rows or self._manifest.parts:
                self._parts.commit(span.last_sequence if finished else self._reached, finished=finished)
            self._manifest.finished = finished
        finally:
            self._parts.discard()

    def _add(self, message: StoredMessage) -> None:
        day = day_of(message.stored_at_ns)
        if self._parts.rows and (day != self._day or self._parts.rows >= self._part_rows):
            self._parts.commit(self._reached, finished=False)
        self._parts.add(message, day)
        self._reached, self._day = message.sequence, day


def _new_manifest(topology: Topology, request: Request, selection: Selection, span: Span) -> Manifest:
    return Manifest(
        stream=span.stream,
        prefix=topology.prefix,
        created=span.created,
        request=request,
        since_ns=selection.since_ns,
        until_ns=selection.until_ns,
        complete_through=span.first_sequence - 1,
        layout=LAYOUT,
    )


def _nothing_new(folder: Path, manifest: Manifest | None) -> ExportResult:
    assert manifest is not None  # noqa: S101 - without one, an empty range is an error
    if not manifest.finished:
        manifest.finished = True
        manifest.save(folder)
    return ExportResult(manifest, 0, 0, resumed=True)


def _selection(request: Request, manifest: Manifest | None) -> Selection:
    """What is to be read: of a manifest's range, what it does not hold yet."""
    if manifest is None:
        since_ns = None if request.since is None else parse_moment(request.since)
        until_ns = None if request.until is None else parse_moment(request.until)
        return Selection(since_ns=since_ns, until_ns=until_ns, kinds=request.kinds, markets=request.markets)
    first = manifest.complete_through + 1
    return Selection(first_sequence=first, until_ns=manifest.until_ns, kinds=request.kinds, markets=request.markets)


def _check_same(folder: Path, manifest: Manifest, request: Request, stream: str, topology: Topology) -> None:
    wanted = {**request.model_dump(), "stream": stream, "prefix": topology.prefix}
    found = {**manifest.request.model_dump(), "stream": manifest.stream, "prefix": manifest.prefix}
    others = [f"{name} {found[name]!r} instead of {wanted[name]!r}" for name in wanted if wanted[name] != found[name]]
    if others:
        raise OtherExport(f"{folder} holds another export, with {', '.join(others)}: use another folder")


async def _check_same_stream(client: Client, topology: Topology, folder: Path, manifest: Manifest, stream: str) -> None:
    async with Inquiry(client, topology.api, patience_s=PATIENCE_S) as inquiry:
        created = (await inquiry.stream_info(stream))["created"]
    if created != manifest.created:
        raise OtherExport(
            f"{folder} was begun from a stream {stream} that was made at {manifest.created}; the one of now was made "
            f"at {created}. Go on in a new folder"
        )
