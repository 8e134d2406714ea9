"""A socket's node on probation: held until it is proven, watched after, and believed for a while without an answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from drift_publisher.errors import NodeNotProven
from drift_publisher.proving import Probation
from drift_publisher.source import AccountUpdate
from tests.support.wait import wait_until

from .clocks import clock_bytes
from .test_proof import Nodes


@dataclass
class Bench:
    """Two endpoints at slot 1000, the first in use, and what came through."""

    nodes: Nodes = field(default_factory=lambda: Nodes(1000, 1000))
    delivered: list[AccountUpdate] = field(default_factory=list)
    node: Probation = field(init=False)

    def __post_init__(self) -> None:
        self.node = self.on_probation()

    def on_probation(self) -> Probation:
        """A new session with the endpoint in use."""
        nodes = self.nodes
        return Probation(nodes.endpoint, nodes.judge, nodes.pool, nodes.status, self.delivered.append)

    async def passed(self) -> None:
        """The node has been proven."""
        self.node.tell_slot(1000)
        await self.node.pass_with(["A"])

    async def watched(self) -> str:
        """Why the watch ends."""
        with pytest.raises(NodeNotProven) as ended:
            async with asyncio.timeout(20):
                await self.node.watch()
        return str(ended.value)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("drift_publisher.proving.LOOK_EVERY_S", 0.001)
    monkeypatch.setattr("drift_publisher.proving._SLOTS_AT_THEIR_PACE", 1)
    return Bench()


def told(address: str, slot: int) -> AccountUpdate:
    return AccountUpdate(address, "Owner", slot, b"told", 0)


async def test_what_it_tells_waits_for_the_proof_and_its_slots_too(bench: Bench) -> None:
    bench.node.tell_account(told("A", 999))
    bench.node.tell_account(told("B", 1001))
    bench.node.tell_slot(1000)
    assert (bench.delivered, bench.nodes.status.slot) == ([], 0)
    await bench.node.pass_with(["A"])
    assert [(update.address, update.slot) for update in bench.delivered] == [("A", 1000), ("B", 1001)]
    bench.node.tell_account(told("B", 1002))
    bench.node.tell_slot(1002)
    assert (bench.delivered[-1].slot, bench.nodes.status.slot) == (1002, 1002)


async def test_a_node_that_lags_delivers_nothing_and_is_left(bench: Bench) -> None:
    bench.nodes.clock = clock_bytes(0)
    bench.node.tell_account(told("A", 999))
    with pytest.raises(NodeNotProven, match="s behind ours"):
        await bench.passed()
    assert (bench.delivered, bench.nodes.status.histories) == ([], 0)
    assert bench.nodes.endpoint is bench.nodes.pool.endpoints[1]


async def test_a_node_that_begins_to_lag_is_left_though_its_slots_go_on(bench: Bench) -> None:
    await bench.passed()
    bench.nodes.slots[1] = 2000
    assert "1000 slots behind" in await bench.watched()
    assert bench.nodes.endpoint is bench.nodes.pool.endpoints[1]


@pytest.mark.parametrize("trouble", ["nobody answers", "a late machine answers"])
async def test_without_a_proof_it_is_believed_for_a_while_as_long_as_slots_come(bench: Bench, trouble: str) -> None:
    await bench.passed()
    if trouble == "nobody answers":
        bench.nodes.answers_at = None
    else:
        bench.nodes.answers_at, bench.nodes.clock = 1000, clock_bytes(0)
    bench.node.tell_slot(1200)
    bench.nodes.slots[1] = 1200

    async def slots_come() -> None:
        while True:
            bench.node.tell_slot(bench.node.told.newest + 1)
            bench.nodes.slots[1] = bench.node.told.newest
            bench.nodes.now += 0.01
            await asyncio.sleep(0)

    coming = asyncio.create_task(slots_come())
    try:
        assert "nobody can tell whether http://node0 keeps up" in await bench.watched()
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    assert bench.nodes.now > 45


async def test_without_a_proof_a_node_whose_slots_are_slow_is_left_at_once(bench: Bench) -> None:
    await bench.passed()
    bench.nodes.now += 5
    bench.nodes.answers_at = None
    assert "nobody can tell" in await bench.watched()


async def test_as_long_as_it_is_open_whether_the_chain_started_over_nothing_comes_through(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drift_publisher.proving._UNDECIDED_LOOK_S", 0.001)
    bench.nodes = Nodes(10_000)
    await bench.nodes.check(10_000)
    bench.nodes.status.lost("the server closed the socket")
    bench.nodes.start_over(100)
    bench.node = bench.on_probation()
    bench.node.tell_slot(100)
    bench.node.tell_account(told("A", 100))
    passing = asyncio.create_task(bench.node.pass_with([]))
    await wait_until(lambda: "slots come, but lower" in bench.nodes.status.reason)
    assert bench.delivered == []
    bench.nodes.now += 5
    bench.node.tell_slot(110)
    await passing
    assert (bench.nodes.status.histories, bench.delivered) == (2, [told("A", 100)])
