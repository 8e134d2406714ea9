"""A capture is what the node told, byte for byte; served again, it makes the same events."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import PublisherSettings, SettingsError
from drift_publisher.bus import Bus
from drift_publisher.capture import (
    Capture,
    CaptureFile,
    CaptureFileFailed,
    capturing,
    open_capture,
    project_capture,
    run_capture,
)
from drift_publisher.chain import Chain
from drift_publisher.lanes import Message
from drift_schemas import MarketDataEvent, decode_event
from drift_schemas.capture import CapturedAccount, CapturedSlot
from drift_simulator import CaptureReplay, Simulator, SimulatorConfig
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

NOT_CONTENT = {"slot", "observed_at_ns", "published_at_ns", "epoch"}
BY_THE_CLOCK = {
    "bid_price", "ask_price", "mark_price", "estimated_funding_rate_long", "estimated_funding_rate_short",
}  # fmt: skip
"""Fields whose formula asks for the time: a later publisher gives other ones for the same bytes."""
SETTLED_SLOTS = 3
PATIENCE_S = 60.0
"""A slow machine must not look like a node without slots."""


@pytest.fixture
async def small(program: str) -> AsyncIterator[Simulator]:
    """A cluster so small that every oracle moves many times a second; it stands still until it is let go."""
    config = SimulatorConfig(
        program=program, updates_per_second=100, perp_markets=3, spot_markets=2, slot_interval_s=0.2
    )
    async with Simulator(config) as simulator:
        simulator.pause_walk()
        yield simulator


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Everything that a publisher in this process hands to its bus, in order, before NATS may be slow."""
    messages: list[Message] = []
    submit = Bus.submit

    def keep(self: Bus, message: Message) -> None:
        messages.append(message)
        submit(self, message)

    monkeypatch.setattr(Bus, "submit", keep)
    return messages


def events_of(messages: Sequence[Message]) -> dict[str, list[MarketDataEvent]]:
    """Changes by subject, in order; what confirms a value is left out."""
    events: defaultdict[str, list[MarketDataEvent]] = defaultdict(list)
    for message in messages:
        kind = message.subject.split(".")[2]
        event = decode_event(kind, message.payload, message.headers)  # type: ignore[arg-type]
        content = event.model_dump(exclude=NOT_CONTENT)
        if not events[message.subject] or events[message.subject][-1].model_dump(exclude=NOT_CONTENT) != content:
            events[message.subject].append(event)
    return events


def contents(events: Sequence[MarketDataEvent], *, without: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Content with slots; of consecutive events that differ in nothing that is looked at, the first."""
    rows = [event.model_dump(exclude=NOT_CONTENT - {"slot"} | without) for event in events]
    grouped = groupby(rows, key=lambda row: {name: value for name, value in row.items() if name != "slot"})
    return [next(same) for _, same in grouped]


def first_of(events: Sequence[MarketDataEvent]) -> dict[str, Any]:
    """The state at the start, which each run reads at a moment of its own."""
    return events[0].model_dump(exclude=NOT_CONTENT | BY_THE_CLOCK)


async def let_live(simulator: Simulator, writes: int) -> None:
    """Lets the cluster make so many account writes, and one slot more."""
    begun = simulator.counters.updates
    simulator.resume_walk()
    await wait_until(lambda: simulator.counters.updates - begun >= writes)
    simulator.pause_walk()
    slot = simulator.slot
    await wait_until(lambda: simulator.slot > slot + 1)


@contextlib.asynccontextmanager
async def captured(
    simulator: Simulator | CaptureReplay, path: Path, *, overwrite: bool = False, **settings: Any
) -> AsyncIterator[tuple[Chain, Capture]]:
    """``drift-bus capture`` in this process; the file is whole at the end."""
    values = {"rpc_url": simulator.http_url, "ws_url": simulator.ws_url, "slot_silence_s": PATIENCE_S, **settings}
    chosen = PublisherSettings(_env_file=None, **values)
    stop, ready = asyncio.Event(), asyncio.Event()
    made: list[tuple[Chain, Capture]] = []

    def on_ready(chain: Chain, capture: Capture) -> None:
        made.append((chain, capture))
        ready.set()

    task = asyncio.create_task(
        run_capture(chosen, CaptureFile(path, overwrite=overwrite), stop, on_ready=on_ready), name="capture"
    )
    await wait_until(lambda: ready.is_set() or task.done())
    try:
        if task.done():
            task.result()
        yield made[0]
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task


def notified(path: Path) -> list[tuple[Any, ...]]:
    """What came by notification: accounts with owner, slot and bytes."""
    return [
        (record.address, record.owner, record.slot, record.data)
        for record in open_capture(path).records()
        if isinstance(record, CapturedAccount) and not record.was_read
    ]


async def test_it_holds_every_write_of_the_node(small: Simulator, tmp_path: Path) -> None:
    written: list[tuple[str, str, int, bytes]] = []
    async with captured(small, tmp_path / "a.capture") as (chain, _):
        await wait_until(lambda: chain.status.state == "live")
        small.cluster.ledger.listen(
            lambda address, account: written.append((address, account.owner, account.slot, bytes(account.data)))
        )
        await let_live(small, 400)
    reader = open_capture(tmp_path / "a.capture")
    records = list(reader.records())
    known = {record.address for record in records if isinstance(record, CapturedAccount)}
    assert reader.cut_short is None
    assert notified(tmp_path / "a.capture") == [write for write in written if write[0] in known]
    assert len(written) >= 400
    read = {record.address: record for record in records if isinstance(record, CapturedAccount) and record.was_read}
    assert {str(market.pubkey) for market in small.cluster.markets} <= read.keys()
    slots = [record.slot for record in records if isinstance(record, CapturedSlot)]
    assert slots == list(range(slots[0], slots[-1] + 1))
    assert reader.header.cluster == "simulated"
    assert reader.header.genesis == "62bsvVUX3hLFJxRQB5A1sua6N58qxZZSpXkNEHj7xL68"
    program = small.cluster.program
    assert (reader.header.program, reader.header.program_id) == (program.name, str(program.program_id))
    assert any(f"program {program.program_id}" in line for line in reader.header.subscriptions)


async def test_its_file_holds_no_url(small: Simulator, tmp_path: Path) -> None:
    import zstandard

    async with captured(small, tmp_path / "a.capture") as (chain, _):
        await wait_until(lambda: chain.status.state == "live")
    raw = (tmp_path / "a.capture").read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True).read()
    assert b"drift-bus capture" in plain
    assert str(small.port).encode() not in plain.split(b"subscriptions")[0]
    assert b"127.0.0.1" not in plain


async def _original(
    small: Simulator, server: LocalNatsServer, path: Path, submitted: list[Message]
) -> dict[str, list[MarketDataEvent]]:
    """A publisher on the living cluster that captures what it is told: first at rest, then 500 writes."""
    async with running_publisher(small, server, slot_silence_s=PATIENCE_S, lease_ttl_s=60) as publisher:
        chain = publisher.chain
        assert chain is not None
        async with capturing(chain, CaptureFile(path)) as capture:
            await wait_until(lambda: chain.status.state == "live")
            await wait_until(lambda: len(events_of(submitted)) == 13, what="every subject has its first event")
            slot = chain.status.slot
            await wait_until(lambda: chain.status.slot >= slot + SETTLED_SLOTS)
            await let_live(small, 500)
            await wait_until(lambda: chain.status.slot == small.slot)
        assert capture.error is None
    return events_of(submitted)


async def test_offline_it_makes_the_original_events(
    small: Simulator, nats_server: LocalNatsServer, tmp_path: Path, submitted: list[Message]
) -> None:
    """Store and projection over the file give every field of every event again, estimates and quotes included."""
    original = await _original(small, nats_server, tmp_path / "a.capture", submitted)
    reader = open_capture(tmp_path / "a.capture")
    again = list(project_capture(reader.records(), reader.header))
    remade = events_of(again)
    assert remade.keys() == original.keys()
    for subject, events in original.items():
        assert contents(remade[subject][1:]) == contents(events[1:]), subject
        assert first_of(remade[subject]) == first_of(events), subject
    assert sum(map(len, original.values())) > 500
    assert [(m.subject, m.payload, m.headers) for m in again] == [
        (m.subject, m.payload, m.headers) for m in project_capture(reader.records(), reader.header)
    ]


async def test_served_again_it_makes_the_original_events(
    small: Simulator, nats_server: LocalNatsServer, tmp_path: Path, submitted: list[Message]
) -> None:
    """Capture → node → socket → publisher: per subject the same content at the same slots in the same order."""
    original = await _original(small, nats_server, tmp_path / "a.capture", submitted)
    submitted.clear()
    async with CaptureReplay(tmp_path / "a.capture", waits_for_client=False) as node:
        settings = {"subject_prefix": "again", "slot_silence_s": PATIENCE_S, "lease_ttl_s": 60}
        async with running_publisher(node, nats_server, **settings) as publisher:
            chain = publisher.chain
            assert chain is not None
            wanted = chain.subscriptions()
            everything = 1 + len(wanted.programs) + len(wanted.accounts)
            await wait_until(lambda: node.counters.subscriptions_open.total() == everything)
            node.step()  # the first slot, with which the source gets live
            await wait_until(lambda: chain.status.state == "live")
            await wait_until(lambda: len(events_of(submitted)) == 13)
            node.play()
            await wait_until(lambda: node.has_ended and chain.status.slot == node.slot)
    remade = {subject.replace("in.again", "in.drift"): events for subject, events in events_of(submitted).items()}
    assert remade.keys() == original.keys()
    for subject, events in original.items():
        without = frozenset(BY_THE_CLOCK)
        assert contents(remade[subject], without=without)[1:] == contents(events, without=without)[1:], subject
        assert first_of(remade[subject]) == first_of(events), subject
    assert {event.cluster for events in remade.values() for event in events} == {"simulated"}


async def test_a_served_capture_captured_is_the_same(small: Simulator, tmp_path: Path) -> None:
    first, second = tmp_path / "first.capture", tmp_path / "second.capture"
    async with captured(small, first) as (chain, _):
        await wait_until(lambda: chain.status.state == "live")
        await let_live(small, 300)
        await wait_until(lambda: chain.status.slot == small.slot)
    async with (
        CaptureReplay(first, speed=float("inf")) as node,
        captured(node, second) as (chain, _),
    ):
        await wait_until(lambda: node.has_ended and chain.status.slot == node.slot)
    assert notified(second) == notified(first)
    assert len(notified(first)) >= 300


async def test_what_polling_learnt_is_served_as_news(small: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    async with captured(small, path, source="polling", poll_every_s=0.1) as (chain, capture):
        await wait_until(lambda: chain.status.state == "polling")
        await let_live(small, 100)
        slot = small.slot
        await wait_until(lambda: chain.status.slot > slot)
        assert capture.error is None
    assert notified(path) == []
    assert open_capture(path).header.source == "polling"
    async with CaptureReplay(path, waits_for_client=False) as node:
        written = node.counters.updates
        while node.step(100):
            pass
        assert node.counters.updates - written > 20
        for market in small.cluster.markets:
            for address in (str(market.pubkey), str(market.oracle)):
                held = node.chain.ledger.get(address)
                assert (None if held is None else held.data) == small.account(address), market.name


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The operating system refuses this process longer files, as it does on a full disk."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


async def test_a_disk_that_is_full_ends_the_capture_and_not_the_source(
    small: Simulator, nats_server: LocalNatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.capture.part").symlink_to("/dev/full")
    with pytest.raises(CaptureFileFailed, match="No space left on device"):
        async with captured(small, tmp_path / "a.capture", overwrite=True):
            pass
    file = CaptureFile(tmp_path / "b.capture")
    async with running_publisher(small, nats_server, slot_silence_s=PATIENCE_S) as publisher:
        assert publisher.chain is not None
        async with capturing(publisher.chain, file) as capture:
            await wait_until(lambda: capture.accounts > 0)
            with no_file_larger_than(file.size + 100):
                small.resume_walk()
                await wait_until(capture.ended.is_set)
            await wait_until(lambda: capture.error)
            slot = publisher.chain.status.slot
            await wait_until(lambda: publisher.chain and publisher.chain.status.slot > slot)
    assert "the capture ends: cannot write" in caplog.text
    assert not (tmp_path / "b.capture").exists()
    reader = open_capture(tmp_path / "b.capture.part")
    assert len(list(reader.records())) == capture.accounts + capture.slots
    assert reader.cut_short is not None


async def test_a_capture_cannot_be_published_as_mainnet(
    small: Simulator, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    async with captured(small, tmp_path / "a.capture") as (chain, _):
        await wait_until(lambda: chain.status.state == "live")
    async with CaptureReplay(tmp_path / "a.capture") as node:
        with pytest.raises(SettingsError, match="cannot be published as 'mainnet-beta'"):
            async with running_publisher(node, nats_server, cluster="mainnet-beta"):
                pass


async def test_where_it_ends_the_publisher_says_stalled(
    small: Simulator, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    async with captured(small, tmp_path / "a.capture") as (chain, _):
        await wait_until(lambda: chain.status.state == "live")
        await let_live(small, 50)
    async with (
        CaptureReplay(tmp_path / "a.capture", speed=float("inf")) as node,
        running_publisher(node, nats_server, slot_silence_s=3.0) as publisher,
    ):
        source = publisher.chain
        assert source is not None
        await wait_until(lambda: node.has_ended)
        await wait_until(lambda: not source.status.is_alive and "no new slot" in source.status.reason)
