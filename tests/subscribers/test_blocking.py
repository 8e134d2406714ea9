"""The feed without an event loop: the same reads, streams that wait, an end in every case."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import PriceEvent
from drift_subscribers import (
    BlockingFeed,
    BlockingStream,
    CannotConnect,
    Conflate,
    DriftFeed,
    FeedClosed,
    FeedStatus,
    Lossless,
    MarketNotFound,
    StaleReason,
)
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until

# The tests write with an event loop and read from threads, as an engine without one would.
in_thread = asyncio.to_thread


@pytest.fixture
async def feed(bus: BusWriter, nats_server: LocalNatsServer) -> AsyncIterator[BlockingFeed]:
    """A feed on a bus with one market."""
    await bus.change(price_event("SOL-PERP", 1))
    await bus.change(funding_event("SOL-PERP"))
    opened = await in_thread(DriftFeed.open_sync, nats_server.url)
    yield opened
    await in_thread(opened.close)


def take(stream: BlockingStream[PriceEvent], count: int) -> list[int | None]:
    return [event.oracle_price for _, event in zip(range(count), stream, strict=False)]


async def test_reads_are_those_of_the_feed(feed: BlockingFeed, bus: BusWriter) -> None:
    assert feed.require_price("SOL-PERP").oracle_price == 1
    assert feed.funding("SOL-PERP") is not None
    assert feed.market("SOL-PERP") is None
    assert feed.markets() == ["SOL-PERP"]
    assert (feed.connected, feed.state, feed.missing()) == (True, FeedStatus.LIVE, [])
    await bus.change(price_event("SOL-PERP", 2))
    await bus.beat(slot=7)
    await wait_until(lambda: feed.require_price("SOL-PERP").oracle_price == 2)
    await wait_until(lambda: (status := feed.status()) and status.slot == 7)
    statistics = await in_thread(feed.statistics)
    assert (statistics.connected, statistics.entries) == (True, 2)
    with pytest.raises(MarketNotFound) as missing:
        feed.require_price("BTC-PERP")
    assert missing.value.reason is StaleReason.NEVER_SEEN


async def test_a_stream_waits_and_a_timeout_loses_nothing(feed: BlockingFeed, bus: BusWriter) -> None:
    stream = await in_thread(lambda: feed.stream("price", "SOL-PERP", policy=Lossless(), timeout_s=0.02))
    with pytest.raises(TimeoutError, match=r"no event within 0\.02 s"):
        await in_thread(take, stream, 1)
    for price in (2, 3, 4):
        await bus.change(price_event("SOL-PERP", price))
    seen: list[int | None] = []

    def read_on() -> bool:
        try:
            seen.extend(take(stream, 1))
        except TimeoutError:
            return False
        return len(seen) == 3

    await wait_until(lambda: in_thread(read_on))
    assert seen == [2, 3, 4]
    assert [each.market for each in await in_thread(feed.stream_statistics)] == ["SOL-PERP"]
    assert (await in_thread(stream.statistics)).delivered == 3
    await in_thread(stream.close)
    assert await in_thread(list, stream) == []


async def test_since_and_current_and_policies_pass_through(feed: BlockingFeed, bus: BusWriter) -> None:
    with await in_thread(lambda: feed.stream("price", since=1)) as past:
        assert await in_thread(take, past, 1) == [1]
    with await in_thread(lambda: feed.stream("price", policy=Conflate(), current=True)) as current:
        assert await in_thread(take, current, 1) == [1]
    with await in_thread(lambda: feed.stream("price", ["BTC-PERP", "SOL-PERP"], current=True)) as several:
        assert await in_thread(take, several, 1) == [1]
    with pytest.raises(ValueError, match="Lossless"):
        await in_thread(lambda: feed.stream("price", policy=Conflate(), since=1))


async def test_several_threads_read_and_stream_at_once(feed: BlockingFeed, bus: BusWriter) -> None:
    def engine() -> list[int | None]:
        with feed.stream("price", "SOL-PERP", policy=Lossless()) as stream:
            ready.release()
            seen = take(stream, 50)
            assert feed.require_price("SOL-PERP").oracle_price == 51
            return seen

    ready = threading.Semaphore(0)
    with ThreadPoolExecutor(8) as pool:
        engines = [pool.submit(engine) for _ in range(8)]
        for _ in engines:
            await in_thread(ready.acquire)
        for price in range(2, 52):
            await bus.change(price_event("SOL-PERP", price))
        for each in engines:
            assert await asyncio.wrap_future(each) == list(range(2, 52))


async def test_a_stream_has_one_consumer(feed: BlockingFeed, bus: BusWriter) -> None:
    stream = await in_thread(lambda: feed.stream("price"))
    first = asyncio.create_task(in_thread(take, stream, 1))
    await wait_until(lambda: stream._next is not None)
    with pytest.raises(RuntimeError, match="consumer already"):
        await in_thread(next, stream)
    await bus.change(price_event("SOL-PERP", 2))
    assert await first == [2]


async def test_closing_ends_every_wait(feed: BlockingFeed) -> None:
    streams = [await in_thread(lambda: feed.stream("price")) for _ in range(4)]
    waits = [asyncio.create_task(in_thread(list, stream)) for stream in streams]
    await wait_until(lambda: all(stream._next is not None for stream in streams))
    await asyncio.gather(*(in_thread(feed.close) for _ in range(3)))
    assert await asyncio.gather(*waits) == [[]] * 4
    assert feed.state is FeedStatus.CLOSED
    assert (await in_thread(feed.statistics)).connected is False
    with pytest.raises(FeedClosed):
        await in_thread(lambda: feed.stream("price"))


async def test_errors_are_raised_in_the_caller() -> None:
    async with LocalNatsServer() as server:
        url = server.url
    with pytest.raises(CannotConnect, match=url):
        await in_thread(lambda: DriftFeed.open_sync(url, connect_timeout_s=0.3))
    with pytest.raises(ValueError, match="choose from"):
        DriftFeed.open_sync(url, kinds=[])
    assert "drift-feed" not in [thread.name for thread in threading.enumerate()]


async def test_a_feed_that_nobody_refers_to_is_closed(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    def only_a_stream() -> None:
        await_price = DriftFeed.open_sync(nats_server.url).stream("price", current=True)
        gc.collect()
        assert take(await_price, 1) == [1]

    await bus.change(price_event("SOL-PERP", 1))
    await in_thread(only_a_stream)
    gc.collect()
    await wait_until(lambda: "drift-feed" not in [thread.name for thread in threading.enumerate()])


SCRIPT = """
import signal, sys
from drift_subscribers import DriftFeed
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
feed = DriftFeed.open_sync(sys.argv[1])
for price in feed.stream("price", "SOL-PERP", current=True):
    print(price.oracle_price, flush=True)
    if sys.argv[2] == "forget":
        break
"""


async def run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def end_of(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_a_forgotten_close_does_not_hang_the_exit(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("SOL-PERP", 1))
    assert await end_of(await run(nats_server.url, "forget")) == (0, "")


async def test_ctrl_c_ends_a_wait_cleanly(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("SOL-PERP", 1))
    process = await run(nats_server.url, "wait")
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGINT)
    status, errors = await end_of(process)
    assert status == -signal.SIGINT
    assert errors.count("Traceback") == 1
    assert errors.endswith("KeyboardInterrupt\n")


def test_the_stream_takes_what_the_feeds_stream_takes() -> None:
    wanted = list(inspect.signature(DriftFeed.stream).parameters)
    assert list(inspect.signature(BlockingFeed.stream).parameters) == [*wanted, "timeout_s"]
