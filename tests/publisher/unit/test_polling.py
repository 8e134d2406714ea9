"""The poller: survives every error of the endpoint, says why it is in trouble, and keeps out of a live socket's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import RpcUnavailable
from drift_publisher.lag import CLOCK_SYSVAR, LagLimits
from drift_publisher.polling import Poller
from drift_publisher.proof import NodeJudge
from drift_publisher.refusals import Meaning, Refusal
from drift_publisher.rpc import RpcClient, RpcRefused
from drift_publisher.source import AccountUpdate, SourceStatus
from tests.support.wait import wait_until

from .clocks import clock_bytes

Read = Callable[[], Awaitable[list[AccountUpdate]]]


def seen_at(slot: int) -> list[AccountUpdate]:
    return [AccountUpdate("A", "Owner", slot, b"data", 0), AccountUpdate("B", "Owner", slot - 1, None, 0)]


class Node(RpcClient):
    """Its slot grows with every read, unless the test says otherwise."""

    def __init__(self) -> None:
        self.pool = EndpointPool([Endpoint("http://a.example", "ws://x"), Endpoint("http://b.example", "ws://x")])
        super().__init__(self.pool)
        self.slot_now, self.reads, self.step = 100, 0, 1
        self.error: Exception | None = None
        self.lags_s = 0.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def slot(self, endpoint: Endpoint) -> int | None:
        return self.slot_now

    async def accounts(self, addresses: Sequence[str], *, patience_s: float | None = None) -> list[AccountUpdate]:
        clock = AccountUpdate(CLOCK_SYSVAR, "Sysvar", self.slot_now, clock_bytes(time.time() - self.lags_s), 0)
        if list(addresses) == [CLOCK_SYSVAR]:
            return [clock]
        assert list(addresses) == [CLOCK_SYSVAR, "A", "B"]
        self.reads += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.slot_now += self.step
        return [clock, *seen_at(self.slot_now)]


@dataclass
class Bench:
    """A poller, its node, and what it delivered."""

    node: Node = field(default_factory=Node)
    status: SourceStatus = field(default_factory=lambda: SourceStatus(silence_s=0.2))
    delivered: list[AccountUpdate] = field(default_factory=list)
    discoveries: int = 0
    is_wanted: bool = True

    async def discover(self) -> list[AccountUpdate]:
        self.discoveries += 1
        return [AccountUpdate("N", "Owner", self.node.slot_now, b"new", 0)]

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        pool = self.node.pool
        poller = Poller(
            pool,
            NodeJudge(self.node, pool, LagLimits(150, 60), self.status),
            self.status,
            lambda: ["A", "B"],
            self.discover,
            every_s=0.01,
            wanted=lambda: self.is_wanted,
        )
        task = asyncio.create_task(poller.run(self.delivered.append))
        try:
            yield
            assert not task.done(), "it never ends by itself"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_every_account_is_delivered_again_and_again(bench: Bench) -> None:
    async with bench.polling():
        await wait_until(lambda: len(bench.delivered) >= 6)
    assert bench.delivered[:4] == seen_at(101) + seen_at(102)
    assert (bench.status.state, bench.status.is_alive) == ("polling", True)
    assert bench.status.slot == bench.node.slot_now


@pytest.mark.parametrize(
    "error",
    [
        RpcUnavailable("http://a.example: getMultipleAccounts failed for 20 s (HTTP 429)"),
        RpcRefused(
            "getMultipleAccounts", Refusal(Meaning.UNSERVED, "not here"), Endpoint("http://a.example", "ws://x")
        ),
    ],
)
async def test_an_error_is_told_and_survived(bench: Bench, error: Exception) -> None:
    async with bench.polling():
        await wait_until(lambda: bench.status.state == "polling")
        bench.node.error = error
        await wait_until(lambda: bench.status.state == "stalled")
        assert "getMultipleAccounts" in bench.status.reason
        assert not bench.status.is_alive
        reads = bench.node.reads
        await wait_until(lambda: bench.node.reads > reads + 3)
        bench.node.error = None
        await wait_until(lambda: bench.status.state == "polling")
        assert bench.status.reason == "", "the trouble is over"


async def test_why_the_socket_is_missing_stays_told(bench: Bench) -> None:
    bench.status.lost("WebSocket refused with HTTP 403")
    async with bench.polling():
        await wait_until(lambda: bench.status.state == "polling")
    assert bench.status.reason == "WebSocket refused with HTTP 403"


async def test_a_node_that_stands_still_is_no_proof_of_life_and_is_left(bench: Bench) -> None:
    async with bench.polling():
        await wait_until(lambda: bench.status.state == "polling")
        bench.node.step = 0
        await wait_until(lambda: bench.status.state == "stalled")
        assert "no new slot" in bench.status.reason
        await wait_until(lambda: bench.node.pool.current is bench.node.pool.endpoints[1])
        bench.node.step = 1
        await wait_until(lambda: bench.status.state == "polling")


async def test_a_lagging_node_delivers_nothing_and_another_is_taken(bench: Bench) -> None:
    bench.node.lags_s = 120
    async with bench.polling():
        await wait_until(lambda: bench.node.pool.current is bench.node.pool.endpoints[1])
        await wait_until(lambda: bench.node.reads > 5)
        assert "s behind ours: the node lags" in bench.status.reason
        assert (bench.delivered, bench.status.slot) == ([], 0)
        bench.node.lags_s = 0
        await wait_until(lambda: bench.status.state == "polling" and bench.delivered)
        assert bench.status.reason == ""


async def test_a_slot_from_the_future_is_not_taken_for_the_chains(bench: Bench) -> None:
    async with bench.polling():
        await wait_until(lambda: bench.status.slot > 100)
        bench.node.slot_now = 10**12
        await wait_until(lambda: bench.status.state == "stalled")
        assert bench.status.slot < 10**6
        bench.node.slot_now = bench.status.slot
        await wait_until(lambda: bench.status.state == "polling")


async def test_it_rests_while_it_is_not_wanted(bench: Bench) -> None:
    bench.is_wanted = False
    bench.status.state = "live"
    async with bench.polling():
        await asyncio.sleep(0.2)
    assert not bench.node.reads
    assert bench.status.state == "live"


@pytest.mark.parametrize("error", [None, RpcUnavailable("failed for 20 s")])
async def test_a_read_that_ends_after_the_socket_came_back_changes_nothing(
    bench: Bench, error: Exception | None
) -> None:
    """Its answer is old by then, and its failure no longer anybody's trouble."""
    bench.node.gate.clear()
    async with bench.polling():
        await wait_until(lambda: bench.node.reads == 1)
        bench.is_wanted, bench.status.state, bench.node.error = False, "live", error
        bench.node.gate.set()
        for _ in range(20):
            await asyncio.sleep(0)
    assert bench.status.state == "live"
    assert bench.delivered == []


async def test_new_markets_are_looked_for_now_and_then(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drift_publisher.polling._DISCOVER_EVERY_S", 0.05)
    async with bench.polling():
        await wait_until(lambda: bench.discoveries >= 2)
        assert bench.node.reads > bench.discoveries
