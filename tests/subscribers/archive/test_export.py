"""Export from a real stream: what is in it, and what happens when it is repeated, stopped or killed."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS
from drift_subscribers.archive import (
    ArchiveError,
    DamagedExport,
    ExportProgress,
    Format,
    Manifest,
    OtherExport,
    export_history,
)
from drift_subscribers.archive.files import FORMATS, partial_path
from drift_subscribers.archive.folder import locked_folder
from drift_subscribers.history import BadMoment, BadSelection, EmptyHistory
from tests.subscribers.archive.support import events_in, files_in, fill, stored
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until


async def exported(bus: BusWriter, folder: Path, **options: object) -> Manifest:
    return (await export_history(bus.client, bus.topology, folder, **options)).manifest  # type: ignore[arg-type]


@pytest.mark.parametrize("file_format", FORMATS)
async def test_an_export_holds_every_change_in_order_and_no_reassertion(
    bus: BusWriter, file_format: Format, tmp_path: Path
) -> None:
    await fill(bus)
    manifest = await exported(bus, tmp_path / "x", file_format=file_format)
    found = events_in(tmp_path / "x")
    assert [(one.sequence, one.event) for one in found] == stored(bus)
    assert all(one.message_id for one in found)
    assert [one.stream_time_ns for one in found] == sorted(one.stream_time_ns for one in found)
    assert (manifest.finished, manifest.refused, manifest.rows) == (True, 0, 100)


async def test_its_folders_say_kind_and_day_and_its_files_the_first_sequence(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path)
    today = {datetime.fromtimestamp(one.stream_time_ns / 1e9, UTC).date() for one in events_in(tmp_path)}
    first = {one.event.kind: one.sequence for one in reversed(events_in(tmp_path))}
    if len(today) == 1:  # midnight may pass
        assert set(files_in(tmp_path)) == {
            "_manifest.json",
            *(f"kind={kind}/day={next(iter(today))}/part-{first[kind]}.parquet" for kind in KINDS),
        }


async def test_duckdb_and_pandas_read_the_folder_as_it_is(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path)
    with duckdb.connect() as db:
        counted = db.execute(
            "select kind, count(*) from read_parquet($1, hive_partitioning = true, union_by_name = true) group by kind",
            [f"{tmp_path}/**/*.parquet"],
        ).fetchall()
        wide = db.execute(
            "select max(cumulative_funding_rate_long) from read_parquet($1)", [f"{tmp_path}/kind=funding/**/*.parquet"]
        ).fetchone()
    assert dict(counted) == {"price": 40, "funding": 20, "market": 20, "spot": 20}
    assert wide is not None
    assert int(wide[0]) == 10**21 + 19
    table = pd.read_parquet(tmp_path / "kind=price")
    assert len(table) == 40
    assert str(table["stream_time"].dtype) == "datetime64[ns, UTC]"
    assert table["oracle_price"].max() == 150_000_019


async def test_kind_market_and_range_choose(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path / "all")
    times = {one.sequence: one.stream_time_ns for one in events_in(tmp_path / "all")}
    changes = stored(bus)
    begin, end = changes[10][0], changes[60][0]
    await exported(
        bus,
        tmp_path / "some",
        since=str(times[begin]),
        until=str(times[end]),
        kinds=("price", "spot"),
        markets=("SOL",),
    )
    assert [one.sequence for one in events_in(tmp_path / "some")] == [
        sequence
        for sequence, event in changes
        if begin <= sequence < end and event.kind in ("price", "spot") and event.market == "SOL"
    ]


async def test_the_same_export_again_has_nothing_to_do(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path)
    before = files_in(tmp_path)
    again = await export_history(bus.client, bus.topology, tmp_path)
    assert (again.new_rows, again.new_parts, again.resumed) == (0, 0, True)
    assert files_in(tmp_path) == before


async def test_an_open_end_goes_on_with_what_was_stored_since(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path)
    await fill(bus, 5)
    again = await export_history(bus.client, bus.topology, tmp_path)
    assert again.new_rows == 25
    assert [(one.sequence, one.event) for one in events_in(tmp_path)] == stored(bus)


async def test_a_relative_range_keeps_the_meaning_it_had(bus: BusWriter, tmp_path: Path) -> None:
    await bus.change(price_event())
    first = await export_history(bus.client, bus.topology, tmp_path, until="now")
    await bus.change(price_event("SOL-PERP", 2))
    again = await export_history(bus.client, bus.topology, tmp_path, until="now")
    assert (first.new_rows, again.new_rows) == (1, 0)


async def test_wrong_ranges_are_told_and_leave_nothing_behind(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus, 2)
    folder = tmp_path / "x"
    with pytest.raises(BadMoment, match="tomorrow"):
        await exported(bus, folder, since="tomorrow")
    with pytest.raises(BadSelection, match="not after its beginning"):
        await exported(bus, folder, since="-1h", until="-2h")
    with pytest.raises(EmptyHistory, match="SOL-PERP"):
        await exported(bus, folder, kinds=("spot",), markets=("SOL-PERP",))
    assert not folder.exists()


async def test_nothing_but_reassertions_is_an_empty_history(bus: BusWriter, tmp_path: Path) -> None:
    await bus.reassert(price_event())
    with pytest.raises(EmptyHistory, match="re-assertions"):
        await exported(bus, tmp_path / "x")
    assert not (tmp_path / "x").exists()


async def test_what_cannot_be_read_is_counted(bus: BusWriter, tmp_path: Path) -> None:
    await bus.raw("drift.price.BAD", b"\xc1")
    await bus.change(price_event())
    assert (await exported(bus, tmp_path)).refused == 1
    assert len(events_in(tmp_path)) == 1


async def test_a_folder_with_something_else_is_refused(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus, 2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(OtherExport, match="holds files, but no export"):
        await exported(bus, tmp_path / "mine")
    await exported(bus, tmp_path / "x")
    with pytest.raises(OtherExport, match="kinds"):
        await exported(bus, tmp_path / "x", kinds=("funding",))
    with locked_folder(tmp_path / "x"), pytest.raises(OtherExport, match="another export writes"):
        await exported(bus, tmp_path / "x")
    await bus.delete_stream()
    await bus.make_stream()
    await bus.change(price_event())
    with pytest.raises(OtherExport, match="new folder"):
        await exported(bus, tmp_path / "x")
    with pytest.raises(ArchiveError, match="gzip"):
        await exported(bus, tmp_path / "y", gzipped=True)
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match="cannot write"):
        await exported(bus, tmp_path / "file" / "x")


@dataclass
class StopsAfter:
    """Sets the stop once so many batches have come."""

    stop: asyncio.Event
    batches: int = 1

    def __call__(self, progress: ExportProgress) -> None:
        assert 0 <= progress.fraction <= 1
        self.batches -= 1
        if not self.batches:
            self.stop.set()


async def test_a_stopped_export_is_whole_as_far_as_it_goes_and_goes_on(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus, 250)
    stop = asyncio.Event()
    stopped = await exported(bus, tmp_path, stop=stop, on_progress=StopsAfter(stop))
    assert not stopped.finished
    so_far = [(one.sequence, one.event) for one in events_in(tmp_path)]
    assert so_far == [pair for pair in stored(bus) if pair[0] <= stopped.complete_through]
    assert 0 < len(so_far) < 1250
    finished = await exported(bus, tmp_path)
    assert finished.finished
    assert [(one.sequence, one.event) for one in events_in(tmp_path)] == stored(bus)


KILLED = """
import asyncio, os, sys
from pathlib import Path
import nats
from drift_schemas import Topology
from drift_subscribers.archive import export_history

async def main(url, folder, batches):
    def die(progress):
        global batches_left
        batches_left -= 1
        if not batches_left:
            os._exit(9)
    global batches_left
    batches_left = batches
    await export_history(await nats.connect(url), Topology(), Path(folder), part_rows=400, on_progress=die)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("batches", [1, 2])
async def test_an_export_that_was_killed_leaves_no_half_file_and_goes_on(
    bus: BusWriter, nats_server: LocalNatsServer, batches: int, tmp_path: Path
) -> None:
    await fill(bus, 400)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, nats_server.url, str(tmp_path), str(batches)
    )
    assert await process.wait() == 9
    assert list(tmp_path.rglob(".part-*.partial"))
    parts = list(tmp_path.rglob("part-*.parquet"))
    assert parts
    assert sum(pq.read_metadata(path).num_rows for path in parts) == len(events_in(tmp_path))
    assert (await exported(bus, tmp_path, part_rows=400)).finished
    assert [(one.sequence, one.event) for one in events_in(tmp_path)] == stored(bus)
    assert not list(tmp_path.rglob("*.partial"))


async def test_parts_that_the_manifest_knows_get_their_names_after_a_crash(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path)
    before = files_in(tmp_path)
    for path in tmp_path.rglob("part-*.parquet"):
        path.rename(partial_path(path))
    await exported(bus, tmp_path)
    assert files_in(tmp_path) == before


async def test_missing_cut_off_and_foreign_parts_are_named(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await exported(bus, tmp_path)
    path = next(tmp_path.rglob("kind=price/**/part-*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedExport, match=rf"{path.name}: has {len(whole) - 1} bytes.*copy the export again"):
        await exported(bus, tmp_path)
    path.unlink()
    with pytest.raises(DamagedExport, match=rf"{path.name}: is missing"):
        await exported(bus, tmp_path)
    path.write_bytes(whole)
    foreign = path.with_name("part-999999.parquet")
    foreign.write_bytes(whole)
    with pytest.raises(DamagedExport, match=r"part-999999\.parquet: is not in the export's manifest"):
        await exported(bus, tmp_path)
    foreign.unlink()
    (tmp_path / "_manifest.json").write_text('{"version": 1, "id":')
    with pytest.raises(DamagedExport, match="is no manifest"):
        await exported(bus, tmp_path)


async def test_what_aged_out_between_two_runs_is_told(bus: BusWriter, tmp_path: Path) -> None:
    await bus.change(price_event())
    await exported(bus, tmp_path)
    sequences = [await bus.change(price_event("SOL-PERP", price)) for price in range(1, 5)]
    await bus.client.jetstream(timeout=30).purge_stream("DRIFT", seq=sequences[2])
    with pytest.raises(OtherExport, match="what was between is gone"):
        await exported(bus, tmp_path)


async def test_the_funding_history_can_be_exported_alone(bus: BusWriter, tmp_path: Path) -> None:
    for rate in range(10):
        await bus.change(funding_event(funding_rate=rate))
    streams = bus.client.jetstream(timeout=30)

    async def followed() -> bool:
        return (await streams.stream_info(bus.topology.funding_history)).state.messages == 10

    await wait_until(followed)
    await bus.delete_stream()
    await exported(bus, tmp_path, stream=bus.topology.funding_history, kinds=("funding",))
    assert [one.event for one in events_in(tmp_path)] == [event for _, event in stored(bus)]


async def test_a_server_that_restarts_meanwhile_costs_nothing(
    bus: BusWriter, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    await fill(bus, 500)
    begun, restarted = asyncio.Event(), asyncio.Event()

    async def restart() -> None:
        await begun.wait()
        await nats_server.kill()
        await nats_server.start()
        restarted.set()

    restarting = asyncio.create_task(restart())
    await exported(bus, tmp_path, on_progress=lambda _: begun.set())
    await restarting
    assert restarted.is_set()
    assert [(one.sequence, one.event) for one in events_in(tmp_path)] == stored(bus)
