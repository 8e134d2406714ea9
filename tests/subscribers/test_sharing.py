"""One feed for many engines: counted, opened once, closed with the last, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers import (
    CannotConnect,
    DriftFeed,
    FeedClosed,
    FeedOptions,
    FeedStatus,
    SharedFeed,
    shared_feed,
    shared_feed_references,
)
from drift_subscribers.servers import server_list
from drift_subscribers.sharing import FeedPool
from tests.support.bus_writer import BusWriter, price_event
from tests.support.wait import wait_until

EVERYTHING = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Feed:
    """Stands for a feed where only its lifetime matters."""

    is_open = True


class Openings:
    """Opens feeds that count; as many times as told, opening fails."""

    def __init__(self, *, failures: int = 0, gate: asyncio.Event | None = None) -> None:
        self.failures = failures
        self.tried: Counter[object] = Counter()
        self.open: list[Feed] = []
        self._gate = gate

    @contextlib.asynccontextmanager
    async def __call__(self, url: str, **options: Any) -> AsyncIterator[Feed]:
        self.tried[url, *options.items()] += 1
        await (asyncio.sleep(0) if self._gate is None else self._gate.wait())
        if self.failures:
            self.failures -= 1
            raise CannotConnect(f"no NATS at {url}")
        feed = Feed()
        self.open.append(feed)
        try:
            yield feed
        finally:
            await asyncio.sleep(0)
            feed.is_open = False
            self.open.remove(feed)


BUSES = st.tuples(st.sampled_from(["nats://one", "nats://two"]), st.sampled_from([{}, {"prefix": "devnet"}]))
STEPS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["acquire", "release"]), BUSES), max_size=60)


@EVERYTHING
@given(steps=STEPS)
async def test_the_instance_stays_until_the_last_reference_goes(
    steps: list[tuple[int, str, tuple[str, dict[str, str]]]],
) -> None:
    openings = Openings()
    pool = FeedPool(openings)
    leases: dict[int, SharedFeed[Feed]] = {}
    held: dict[int, tuple[str, Feed]] = {}
    current: dict[object, Feed] = {}
    for holder, step, (url, options) in steps:
        if step == "acquire":
            bus = (url, *options)
            if holder in held:
                assert await leases[holder].acquire() is held[holder][1]
            else:
                leases[holder] = pool.lease(url, options)
                feed = await leases[holder].acquire()
                assert feed is current.setdefault(bus, feed)
                held[holder] = (url, feed)
        elif holder in leases:
            await leases[holder].release()
            held.pop(holder, None)
        in_use = {id(feed) for _, feed in held.values()}
        current = {bus: feed for bus, feed in current.items() if id(feed) in in_use}
        assert {id(feed) for feed in openings.open} == in_use
        assert all(feed.is_open for _, feed in held.values())
        assert pool.references() == len(held)
        for each in ("nats://one", "nats://two"):
            assert pool.references(each) == sum(url == each for url, _ in held.values())
    for lease in leases.values():
        await lease.release()
    assert (openings.open, pool.references()) == ([], 0)


@EVERYTHING
@given(cancelled=st.lists(st.booleans(), min_size=1, max_size=12), failures=st.integers(0, 2))
async def test_concurrent_firsts_open_once_whoever_is_cancelled_and_whatever_fails(
    cancelled: list[bool], failures: int
) -> None:
    gate = asyncio.Event()
    openings = Openings(failures=failures, gate=gate)
    pool = FeedPool(openings)
    leases: list[SharedFeed[Feed]] = []
    for attempt in range(failures + 1):
        gate.clear()
        leases = [pool.lease("nats://one", {}) for _ in cancelled]
        acquiring = [asyncio.create_task(lease.acquire()) for lease in leases]
        await wait_until(lambda: pool.references() == len(cancelled), every_s=0)
        await wait_until(lambda number=attempt + 1: openings.tried.total() == number, every_s=0)  # type: ignore[misc]
        if all(cancelled):
            cancelled[0] = False
        for task, unwanted in zip(acquiring, cancelled, strict=True):
            if unwanted:
                task.cancel()
        await wait_until(lambda: pool.references() == cancelled.count(False), every_s=0)
        gate.set()
        results = await asyncio.gather(*acquiring, return_exceptions=True)
        stayed = [result for result, unwanted in zip(results, cancelled, strict=True) if not unwanted]
        gone = [result for result, unwanted in zip(results, cancelled, strict=True) if unwanted]
        assert all(isinstance(result, asyncio.CancelledError) for result in gone)
        assert openings.tried.total() == attempt + 1
        if attempt < failures:
            assert all(isinstance(result, CannotConnect) for result in stayed)
            assert (openings.open, pool.references()) == ([], 0)
        else:
            assert [*{id(result) for result in stayed}] == [id(openings.open[0])]
    for lease in leases:
        await lease.release()
    assert (openings.open, pool.references()) == ([], 0)


async def test_when_everyone_who_waits_is_cancelled_nothing_stays() -> None:
    openings = Openings(gate=asyncio.Event())
    pool = FeedPool(openings)
    acquiring = [asyncio.create_task(pool.lease("nats://one", {}).acquire()) for _ in range(3)]
    await wait_until(openings.tried.total)
    for task in acquiring:
        task.cancel()
    results = await asyncio.gather(*acquiring, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert (openings.open, pool.references()) == ([], 0)


async def test_one_reference_counts_once_however_often_and_at_once_it_is_acquired() -> None:
    pool = FeedPool(Openings())
    lease = pool.lease("nats://one", {})
    first, second = await asyncio.gather(lease.acquire(), lease.acquire())
    assert first is second
    assert pool.references() == 1
    await asyncio.gather(lease.release(), lease.release())
    assert pool.references() == 0
    async with lease as again:
        assert again is not first


@pytest.mark.parametrize("others", [0, 1])
async def test_a_reference_released_while_it_waits_says_so(others: int) -> None:
    gate = asyncio.Event()
    openings = Openings(gate=gate)
    pool = FeedPool(openings)
    lease, *rest = [pool.lease("nats://one", {}) for _ in range(1 + others)]
    acquiring = asyncio.create_task(lease.acquire())
    staying = [asyncio.create_task(other.acquire()) for other in rest]
    await wait_until(lambda: openings.tried.total() and pool.references() == 1 + others)
    await lease.release()
    gate.set()
    with pytest.raises(FeedClosed, match=r"released while|given up while"):
        await acquiring
    assert all(feed.is_open for feed in await asyncio.gather(*staying))
    for other in rest:
        await other.release()
    assert (openings.open, pool.references()) == ([], 0)


def test_a_loop_that_was_closed_without_release_does_not_poison_the_next() -> None:
    pool = FeedPool(Openings())
    lease = pool.lease("nats://one", {})
    first = asyncio.run(lease.acquire())  # asyncio.run closes what it leaves behind
    assert (first.is_open, pool.references()) == (False, 0)

    async def again() -> Feed:
        await lease.release()  # of the loop that is gone: nothing to do
        async with lease as feed:
            assert pool.references() == 1
            return feed

    assert asyncio.run(again()) is not first
    assert pool.references() == 0


def test_nor_does_a_loop_that_was_closed_with_everything_in_it() -> None:
    class Instantly(Feed):
        async def __aenter__(self) -> Feed:
            return self

        async def __aexit__(self, *_: object) -> None:
            self.is_open = False

    pool = FeedPool(lambda url: Instantly())
    loops = [asyncio.new_event_loop() for _ in range(2)]
    leases = [pool.lease("nats://one", {}) for _ in loops]
    feeds = []
    for loop, lease in zip(loops, leases, strict=True):
        feeds.append(loop.run_until_complete(lease.acquire()))
        assert pool.references() == 1
        loop.close()
        assert pool.references() == 0
    assert feeds[0] is not feeds[1]


WRITTEN = ("nats://a,nats://b", "nats://a, nats://b ", ["nats://a", "nats://b"], ("nats://a ", " nats://b"))


async def test_the_same_servers_are_the_same_feed_however_they_are_written() -> None:
    pool = FeedPool(Openings())
    leases = [pool.lease(url, {}) for url in WRITTEN]
    feeds = [await lease.acquire() for lease in leases]
    assert len(set(map(id, feeds))) == 1
    for url in WRITTEN:
        assert pool.references(url) == len(WRITTEN)
    assert pool.references("nats://a") == 0
    for lease in leases:
        await lease.release()


def test_spaces_around_a_server_do_not_count() -> None:
    for url in WRITTEN:
        assert server_list(url) == ["nats://a", "nats://b"]
        assert DriftFeed(url)._connection._servers == ["nats://a", "nats://b"]
    assert server_list(["nats://a,nats://b", "nats://c", ""]) == ["nats://a", "nats://b", "nats://c"]
    for nothing in ("", " , ", [], [" "]):
        with pytest.raises(ValueError, match="no NATS server in"):
            DriftFeed(nothing)


async def test_a_feed_opens_with_spaces_in_its_servers(nats_server: LocalNatsServer) -> None:
    async with shared_feed(f" nats://127.0.0.1:9 , {nats_server.url}") as feed:
        assert feed.connected
        async with shared_feed(["nats://127.0.0.1:9", nats_server.url]) as same:
            assert same is feed


def test_each_event_loop_has_a_feed_of_its_own() -> None:
    pool = FeedPool(Openings())
    both = threading.Barrier(2, timeout=60)
    feeds: list[Feed] = []

    async def engine() -> None:
        async with pool.lease("nats://one", {}) as feed:
            feeds.append(feed)
            await asyncio.to_thread(both.wait)
            assert pool.references() == 2
            await asyncio.to_thread(both.wait)

    threads = [threading.Thread(target=asyncio.run, args=(engine(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(map(id, feeds))) == 2
    assert pool.references() == 0


async def test_a_reference_is_used_in_its_own_loop() -> None:
    lease = FeedPool(Openings()).lease("nats://one", {})
    async with lease:
        for use in (lease.acquire, lease.release):
            with pytest.raises(RuntimeError, match="held in another event loop"):
                await asyncio.to_thread(asyncio.run, use())


def test_options_are_those_of_the_feed() -> None:
    wanted = [name for name in inspect.signature(DriftFeed).parameters if name != "url"]
    assert list(FeedOptions.__annotations__) == wanted


async def test_engines_of_one_process_share_one_connection(bus: BusWriter, nats_server: LocalNatsServer) -> None:
    await bus.change(price_event("SOL-PERP", 7))

    def connections() -> int:
        lines = psutil.Process(nats_server.pid).net_connections()
        return sum(line.status == psutil.CONN_ESTABLISHED for line in lines)

    async def engine() -> DriftFeed:
        async with shared_feed(nats_server.url, markets=["SOL-PERP"]) as feed:
            assert feed.require_price("SOL-PERP").oracle_price == 7
            arrived.append(feed)
            await leave.wait()
            return feed

    before = connections()
    arrived: list[DriftFeed] = []
    leave = asyncio.Event()
    engines = [asyncio.create_task(engine()) for _ in range(4)]
    await wait_until(lambda: len(arrived) == 4)
    assert shared_feed_references(nats_server.url) == shared_feed_references() == 4
    assert connections() == before + 1
    other = shared_feed(nats_server.url, markets=["BTC-PERP"])
    assert await other.acquire() is not arrived[0]
    await other.release()
    leave.set()
    (feed,) = set(await asyncio.gather(*engines))
    assert feed.state is FeedStatus.CLOSED
    assert shared_feed_references() == 0
    await wait_until(lambda: connections() == before)


async def test_no_server_is_the_same_error_for_all_and_the_next_try_connects() -> None:
    async with LocalNatsServer() as server:
        url = server.url
        await server.kill()
        leases = [shared_feed(url, connect_timeout_s=0.5) for _ in range(3)]
        errors = await asyncio.gather(*(lease.acquire() for lease in leases), return_exceptions=True)
        assert [type(error) for error in errors] == [CannotConnect] * 3
        assert shared_feed_references() == 0
        await server.start()
        async with shared_feed(url) as feed:
            assert feed.connected
