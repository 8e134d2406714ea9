"""The parts of an export that are being written: under another name until the manifest knows them."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from drift_schemas import Kind, MessageError, decode_event
from drift_subscribers.archive.columns import Row, columns_of, row_maker
from drift_subscribers.archive.errors import ArchiveError, DamagedExport, UnfitValue
from drift_subscribers.archive.files import PartWriter, open_writer, partial_path, sha256_of, sync
from drift_subscribers.archive.manifest import MANIFEST, Manifest, Part
from drift_subscribers.history import StoredMessage

__all__ = ["OpenParts", "day_of", "settle"]

_log = logging.getLogger(__name__)
_CHUNK: Final = 2048
_DAY_NS: Final = 86_400 * 1_000_000_000


def day_of(stream_time_ns: int) -> str:
    """The UTC day that a part's folder is called after."""
    return datetime.fromtimestamp(stream_time_ns // _DAY_NS * 86_400, UTC).strftime("%Y-%m-%d")


@dataclass
class _OpenPart:
    """One kind's part, and the rows that it has not taken yet."""

    manifest: Manifest
    kind: Kind
    day: str
    path: Path
    writer: PartWriter
    first_sequence: int
    last_sequence: int = 0
    rows: int = 0
    waiting: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.waiting.append(row)
        if len(self.waiting) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.last_sequence = self.waiting[-1][0]
            self._write()
            self.rows += len(self.waiting)
            self.waiting = []

    def _write(self) -> None:
        while self.waiting:
            try:
                self.writer.write(self.waiting)
            except UnfitValue as unfit:
                _log.warning("%s is left out: %s", self.kind, unfit)
                self.manifest.refused += len(unfit.rows)
                self.waiting = [row for row in self.waiting if row[0] not in unfit.rows]
            else:
                return

    def close(self, folder: Path) -> Part:
        self.flush()
        self.writer.close()
        partial = partial_path(self.path)
        sync(partial)
        return Part(
            path=self.path.relative_to(folder).as_posix(),
            kind=self.kind,
            day=self.day,
            rows=self.rows,
            first_sequence=self.first_sequence,
            last_sequence=self.last_sequence,
            bytes=partial.stat().st_size,
            sha256=sha256_of(partial),
        )


class OpenParts:
    """The parts that grow now, one a kind, all of one day; :meth:`commit` makes them part of the export.

    Args:
        folder: The export's folder.
        manifest: Its manifest; every commit replaces it.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._row_of = {kind: row_maker(kind) for kind in manifest.request.kinds}
        self._open: dict[Kind, _OpenPart] = {}
        self._last_sequence = max((part.last_sequence for part in manifest.parts), default=0)
        self.rows = 0
        """Rows since the last commit."""

    def add(self, message: StoredMessage, day: str) -> None:
        """Takes one message; one that cannot be read, or that no column takes, is counted in the manifest.

        Raises:
            ArchiveError: the stream's own order is not that of the sequences.
        """
        kind = message.kind
        if kind is None:
            return
        try:
            event = decode_event(kind, message.payload, message.headers)
        except MessageError:
            self._manifest.refused += 1
            return
        row = self._row_of[kind](message, event)
        self._check_order(row[0])
        part = self._open.get(kind)
        if part is None:
            part = self._open[kind] = self._begin(kind, day, row[0])
        part.add(row)
        self.rows += 1

    def commit(self, complete_through: int, *, finished: bool) -> None:
        """Closes the parts, names them in the manifest, and then gives them their names.

        A crash in between leaves parts that the manifest knows under their partial names; :func:`settle` finishes
        that.
        """
        manifest = self._manifest
        written = [part.close(self._folder) for part in self._open.values()]
        self._open, self.rows = {}, 0
        manifest.parts = [*manifest.parts, *written]
        manifest.complete_through = max(complete_through, manifest.complete_through)
        manifest.finished = finished
        manifest.save(self._folder)
        for part in written:
            _give_name(self._folder / part.path)

    def discard(self) -> None:
        """Removes what is not committed."""
        for part in self._open.values():
            with contextlib.suppress(Exception):
                part.writer.close()
            partial_path(part.path).unlink(missing_ok=True)
        self._open, self.rows = {}, 0

    def _begin(self, kind: Kind, day: str, sequence: int) -> _OpenPart:
        request = self._manifest.request
        path = self._folder / f"kind={kind}" / f"day={day}" / f"part-{sequence}{request.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = columns_of(kind, request.numbers, self._manifest.layout)
        writer = open_writer(partial_path(path), request.format, columns, gzipped=request.gzipped)
        return _OpenPart(self._manifest, kind, day, path, writer, sequence)

    def _check_order(self, sequence: int) -> None:
        if sequence <= self._last_sequence:
            raise ArchiveError(
                f"sequence {sequence} comes after {self._last_sequence} in the stream: it holds an imported history "
                "and what a publisher wrote behind it; export each into a folder of its own, with --from and --to"
            )
        self._last_sequence = sequence


def settle(folder: Path, manifest: Manifest) -> None:
    """Finishes or undoes what an interrupted export left: afterwards every part of the manifest has its name.

    Raises:
        DamagedExport: a part is missing or has another size, or there is a part that the manifest does not know.
    """
    known = {part.path for part in manifest.parts}
    for part in manifest.parts:
        path = folder / part.path
        if not path.exists() and partial_path(path).exists():
            part.check(partial_path(path), thoroughly=True)
            _give_name(path)
        part.check(path, thoroughly=False)
    for partial in folder.glob("kind=*/day=*/.part-*.partial"):
        partial.unlink()
    partial_path(folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.glob("kind=*/day=*/part-*"):
        if _relative(folder, path) not in known:
            raise DamagedExport(path, "is not in the export's manifest, and would be read as part of it: move it away")


def _give_name(path: Path) -> None:
    partial_path(path).replace(path)
    sync(path.parent)


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
