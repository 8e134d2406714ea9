"""What is read again counts where it is current, comes after everybody else's requests, and survives their failures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import RpcUnavailable
from drift_publisher.heard import HeardAccounts
from drift_publisher.lag import CLOCK_SYSVAR, LagLimits
from drift_publisher.proof import NodeJudge
from drift_publisher.rereading import Rereader
from drift_publisher.rpc import RpcClient
from drift_publisher.source import AccountUpdate, SourceStatus
from tests.publisher.unit.clocks import clock_bytes
from tests.support.wait import wait_until


class Node(RpcClient):
    """Answers at its slot, by its clock, or not at all."""

    def __init__(self) -> None:
        self.pool = EndpointPool([Endpoint("http://a.example", "ws://x", rate_per_s=0.001, burst=8)])
        super().__init__(self.pool)
        self.answers_at, self.lags_s, self.asked, self.is_dead = 1000, 0.0, 0, False

    async def accounts(self, addresses: Sequence[str], *, patience_s: float | None = None) -> list[AccountUpdate]:
        self.asked += 1
        if self.is_dead:
            raise RpcUnavailable("HTTP 429")
        datas = {CLOCK_SYSVAR: clock_bytes(time.time() - self.lags_s)}
        return [AccountUpdate(one, "", self.answers_at, datas.get(one, b"x"), 0, True) for one in addresses]


@dataclass
class Bench:
    """A source that is live at slot 1000, and two accounts that nobody tells of."""

    node: Node = field(default_factory=Node)
    status: SourceStatus = field(default_factory=SourceStatus)
    heard: HeardAccounts = field(default_factory=HeardAccounts)
    delivered: list[AccountUpdate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.status.begin_history(1000)
        self.status.state = "live"

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """While it runs."""
        pool = self.node.pool
        judge = NodeJudge(self.node, pool, LagLimits(150, 60), self.status)
        rereader = Rereader(pool, judge, self.status, self.heard, lambda: ["A", "B"])
        task = asyncio.create_task(rereader.run(self.delivered.append))
        try:
            yield
            assert not task.done(), "it never ends by itself"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("drift_publisher.rereading._LOOK_S", 0.001)
    monkeypatch.setattr("drift_publisher.heard._READ_AGAIN_S", 0.05)
    monkeypatch.setattr("drift_publisher.heard._CATCHING_UP_S", 0.01)
    return Bench()


async def test_what_nobody_told_of_is_read_and_delivered(bench: Bench) -> None:
    async with bench.reading():
        await wait_until(lambda: len(bench.delivered) >= 4)
    assert [update.address for update in bench.delivered[:2]] == ["A", "B"]
    assert bench.status.reread >= 4


async def test_a_node_whose_clock_lags_confirms_nothing(bench: Bench) -> None:
    bench.node.lags_s = 120
    async with bench.reading():
        await wait_until(lambda: bench.status.rereads_failed >= 3)
        assert bench.delivered == []
        bench.node.lags_s = 0
        await wait_until(lambda: bench.delivered)


async def test_a_machine_behind_the_sockets_confirms_nothing(bench: Bench) -> None:
    bench.node.answers_at = 900
    async with bench.reading():
        await wait_until(lambda: bench.status.reread >= 4)
        assert bench.delivered == []
        bench.node.answers_at = 1001
        await wait_until(lambda: bench.delivered)


async def test_no_answer_is_survived_and_counted(bench: Bench) -> None:
    bench.node.is_dead = True
    async with bench.reading():
        await wait_until(lambda: bench.status.rereads_failed >= 3)
        bench.node.is_dead = False
        await wait_until(lambda: bench.delivered)


async def test_without_budget_to_spare_nothing_is_asked(bench: Bench) -> None:
    """A quarter of the burst is for those who cannot wait."""
    await bench.node.pool.current.budget.acquire(7)
    async with bench.reading():
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert bench.node.asked == 0
    assert bench.heard.overdue(["A"]) == ["A"]


async def test_a_source_that_is_not_alive_is_not_helped(bench: Bench) -> None:
    bench.status.lost("no new slot for 5 s")
    async with bench.reading():
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert bench.node.asked == 0
