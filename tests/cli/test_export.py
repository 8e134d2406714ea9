"""``drift-bus export`` as its user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers.archive import Manifest
from tests.cli.support import Bus, Finished, drift_bus, funding, price
from tests.support.wait import wait_until


async def fill(bus: Bus, rounds: int = 5) -> None:
    """Two events a round."""
    for number in range(rounds):
        await bus.publish(price(mark_twap=number))
        await bus.publish(funding(funding_rate=number))


async def export(server: LocalNatsServer, *arguments: str) -> Finished:
    return await drift_bus("export", *arguments, "--nats-url", server.url)


async def test_it_tells_what_it_wrote_and_that_there_is_nothing_more_to_do(
    nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    folder = str(tmp_path / "x")
    async with Bus.on(nats_server.url) as bus:
        await fill(bus)
        first = await export(nats_server, folder)
        again = await export(nats_server, folder)

    assert (first.status, again.status) == (0, 0)
    assert f"wrote 10 events in 2 files to {folder}" in first.stdout
    assert "price 5, funding 5; complete to sequence 10" in first.stdout
    assert "nothing to do" in again.stdout


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
async def test_json_and_the_other_formats(file_format: str, nats_server: LocalNatsServer, tmp_path: Path) -> None:
    async with Bus.on(nats_server.url) as bus:
        await fill(bus)
        wanted = ("--format", file_format, "--gzip", "--decimals", "--kind", "price,funding", "--market", "SOL-PERP")
        done = await export(nats_server, str(tmp_path), *wanted, "--json")

    (facts,) = done.objects
    assert (facts["new_rows"], facts["rows"], facts["finished"], facts["refused"]) == (10, 10, True, 0)
    assert len(list(tmp_path.rglob(f"part-*.{file_format}.gz"))) == 2


async def test_the_funding_history_alone(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    async with Bus.on(nats_server.url) as bus:
        await fill(bus)
        streams = bus.client.jetstream(timeout=30)

        async def followed() -> bool:
            return (await streams.stream_info(bus.topology.funding_history)).state.messages == 5

        await wait_until(followed)
        done = await export(nats_server, str(tmp_path), "--funding-history", "--json")
        wrong = await export(nats_server, str(tmp_path / "y"), "--funding-history", "--kind", "price")

    assert (done.objects[0]["stream"], done.objects[0]["rows"]) == ("DRIFT_FUNDING_HISTORY", 5)
    assert wrong.status == 2
    assert "--funding-history holds funding only" in wrong.complaint


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("--from", "yesterday"), 2, "'yesterday' is no time"),
        (("--from", "now", "--to", "-1h"), 2, "is not after its beginning"),
        (("--from", "2020-01-01"), 1, "the history in DRIFT begins at"),
        (("--to", "2020-01-01"), 1, "nothing in the stream DRIFT"),
        (("--kind", "fundings"), 2, "unknown kind 'fundings'"),
        (("--market", "SOL PERP", "--kind", "spot"), 1, "nothing in the stream DRIFT of spot"),
        (("--market", "x" * 65), 2, "--market: market name"),
        (("--prefix", "other"), 1, "there is no stream OTHER"),
        (("--gzip",), 1, "gzip is for csv and jsonl"),
    ],
)
async def test_what_is_wrong_is_one_line_and_leaves_nothing_behind(
    arguments: tuple[str, ...], status: int, complaint: str, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    async with Bus.on(nats_server.url) as bus:
        await fill(bus, 1)
        done = await export(nats_server, str(tmp_path / "x"), *arguments)

    assert done.status == status
    assert complaint in done.complaint
    assert not (tmp_path / "x").exists()


async def test_a_damaged_export_is_named(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    async with Bus.on(nats_server.url) as bus:
        await fill(bus)
        await export(nats_server, str(tmp_path))
        manifest = Manifest.load(tmp_path)
        assert manifest is not None
        (tmp_path / manifest.parts[0].path).write_bytes(b"PAR1")
        done = await export(nats_server, str(tmp_path))

    assert done.status == 1
    assert f"{manifest.parts[0].path}: has 4 bytes" in done.complaint
    assert "copy the export again" in done.complaint
