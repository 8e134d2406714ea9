"""The largest numbers of the chain: in the export where a column takes them, counted and told where none does."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drift_schemas import Topology
from drift_subscribers.archive import ExportSource, Format, export_history, import_history
from drift_subscribers.archive.files import FORMATS
from drift_subscribers.archive.manifest import MANIFEST
from tests.subscribers.archive.support import events_in, stored
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event

WORST = 2**64 - 1


@pytest.mark.parametrize("file_format", FORMATS)
async def test_the_worst_confidence_ends_no_export(bus: BusWriter, file_format: Format, tmp_path: Path) -> None:
    for number, confidence in enumerate((10, WORST, None, 20)):
        await bus.change(price_event("SOL-PERP", number, oracle_confidence=confidence))
    done = await export_history(bus.client, bus.topology, tmp_path, file_format=file_format)
    assert (done.manifest.refused, done.new_rows) == (0, 4)
    assert [(one.sequence, one.event) for one in events_in(tmp_path)] == stored(bus)


async def test_what_fits_no_column_is_left_out_counted_and_named(
    bus: BusWriter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cap of u128's largest value has 39 digits; a decimal column has 38. The events around it are exported."""
    for cap in (0, 2**128 - 1, 1, 2**128 - 2):
        await bus.change(market_event(max_open_interest=cap))
    await bus.change(funding_event())
    with caplog.at_level(logging.WARNING, "drift_subscribers.archive"):
        done = await export_history(bus.client, bus.topology, tmp_path / "parquet")
    assert (done.manifest.refused, done.manifest.finished, done.new_rows) == (2, True, 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"market is left out: max_open_interest = {2**128 - 1} of the event at sequence 2 is too large for a Parquet "
        "column of type wide: export as csv or jsonl, which have no limit"
    ]
    assert [one.sequence for one in events_in(tmp_path / "parquet")] == [1, 3, 5]
    await export_history(bus.client, bus.topology, tmp_path / "csv", file_format="csv")
    assert [(one.sequence, one.event) for one in events_in(tmp_path / "csv")] == stored(bus)


async def test_an_export_of_which_nothing_fits_is_whole_and_goes_on(bus: BusWriter, tmp_path: Path) -> None:
    await bus.change(market_event(max_open_interest=2**128 - 1))
    done = await export_history(bus.client, bus.topology, tmp_path)
    assert (done.manifest.refused, done.manifest.rows, done.manifest.finished) == (1, 0, True)
    await bus.change(market_event(max_open_interest=1))
    done = await export_history(bus.client, bus.topology, tmp_path)
    assert (done.manifest.refused, done.new_rows) == (1, 1)
    assert [one.sequence for one in events_in(tmp_path)] == [2]
    imported = await import_history(bus.client, Topology("imported"), ExportSource(tmp_path), listen_s=0)
    assert imported.rows == 1


async def test_an_export_goes_on_with_the_columns_that_it_was_begun_with(bus: BusWriter, tmp_path: Path) -> None:
    """One of an earlier version has signed columns only; its parts and the new ones are one table."""
    await bus.change(price_event("SOL-PERP", 1))
    await export_history(bus.client, bus.topology, tmp_path)
    _make_it_old(tmp_path)
    await bus.change(price_event("SOL-PERP", 2))
    await bus.change(price_event("SOL-PERP", 3, oracle_confidence=WORST))
    done = await export_history(bus.client, bus.topology, tmp_path)
    assert (done.resumed, done.new_rows, done.manifest.refused) == (True, 1, 1)
    types = {pq.read_schema(path).field("oracle_confidence").type for path in tmp_path.rglob("*.parquet")}
    assert types == {pa.int64()}
    assert len(pq.read_table(tmp_path)) == 2
    imported = await import_history(bus.client, Topology("imported"), ExportSource(tmp_path), listen_s=0)
    assert (imported.rows, imported.finished) == (2, True)


def _make_it_old(folder: Path) -> None:
    """The export as an earlier version would have written it: the manifest without a layout, the columns signed."""
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest.pop("layout") == 2
    (path,) = folder.rglob("*.parquet")
    table = pq.read_table(path, partitioning=None)
    signed = [field.with_type(pa.int64()) if field.type == pa.uint64() else field for field in table.schema]
    pq.write_table(table.cast(pa.schema(signed)), path, compression="zstd")
    (part,) = manifest["parts"]
    part |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
