"""Parquet parts: typed columns, zstd, every column's unit and scale in the file itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from drift_subscribers.archive.columns import Column, Row
from drift_subscribers.archive.errors import DamagedExport, MissingExtra, UnfitValue

__all__ = ["ParquetWriter", "read_parquet"]

_ROW_GROUP: Final = 32_768
_READ_ROWS: Final = 2048
_DIGITS: Final = 38
_RANGES: Final = {
    "integer": (-(2**63), 2**63 - 1),
    "time": (-(2**63), 2**63 - 1),
    "unsigned": (0, 2**64 - 1),
}
"""Of the columns that are no decimals."""


def _arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet module."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtra(
            "Parquet needs pyarrow, which is not installed: pip install 'drift-bus[replay]', or use csv or jsonl"
        ) from None
    return pyarrow, pyarrow.parquet


class ParquetWriter:
    """Writes rows into one file; at most one row group of them is in memory, in columns."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._pa, parquet = _arrow()
        self._columns = columns
        self._schema = _schema(self._pa, columns)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows.

        Raises:
            UnfitValue: integers do not fit their column; nothing was added.
        """
        arrays = [
            self._array(column, values, rows)
            for column, values in zip(self._columns, zip(*rows, strict=True), strict=True)
        ]
        self._batches.append(self._pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._waiting += len(rows)
        if self._waiting >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Writes what is left and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(self._pa.Table.from_batches(self._batches))
            self._batches, self._waiting = [], 0

    def _array(self, column: Column, values: Sequence[Any], rows: Sequence[Row]) -> Any:
        wanted = _arrow_type(self._pa, column)
        plain = self._pa.decimal128(_DIGITS, 0) if column.type == "decimal" else wanted
        try:
            array = self._pa.array(values, plain)
        except (OverflowError, self._pa.ArrowInvalid):
            unfit = _unfit(column, values, rows)
            if unfit is None:
                raise
            raise unfit from None
        if column.type != "decimal":
            return array
        # the same digits with the point elsewhere: exact, and without a Decimal a value
        return self._pa.Array.from_buffers(wanted, len(array), array.buffers(), array.null_count)


def read_parquet(path: Path, columns: Sequence[Column]) -> Iterator[list[Row]]:
    """Yields the rows of a part, some thousands at a time.

    Raises:
        DamagedExport: it is no Parquet file, is cut off, or has other columns.
    """
    pa, parquet = _arrow()
    try:
        with parquet.ParquetFile(path) as file:
            if not file.schema_arrow.equals(_schema(pa, columns)):
                raise DamagedExport(path, "its columns are not those that this version writes; export it again")
            for batch in file.iter_batches(batch_size=_READ_ROWS):
                arrays = [_values(pa, column, array) for column, array in zip(columns, batch.columns, strict=True)]
                yield list(zip(*arrays, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise DamagedExport(path, f"cannot be read as Parquet: {error}") from None


def _values(pa: Any, column: Column, array: Any) -> list[Any]:
    if column.type == "time":
        values: list[Any] = array.cast(pa.int64()).to_pylist()
        return values
    if column.type == "decimal":
        array = pa.Array.from_buffers(
            pa.decimal128(_DIGITS, 0), len(array), array.buffers(), array.null_count, array.offset
        )
    values = array.to_pylist()
    if column.type in ("wide", "decimal"):
        return [None if value is None else int(value) for value in values]
    return values


def _schema(pa: Any, columns: Sequence[Column]) -> Any:
    return pa.schema(
        [
            pa.field(column.name, _arrow_type(pa, column), nullable=column.nullable, metadata=_metadata(column))
            for column in columns
        ]
    )


def _metadata(column: Column) -> dict[str, str]:
    said = {"description": column.doc}
    if column.unit:
        said["unit"] = column.unit
        said["scale"] = "1" if column.type == "decimal" or not column.exponent else f"1e-{column.exponent}"
    return said


def _arrow_type(pa: Any, column: Column) -> Any:
    match column.type:
        case "integer":
            return pa.int64()
        case "unsigned":
            return pa.uint64()
        case "wide":
            return pa.decimal128(_DIGITS, 0)
        case "decimal":
            return pa.decimal128(_DIGITS, column.exponent)
        case "text":
            return pa.string()
        case "flag":
            return pa.bool_()
        case "time":
            return pa.timestamp("ns", tz="UTC")


def _unfit(column: Column, values: Sequence[Any], rows: Sequence[Row]) -> UnfitValue | None:
    low, high = _RANGES.get(column.type, (1 - 10**_DIGITS, 10**_DIGITS - 1))
    unfit = {
        row[0]: value
        for row, value in zip(rows, values, strict=True)
        if isinstance(value, int) and not low <= value <= high
    }
    if not unfit:
        return None
    sequence, value = next(iter(unfit.items()))
    return UnfitValue(
        f"{column.name} = {value} of the event at sequence {sequence} is too large for a Parquet column of "
        f"type {column.type}: export as csv or jsonl, which have no limit",
        frozenset(unfit),
    )
