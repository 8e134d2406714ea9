"""The manifest of an export: what was asked for, how far it is complete, and every part with its checksum."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drift_schemas import Kind
from drift_subscribers.archive.columns import Layout, Numbers
from drift_subscribers.archive.errors import DamagedExport
from drift_subscribers.archive.files import Format, partial_path, sha256_of, suffix_of, sync

__all__ = ["MANIFEST", "Manifest", "Part", "Request"]

MANIFEST: Final = "_manifest.json"
"""Readers of a folder skip a name that begins with an underscore."""


class Request(BaseModel):
    """What an export is to hold, and how.

    Attributes:
        since: Beginning of the range as it was typed; ``None``: from the beginning.
        until: End of the range as it was typed; ``None``: to what the stream holds then.
        kinds: Which kinds.
        markets: Which markets, by on-chain name; empty: all.
        format: Of the files.
        numbers: Chain integers, or decimals in natural units.
        gzipped: CSV and JSON lines only; Parquet has zstd inside.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: str | None
    until: str | None
    kinds: tuple[Kind, ...]
    markets: tuple[str, ...]
    format: Format
    numbers: Numbers
    gzipped: bool

    @property
    def suffix(self) -> str:
        """How the parts' names end."""
        return suffix_of(self.format, gzipped=self.gzipped)


class Part(BaseModel):
    """One file of an export.

    Attributes:
        path: Relative to the folder, with ``/``.
        kind: Whose table it is a part of.
        day: Of the stream times in it, UTC.
        rows: How many events.
        first_sequence: Of its first row.
        last_sequence: Of its last row.
        bytes: Size of the file.
        sha256: Checksum of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(pattern=r"^kind=[a-z]+/day=\d{4}-\d\d-\d\d/part-\d+\.[a-z.]+$")
    kind: Kind
    day: str
    rows: int
    first_sequence: int
    last_sequence: int
    bytes: int
    sha256: str

    def check(self, path: Path, *, thoroughly: bool) -> None:
        """Compares the file with what the manifest says of it: its size, and ``thoroughly`` its checksum.

        Raises:
            DamagedExport: it is missing, truncated or altered.
        """
        try:
            size = path.stat().st_size
            if size != self.bytes:
                raise DamagedExport(path, f"has {size} bytes where {self.bytes} were written; {_REMEDY}")
            if thoroughly and sha256_of(path) != self.sha256:
                raise DamagedExport(path, f"was altered since it was written (its SHA-256 is another); {_REMEDY}")
        except FileNotFoundError:
            raise DamagedExport(path, f"is missing; {_REMEDY}") from None


class Manifest(BaseModel):
    """An export's state. It is replaced as a whole, after the parts that it names are on the disk.

    Attributes:
        version: Of this format of exports.
        id: Tells this export from every other.
        stream: Name of the stream that was exported.
        prefix: Its subject prefix.
        created: When that stream was made, as the server said it.
        request: What was asked for.
        since_ns: What ``request.since`` meant when the export began.
        until_ns: What ``request.until`` meant when the export began.
        complete_through: The export holds all that was asked for, up to this sequence of the stream.
        finished: The end of the range was reached; with an open end, that of the last run.
        refused: Messages that could not be read, or hold an integer that no column takes; they are not in it.
        layout: Of its columns; an export goes on as it was begun.
        parts: The files, in the order of writing.
    """

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    stream: str
    prefix: str
    created: str
    request: Request
    since_ns: int | None
    until_ns: int | None
    complete_through: int = 0
    finished: bool = False
    refused: int = 0
    layout: Layout = 1
    parts: list[Part] = []

    @property
    def rows(self) -> int:
        """Events in all parts."""
        return sum(part.rows for part in self.parts)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Reads a folder's manifest; ``None`` where there is none.

        Raises:
            DamagedExport: it cannot be read as one.
        """
        path = folder / MANIFEST
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError) as error:
            what = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
            raise DamagedExport(path, f"is no manifest of an export: {what}; {_REMEDY}") from None

    def save(self, folder: Path) -> None:
        """Replaces the folder's manifest, at once and durably."""
        path = folder / MANIFEST
        partial = partial_path(path)
        partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        sync(partial)
        partial.replace(path)
        sync(folder)


_REMEDY: Final = "copy the export again from where it is whole, or export it into a new folder"
