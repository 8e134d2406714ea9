"""``drift-bus import`` as its user meets it."""

from __future__ import annotations

from pathlib import Path

import msgpack

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.capture import open_capture, project_capture
from drift_simulator.programs import program_named
from tests.cli.support import Bus, drift_bus, drift_bus_anew, funding, price
from tests.support.captures import steps_of_a_cluster, write_capture

CAPTURES = Path(__file__).parents[1] / "publisher" / "captures"


async def test_a_history_travels_to_another_server(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    folder = str(tmp_path / "x")
    async with Bus.on(nats_server.url) as bus:
        for number in range(5):
            await bus.publish(price(mark_twap=number))
            await bus.publish(funding(funding_rate=number))
        await drift_bus_anew("export", folder, "--nats-url", nats_server.url)
        refused = await drift_bus("import", folder, "--nats-url", nats_server.url)
    async with LocalNatsServer() as other:
        first = await drift_bus_anew("import", folder, "--nats-url", other.url)
        again = await drift_bus("import", folder, "--nats-url", other.url, "--json")
        back = await drift_bus("export", str(tmp_path / "y"), "--nats-url", other.url, "--json")

    assert refused.status == 1
    assert "there is a stream DRIFT already" in refused.complaint
    assert (first.status, first.stdout) == (0, "stored 10 events in the stream DRIFT (--prefix drift)\n")
    assert (again.objects[0]["new_rows"], again.objects[0]["finished"]) == (0, True)
    assert back.objects[0]["rows"] == 10


async def test_what_is_no_export_is_told(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    (tmp_path / "some.capture").touch()
    missing = await drift_bus("import", str(tmp_path / "nope"), "--nats-url", nats_server.url)
    empty = await drift_bus("import", str(tmp_path), "--nats-url", nats_server.url)
    capture = await drift_bus("import", str(tmp_path / "some.capture"), "--nats-url", nats_server.url)

    assert [done.status for done in (missing, empty, capture)] == [1, 1, 1]
    assert "does not exist" in missing.complaint
    assert "there is no _manifest.json in it" in empty.complaint
    assert "neither the folder of an export nor a capture" in capture.complaint


async def test_a_capture_becomes_a_stream(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    """The oddities' capture, of a whole pipeline: the events are those that its projection gives, once."""
    capture = CAPTURES / "oddities.capture.zst"
    with capture.open("rb") as file:
        (tmp_path / "short.zst").write_bytes(file.read()[:-200])
    wanted = list(project_capture((reader := open_capture(capture)).records(), reader.header, epoch=1))

    first = await drift_bus("import", str(capture), "--nats-url", nats_server.url, "--prefix", "odd", "--json")
    again = await drift_bus("import", str(capture), "--nats-url", nats_server.url, "--prefix", "odd")
    short = await drift_bus("import", str(tmp_path / "short.zst"), "--nats-url", nats_server.url, "--prefix", "cut")
    back = await drift_bus("replay", "--nats-url", nats_server.url, "--prefix", "odd", "--json")

    assert (first.status, first.objects[0]["rows"]) == (0, len(wanted))
    assert again.stdout.startswith("nothing to do")
    assert short.status == 1
    assert "cut short" in short.complaint
    assert [one["published_at_ns"] for one in back.objects] == [
        msgpack.unpackb(message.payload, strict_map_key=False)["published_at_ns"] for message in wanted
    ]


async def test_a_capture_of_either_program_becomes_a_stream(
    nats_server: LocalNatsServer, program: str, tmp_path: Path
) -> None:
    """The program is the capture's own: nobody names it."""
    steps, address = steps_of_a_cluster(24, program=program), str(program_named(program).program_id)
    path = write_capture(tmp_path / "a.zst", steps, program=program, program_id=address)
    wanted = list(project_capture((reader := open_capture(path)).records(), reader.header, epoch=1))

    done = await drift_bus("import", str(path), "--nats-url", nats_server.url, "--json")
    back = await drift_bus("replay", "--nats-url", nats_server.url, "--json")

    assert (done.status, done.objects[0]["rows"]) == (0, len(wanted)), done.stderr
    assert {one["program"] for one in back.objects} == {program}
    assert len(back.objects) == len(wanted) > len({one["subject"] for one in back.objects}) == 3 * 3 + 2 * 2
