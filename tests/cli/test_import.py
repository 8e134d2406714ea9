"""``drift-bus import`` as its user meets it."""

from __future__ import annotations

from pathlib import Path

from drift_bus.nats_server import LocalNatsServer
from tests.cli.support import Bus, drift_bus, funding, price


async def test_a_history_travels_to_another_server(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    folder = str(tmp_path / "x")
    async with Bus.on(nats_server.url) as bus:
        for number in range(5):
            await bus.publish(price(mark_twap=number))
            await bus.publish(funding(funding_rate=number))
        await drift_bus("export", folder, "--nats-url", nats_server.url)
        refused = await drift_bus("import", folder, "--nats-url", nats_server.url)
    async with LocalNatsServer() as other:
        first = await drift_bus("import", folder, "--nats-url", other.url)
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
    assert "drift-bus simulate --capture" in capture.complaint
