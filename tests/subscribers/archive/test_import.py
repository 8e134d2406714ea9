"""Import: a history travels to another stream and comes back as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.epoch import claim_epoch
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import Topology, encode
from drift_subscribers.archive import (
    DamagedExport,
    ExportSource,
    Format,
    ImportProgress,
    ImportRefused,
    ImportResult,
    Manifest,
    export_history,
    import_history,
)
from drift_subscribers.archive.files import FORMATS
from drift_subscribers.history import NoHistory, Selection, find_span
from tests.subscribers.archive.support import events_in, fill
from tests.support.bus_writer import BusWriter, price_event

ELSEWHERE = Topology("imported.drift")


async def imported(bus: BusWriter, folder: Path, topology: Topology = ELSEWHERE, **options: object) -> ImportResult:
    return await import_history(bus.client, topology, ExportSource(folder), **{"listen_s": 0.1, **options})  # type: ignore[arg-type]


async def nothing_there(bus: BusWriter, topology: Topology = ELSEWHERE) -> None:
    with pytest.raises(NoHistory):
        await find_span(bus.client, topology, Selection())


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("numbers", ["integers", "decimals"])
async def test_export_import_export_gives_equal_rows(
    bus: BusWriter, file_format: Format, numbers: str, tmp_path: Path
) -> None:
    await fill(bus)
    first, second = tmp_path / "first", tmp_path / "second"
    options = {"file_format": file_format, "numbers": numbers}
    await export_history(bus.client, bus.topology, first, **options)  # type: ignore[arg-type]
    done = await imported(bus, first)
    assert (done.new_rows, done.stream, done.finished) == (100, "IMPORTED_DRIFT", True)
    await export_history(bus.client, ELSEWHERE, second, **options)  # type: ignore[arg-type]
    assert events_in(second) == events_in(first)
    manifests = [Manifest.load(folder) for folder in (first, second)]
    checksums = [[part.sha256 for part in manifest.parts] for manifest in manifests if manifest is not None]
    assert checksums[0] == checksums[1]


async def test_the_same_import_again_has_nothing_to_do_and_adds_what_the_export_gained(
    bus: BusWriter, tmp_path: Path
) -> None:
    await fill(bus, 3)
    await export_history(bus.client, bus.topology, tmp_path)
    assert [(await imported(bus, tmp_path)).new_rows for _ in range(2)] == [15, 0]
    await fill(bus, 2)
    await export_history(bus.client, bus.topology, tmp_path)
    assert (await imported(bus, tmp_path)).new_rows == 10


async def test_a_stopped_import_goes_on(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus, 300)
    await export_history(bus.client, bus.topology, tmp_path / "x")
    stop = asyncio.Event()

    def stop_at(progress: ImportProgress) -> None:
        assert progress.rows <= progress.total
        stop.set()

    stopped = await imported(bus, tmp_path / "x", stop=stop, on_progress=stop_at)
    assert not stopped.finished
    assert 0 < stopped.new_rows < 1500
    finished = await imported(bus, tmp_path / "x")
    assert stopped.new_rows + finished.new_rows == 1500
    await export_history(bus.client, ELSEWHERE, tmp_path / "y")
    assert events_in(tmp_path / "y") == events_in(tmp_path / "x")


async def test_a_server_that_is_killed_meanwhile_costs_nothing(
    bus: BusWriter, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    await fill(bus, 500)
    await export_history(bus.client, bus.topology, tmp_path / "x")
    begun = asyncio.Event()

    async def restart() -> None:
        await begun.wait()
        await nats_server.kill()
        await nats_server.start()

    restarting = asyncio.create_task(restart())
    done = await imported(bus, tmp_path / "x", on_progress=lambda _: begun.set(), patience_s=120.0)
    await restarting
    assert (done.new_rows, done.finished) == (2500, True)
    await export_history(bus.client, ELSEWHERE, tmp_path / "y")
    assert events_in(tmp_path / "y") == events_in(tmp_path / "x")


async def test_a_message_that_is_lost_on_its_way_is_sent_again(
    bus: BusWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a server may leave it when it is killed: it refuses all that comes after."""
    await fill(bus, 100)
    await export_history(bus.client, bus.topology, tmp_path / "x")
    publish, sent = bus.client.publish, 0

    async def lossy(subject: str, *rest: Any, **more: Any) -> None:
        nonlocal sent
        sent += subject.startswith(f"in.{ELSEWHERE.prefix}.")
        if sent != 250:
            await publish(subject, *rest, **more)

    monkeypatch.setattr(bus.client, "publish", lossy)
    done = await imported(bus, tmp_path / "x")
    assert sent > 500
    assert (done.new_rows, done.finished) == (500, True)
    await export_history(bus.client, ELSEWHERE, tmp_path / "y")
    assert events_in(tmp_path / "y") == events_in(tmp_path / "x")


async def test_an_id_that_stood_twice_in_the_history_stands_there_twice_again(bus: BusWriter, tmp_path: Path) -> None:
    streams = bus.client.jetstream(timeout=30)
    config = (await streams.stream_info("DRIFT")).config
    await streams.update_stream(config.evolve(duplicate_window=0.1))
    event = price_event()
    for _ in range(2):
        await asyncio.sleep(1.0)  # what lets the server forget the id is time itself
        await bus.raw("drift.price.SOL-PERP", encode(event), {"Nats-Msg-Id": "the-same"})
    await export_history(bus.client, bus.topology, tmp_path)
    assert [one.message_id for one in events_in(tmp_path)] == ["the-same", "the-same"]
    assert (await imported(bus, tmp_path)).new_rows == 2


async def test_nobody_hears_an_import_as_live(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus, 3)
    await export_history(bus.client, bus.topology, tmp_path)
    live = await bus.client.subscribe(ELSEWHERE.subjects.everything)
    await imported(bus, tmp_path)
    await bus.client.flush()
    assert live.pending_msgs == 0


async def test_a_stream_that_holds_something_else_is_refused(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus, 3)
    await export_history(bus.client, bus.topology, tmp_path / "x")
    with pytest.raises(ImportRefused, match=r"there is a stream DRIFT already.*--prefix"):
        await imported(bus, tmp_path / "x", bus.topology)
    await export_history(bus.client, bus.topology, tmp_path / "y", kinds=("price",))
    await imported(bus, tmp_path / "x")
    with pytest.raises(ImportRefused, match="there is a stream IMPORTED_DRIFT already"):
        await imported(bus, tmp_path / "y")


async def test_a_live_publisher_is_never_written_into(
    bus: BusWriter, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    await fill(bus, 3)
    await export_history(bus.client, bus.topology, tmp_path)
    async with BusWriter(nats_server.url, prefix="live", make=False) as other:
        stop = asyncio.Event()

        async def beat() -> None:
            while not stop.is_set():
                await other.beat()
                await asyncio.sleep(0.2)

        beating = asyncio.create_task(beat())
        try:
            with pytest.raises(ImportRefused, match="a publisher is live under the prefix 'live'"):
                await imported(bus, tmp_path, Topology("live"), listen_s=60.0)
        finally:
            stop.set()
            await beating
    await nothing_there(bus, Topology("live"))


async def test_a_publisher_can_take_an_imported_stream_over(bus: BusWriter, tmp_path: Path) -> None:
    await bus.change(price_event(epoch=41))
    await export_history(bus.client, bus.topology, tmp_path)
    await imported(bus, tmp_path)
    assert await ensure_topology(bus.client, ELSEWHERE) is False
    assert (await claim_epoch(bus.client, ELSEWHERE)).epoch == 42
    with pytest.raises(ImportRefused, match="a publisher has written"):
        await imported(bus, tmp_path)


async def test_a_damaged_export_is_named_and_nothing_is_written(bus: BusWriter, tmp_path: Path) -> None:
    await fill(bus)
    await export_history(bus.client, bus.topology, tmp_path)
    path = next(tmp_path.rglob("kind=spot/**/part-*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedExport, match=f"{path.name}: has"):
        await imported(bus, tmp_path)
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(DamagedExport, match=f"{path.name}: was altered"):
        await imported(bus, tmp_path)
    path.unlink()
    with pytest.raises(DamagedExport, match=f"{path.name}: is missing"):
        await imported(bus, tmp_path)
    (tmp_path / "_manifest.json").unlink()
    with pytest.raises(DamagedExport, match="is no export"):
        await imported(bus, tmp_path)
    await nothing_there(bus)
