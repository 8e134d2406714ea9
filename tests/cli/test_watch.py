"""``drift-bus watch`` against a real server."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import FundingEvent, StatusEvent
from tests.cli.support import Bus, command, drift_bus, funding, market, price, spot, started, status


@asynccontextmanager
async def again_and_again(publish: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Publishes until the block is left, so that it doesn't matter when a watcher joins.

    It is asked to end, not cancelled: on Python 3.11 a request to NATS can swallow a cancellation.
    """
    left = asyncio.Event()

    async def run() -> None:
        while not left.is_set():
            await publish()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        left.set()
        await task


async def test_json_has_the_fields_of_the_event_and_its_subject(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:

        async def publish() -> None:
            await bus.publish(funding())
            await bus.publish_status(status())

        async with again_and_again(publish):
            done = await drift_bus("watch", "--nats-url", nats_server.url, "--json", "--count", "4")

    assert (done.status, done.stderr) == (0, "")
    assert len(done.objects) == 4
    by_subject = {one["subject"]: one for one in done.objects}
    assert set(by_subject["drift.funding.SOL-PERP"]) == {*FundingEvent.model_fields, "subject"}
    assert by_subject["drift.funding.SOL-PERP"]["cumulative_funding_rate_long"] == str(10**21)
    assert set(by_subject["drift.status"]) == {*StatusEvent.model_fields, "subject"}
    assert by_subject["drift.status"]["markets"] == ["SOL-PERP", "BTC-PERP", "SOL"]


async def test_lines_for_people_name_market_and_figures(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:

        async def publish() -> None:
            for event in (
                funding(),
                price(),
                market(),
                spot(),
                price("USDC", 0, "spot", oracle_is_valid=False),
            ):
                await bus.publish(event)
            await bus.publish(price(), reassertion=True)
            await bus.publish_status(status())

        async with again_and_again(publish):
            done = await drift_bus("watch", "--nats-url", nats_server.url, "--seconds", "1")

    assert done.status == 0
    for figure in (
        "SOL-PERP            +0.01000 %/h  APR +87.66 %",
        "oracle 150.0000  mark 150.1500",
        "basis +10.0 bp",
        "open interest 123k",
        "deposit 2.10 %",
        "oracle not valid",
        "unchanged",
        "drift-v2  live  slot 350,000,123  epoch 3",
        "SIMULATED",
    ):
        assert figure in done.stdout


async def test_overlapping_subjects_show_each_event_once(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:
        arguments = ("watch", "funding", "SOL-PERP", "drift.>", "--json", "--seconds", "1")
        async with again_and_again(lambda: bus.publish(funding())):
            done = await drift_bus(*arguments, "--nats-url", nats_server.url)

    times = [one["published_at_ns"] for one in done.objects]
    assert times
    assert len(set(times)) == len(times)


async def test_only_what_was_asked_for_is_shown(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:

        async def publish() -> None:
            await bus.publish(funding())
            await bus.publish(price("SOL", 1, "spot"))
            await bus.publish(price("BTC-PERP", 1))

        async with again_and_again(publish):
            done = await drift_bus("watch", "price.SOL", "--nats-url", nats_server.url, "--json", "--count", "3")

    assert {one["subject"] for one in done.objects} == {"drift.price.SOL"}


async def test_a_malformed_message_is_told_and_counted_and_ends_nothing(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:

        async def publish() -> None:
            await bus.client.publish("drift.price.SOL", b"\xc1")
            await bus.publish(funding())

        async with again_and_again(publish):
            done = await drift_bus("watch", "--nats-url", nats_server.url, "--json", "--count", "3")

    assert done.status == 0
    assert len(done.objects) == 3
    assert "refused a message on drift.price.SOL" in done.stderr
    assert "malformed message" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


async def test_the_epoch_subject_is_no_event(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:

        async def publish() -> None:
            await bus.client.publish(bus.topology.subjects.epoch, b"3")
            await bus.publish(funding())

        async with again_and_again(publish):
            done = await drift_bus("watch", "--nats-url", nats_server.url, "--json", "--count", "2")

    assert (done.status, done.stderr) == (0, "")


async def test_silence_is_explained(nats_server: LocalNatsServer) -> None:
    done = await drift_bus("watch", "--nats-url", nats_server.url, "--seconds", "3.5")

    assert (done.status, done.stdout) == (0, "")
    assert "is a publisher running with this prefix?" in done.complaint


async def test_ctrl_c_ends_with_status_0(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus, again_and_again(lambda: bus.publish(funding())):
        done = await drift_bus("watch", "--nats-url", nats_server.url, interrupt_after_line="SOL-PERP")

    assert (done.status, done.stderr) == (0, "")


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_a_closed_pipe_ends_quietly(form: tuple[str, ...], nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus, again_and_again(lambda: bus.publish(funding())):
        watching = " ".join(command("watch", "--nats-url", nats_server.url, *form))
        line = f"({watching}; echo status $? >&2) | head -n 1"
        done = await asyncio.to_thread(subprocess.run, line, shell=True, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert done.stderr == "status 0\n"


async def test_it_goes_on_after_a_restart_of_the_server(nats_server: LocalNatsServer) -> None:
    async with started("watch", "--json", "--nats-url", nats_server.url) as process, asyncio.timeout(150):
        assert process.stdout is not None
        assert process.stderr is not None
        async with Bus.on(nats_server.url) as bus, again_and_again(lambda: bus.publish(funding())):
            assert await process.stdout.readline()
        await nats_server.kill()
        assert b"connection to NATS lost" in await process.stderr.readline()
        await nats_server.start()
        assert b"connected to NATS again" in await process.stderr.readline()
        async with Bus.on(nats_server.url) as bus, again_and_again(lambda: bus.publish(price())):
            while b"drift.price.SOL-PERP" not in await process.stdout.readline():
                pass
        process.terminate()
        assert await process.wait() == 0


async def test_another_prefix_is_another_bus(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url, "devnet") as bus, again_and_again(lambda: bus.publish(funding())):
        done = await drift_bus("watch", "--nats-url", nats_server.url, "--prefix", "devnet", "--json", "--count", "1")

    assert done.objects[0]["subject"] == "devnet.funding.SOL-PERP"
