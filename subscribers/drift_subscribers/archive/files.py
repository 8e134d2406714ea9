"""The formats of an export, and files that appear under their name only when they are whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

from drift_subscribers.archive.columns import Column, Row
from drift_subscribers.archive.parquet import ParquetWriter, read_parquet
from drift_subscribers.archive.text import CsvWriter, JsonLinesWriter, read_csv, read_json_lines

__all__ = [
    "FORMATS",
    "Format",
    "PartWriter",
    "open_writer",
    "partial_path",
    "read_rows",
    "sha256_of",
    "suffix_of",
    "sync",
]

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")


class PartWriter(Protocol):
    """Writes one part."""

    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows."""

    def close(self) -> None:
        """Writes what is left."""


def suffix_of(file_format: Format, *, gzipped: bool) -> str:
    """How the names of an export's parts end: ``.parquet``, ``.csv.gz``."""
    return f".{file_format}{'.gz' if gzipped else ''}"


def open_writer(path: Path, file_format: Format, columns: Sequence[Column], *, gzipped: bool) -> PartWriter:
    """Begins a part.

    Raises:
        MissingExtra: Parquet without pyarrow.
    """
    match file_format:
        case "parquet":
            return ParquetWriter(path, columns)
        case "csv":
            return CsvWriter(path, columns, gzipped=gzipped)
        case "jsonl":
            return JsonLinesWriter(path, columns, gzipped=gzipped)


def read_rows(path: Path, file_format: Format, columns: Sequence[Column], *, gzipped: bool) -> Iterator[list[Row]]:
    """Yields the rows of a part, some thousands at a time.

    Raises:
        DamagedExport: it cannot be read as what it should be.
        MissingExtra: Parquet without pyarrow.
    """
    match file_format:
        case "parquet":
            return read_parquet(path, columns)
        case "csv":
            return read_csv(path, columns, gzipped=gzipped)
        case "jsonl":
            return read_json_lines(path, columns, gzipped=gzipped)


def partial_path(path: Path) -> Path:
    """Where a file grows until it is whole; no reader of a folder takes it for data."""
    return path.with_name(f".{path.name}.partial")


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
