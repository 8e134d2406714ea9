"""CSV and JSON-lines parts, plain or gzipped: exact at any size of integer, and nothing to install."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, cast

from drift_schemas import scaled_decimal
from drift_subscribers.archive.columns import Column, Row
from drift_subscribers.archive.errors import DamagedExport
from drift_subscribers.history import format_moment, parse_moment

__all__ = ["CsvWriter", "JsonLinesWriter", "read_csv", "read_json_lines"]

_READ_ROWS: Final = 2048
_Convert = Callable[[Any], Any]


class _TextFile:
    """A text file that may be gzipped; the same rows give the same bytes."""

    def __init__(self, path: Path, *, gzipped: bool) -> None:
        self._raw: IO[bytes] = path.open("wb")
        self._zip = gzip.GzipFile("", "wb", 6, self._raw, mtime=0) if gzipped else None
        self.text = io.TextIOWrapper(self._zip or self._raw, encoding="utf-8", newline="", write_through=False)

    def close(self) -> None:
        self.text.close()
        self._raw.close()


class CsvWriter:
    """Writes rows into one file with a header line; an absent value is an empty field."""

    def __init__(self, path: Path, columns: Sequence[Column], *, gzipped: bool) -> None:
        self._file = _TextFile(path, gzipped=gzipped)
        self._writer = csv.writer(self._file.text, lineterminator="\r\n")
        self._writer.writerow([column.name for column in columns])
        self._texts = [_to_csv(column) for column in columns]

    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows."""
        texts = self._texts
        self._writer.writerows(
            ["" if value is None else text(value) for text, value in zip(texts, row, strict=True)] for row in rows
        )

    def close(self) -> None:
        """Writes what is left."""
        self._file.close()


class JsonLinesWriter:
    """Writes rows into one file, an object a line; wide integers and decimals are strings, to stay exact."""

    def __init__(self, path: Path, columns: Sequence[Column], *, gzipped: bool) -> None:
        self._file = _TextFile(path, gzipped=gzipped)
        self._names = [column.name for column in columns]
        self._converts = [(at, _to_json(column)) for at, column in enumerate(columns) if _to_json(column)]

    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows."""
        for row in rows:
            values = list(row)
            for at, convert in self._converts:
                if values[at] is not None and convert is not None:
                    values[at] = convert(values[at])
            line = json.dumps(dict(zip(self._names, values, strict=True)), ensure_ascii=False, separators=(",", ":"))
            self._file.text.write(line + "\n")

    def close(self) -> None:
        """Writes what is left."""
        self._file.close()


def read_csv(path: Path, columns: Sequence[Column], *, gzipped: bool) -> Iterator[list[Row]]:
    """Yields the rows of a part, some thousands at a time.

    Raises:
        DamagedExport: it is cut off, has other columns, or a field is not of its column's type.
    """
    values = [_from_csv(column) for column in columns]

    def rows(file: IO[str]) -> Iterator[Row]:
        reader = csv.reader(file, strict=True)
        if next(reader, None) != [column.name for column in columns]:
            raise DamagedExport(path, "its header line is not that of this version; export it again")
        for fields in reader:
            yield tuple(value(field) for value, field in zip(values, fields, strict=True))

    return _batches(path, rows, gzipped=gzipped)


def read_json_lines(path: Path, columns: Sequence[Column], *, gzipped: bool) -> Iterator[list[Row]]:
    """Yields the rows of a part, some thousands at a time; raises as :func:`read_csv` does."""
    values = [(column.name, _from_json(column)) for column in columns]

    def rows(file: IO[str]) -> Iterator[Row]:
        for line in file:
            fields = json.loads(line)
            yield tuple(None if fields[name] is None else value(fields[name]) for name, value in values)

    return _batches(path, rows, gzipped=gzipped)


def _batches(path: Path, rows: Callable[[IO[str]], Iterator[Row]], *, gzipped: bool) -> Iterator[list[Row]]:
    try:
        with (
            gzip.open(path) if gzipped else path.open("rb") as raw,
            io.TextIOWrapper(cast("IO[bytes]", raw), encoding="utf-8", newline="") as file,
        ):
            found = rows(file)
            while batch := list(islice(found, _READ_ROWS)):
                yield batch
    except (OSError, EOFError, ValueError, KeyError, TypeError, csv.Error) as error:
        if isinstance(error, DamagedExport):
            raise
        raise DamagedExport(path, f"cannot be read: {type(error).__name__}: {error}") from None


def _to_csv(column: Column) -> _Convert:
    if column.type == "flag":
        return lambda value: "true" if value else "false"
    return _to_json(column) or (lambda value: value)


def _to_json(column: Column) -> _Convert | None:
    if column.type == "decimal":
        return lambda value: f"{scaled_decimal(value, column.exponent):f}"
    if column.type == "wide":
        return str
    return format_moment if column.type == "time" else None


def _from_csv(column: Column) -> _Convert:
    plain: dict[str, _Convert] = {"integer": int, "unsigned": int, "text": str, "flag": _flag}
    value = plain.get(column.type) or _from_json(column)
    return (lambda field: value(field) if field else None) if column.nullable else value


def _from_json(column: Column) -> _Convert:
    if column.type == "decimal":
        return lambda text: _unscaled(text, column.exponent)
    if column.type == "time":
        return parse_moment
    return int if column.type == "wide" else lambda value: value


def _unscaled(text: str, exponent: int) -> int:
    whole, _, decimals = text.partition(".")
    if len(decimals) > exponent:
        raise ValueError(f"{text!r} has more than {exponent} decimals")
    return int(whole + decimals.ljust(exponent, "0"))


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"
