"""A node is proven by its slot, by the chain's clock, and never by nothing; slots that start over begin a history."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import NodeNotProven, NodeUndecided, RpcUnavailable
from drift_publisher.lag import CLOCK_SYSVAR, LagLimits
from drift_publisher.proof import NodeJudge, SlotWatch
from drift_publisher.rpc import RpcClient
from drift_publisher.source import AccountUpdate, SourceStatus

from .clocks import clock_bytes


class Nodes(RpcClient):
    """Endpoints that tell these slots; the first is in use, and answers with this clock."""

    def __init__(self, *slots: int | None) -> None:
        self.pool = EndpointPool([Endpoint(f"http://node{number}", "ws://x") for number in range(len(slots))])
        super().__init__(self.pool)
        self.slots = list(slots)
        self.answers_at: int | None = slots[0]
        self.clock: bytes | None = clock_bytes(time.time(), epoch_began_s=7)
        self.status, self.told, self.now = SourceStatus(), SlotWatch(), 0.0
        self.judge = NodeJudge(self, self.pool, LagLimits(150, 60), self.status, clock=lambda: self.now)
        self.asked = 0

    @property
    def endpoint(self) -> Endpoint:
        """The one in use."""
        return self.pool.current

    async def slot(self, endpoint: Endpoint) -> int | None:
        self.asked += 1
        return self.slots[self.pool.endpoints.index(endpoint)]

    async def accounts(self, addresses: Sequence[str], *, patience_s: float | None = None) -> list[AccountUpdate]:
        self.asked += 1
        if self.answers_at is None:
            raise RpcUnavailable("no answer")
        datas = {CLOCK_SYSVAR: self.clock}
        return [AccountUpdate(one, "", self.answers_at, datas.get(one, b"x"), 0, True) for one in addresses]

    async def check(self, slot: int, *, after_s: float = 10.0) -> None:
        """The socket has told a slot, and the node is judged."""
        self.now += after_s
        self.told.note(slot)
        await self.judge.check(self.endpoint, self.told)

    def start_over(self, slot: int) -> None:
        """The node in use is at a lower slot now, and the chain's clock has gone on."""
        self.told, self.answers_at = SlotWatch(), slot
        self.clock = clock_bytes(time.time() + 2, epoch_began_s=8)


async def test_a_first_proof_begins_the_first_history() -> None:
    nodes = Nodes(1000, 1000)
    await nodes.check(1000)
    assert (nodes.status.histories, nodes.status.slot) == (1, 1000)


@pytest.mark.parametrize(("other", "says"), [(1150, ""), (1151, "151 slots behind"), (999, ""), (None, "")])
async def test_slots_behind_the_best_endpoint(other: int | None, says: str) -> None:
    nodes = Nodes(1000, other)
    if not says:
        return await nodes.check(1000)
    with pytest.raises(NodeNotProven, match=says):
        await nodes.check(1000)
    assert nodes.status.histories == 0
    return None


async def test_a_socket_behind_its_own_http_side_lags() -> None:
    with pytest.raises(NodeNotProven, match="http://node0 is 4000 slots behind"):
        await Nodes(5000).check(1000)


async def test_a_node_at_the_limit_does_not_come_and_go() -> None:
    nodes = Nodes(1000, 1151)
    with pytest.raises(NodeNotProven):
        await nodes.check(1000)
    for other in (1149, 1130):
        nodes.slots[1] = other
        with pytest.raises(NodeNotProven):
            await nodes.check(1000)
    nodes.slots[1] = 1110
    await nodes.check(1000)


@pytest.mark.parametrize("clock", [None, b"", b"short"])
async def test_a_node_of_which_nothing_can_be_told_is_not_proven(clock: bytes | None) -> None:
    nodes = Nodes(1000, 1000)
    nodes.clock = clock
    with pytest.raises(NodeNotProven, match="does not tell the chain's clock"):
        await nodes.check(1000)
    with pytest.raises(NodeNotProven):
        await nodes.judge.read(["A"])


async def test_a_node_that_was_refused_is_not_proven_by_what_was_read_before() -> None:
    nodes = Nodes(1000)
    nodes.clock = clock_bytes(time.time() - 120)
    for _ in range(3):
        with pytest.raises(NodeNotProven, match="s behind ours"):
            await nodes.check(1000, after_s=0)


async def test_a_read_brings_its_own_proof_along() -> None:
    nodes = Nodes(1000)
    await nodes.check(1000)
    assert [update.address for update in (await nodes.judge.read(["A", "B"])).updates] == ["A", "B"]
    nodes.clock = clock_bytes(time.time() - 120)
    with pytest.raises(NodeNotProven, match="s behind ours"):
        await nodes.judge.read(["A", "B"])


async def test_what_a_machine_behind_the_others_answers_does_not_count() -> None:
    nodes = Nodes(1000)
    await nodes.check(1000)
    updates = [AccountUpdate(str(slot), "", slot, b"", 0, True) for slot in (900, 935, 936, 1000, 1001)]
    assert [update.slot for update in nodes.judge.current(updates)] == [936, 1000, 1001]


async def test_a_young_proof_will_do_and_costs_nothing() -> None:
    nodes = Nodes(1000, 1000)
    await nodes.check(1000)
    asked = nodes.asked
    await nodes.judge.check(nodes.endpoint, nodes.told, at_most_every_s=10)
    assert nodes.asked == asked
    nodes.now += 10
    await nodes.judge.check(nodes.endpoint, nodes.told, at_most_every_s=10)
    assert nodes.asked > asked


async def test_nobody_answers() -> None:
    nodes = Nodes(1000)
    await nodes.check(1000)
    nodes.answers_at = None
    with pytest.raises(RpcUnavailable):
        await nodes.check(1001)
    assert nodes.judge.proven_for_s(nodes.endpoint) == 10


# --- slots that start over --------------------------------------------------------------------------------------------


async def _proven(*slots: int | None) -> Nodes:
    nodes = Nodes(*slots)
    await nodes.check(10_000)
    return nodes


@pytest.mark.parametrize("others", [(), (110,), (None,), (110, None, 9_000)])
async def test_the_chain_started_over_where_all_that_answer_agree(others: tuple[int | None, ...]) -> None:
    nodes = await _proven(10_000, *([10_000] * len(others)))
    nodes.slots[1:] = others
    nodes.start_over(100)
    with pytest.raises(NodeUndecided, match="slots come, but lower than slot 10000: 100"):
        await nodes.check(100)
    await nodes.check(110)
    assert (nodes.status.histories, nodes.status.slot) == (2, 110)
    assert nodes.judge.epoch_began_s == 8
    await nodes.check(120)
    assert nodes.status.histories == 2


async def test_one_endpoint_against_others_that_go_on_is_refused() -> None:
    nodes = await _proven(10_000, 10_000, 10_000)
    nodes.start_over(100)
    nodes.slots[1:] = [10_020, 105]
    with pytest.raises(NodeUndecided):
        await nodes.check(100)
    nodes.slots[1] = 10_040
    with pytest.raises(NodeNotProven, match="while http://node1 is at slot 10040") as refused:
        await nodes.check(110)
    assert not isinstance(refused.value, NodeUndecided)
    assert nodes.status.histories == 1


async def test_an_endpoint_that_stands_still_where_the_old_history_ended_does_not_count() -> None:
    """Of many nodes some are not restarted for hours."""
    nodes = await _proven(10_000, 10_000)
    nodes.start_over(100)
    with pytest.raises(NodeUndecided):
        await nodes.check(100)
    await nodes.check(110)
    assert nodes.status.histories == 2


async def test_slots_that_do_not_go_on_are_no_history() -> None:
    nodes = await _proven(10_000)
    nodes.start_over(100)
    for _ in range(4):
        with pytest.raises(NodeUndecided):
            await nodes.check(100)


async def test_a_node_that_lags_on_the_old_history_is_no_new_one() -> None:
    """Lower slots and an older clock: the chain has not started over, its machine is behind."""
    nodes = await _proven(10_000)
    nodes.start_over(9_900)
    nodes.clock = clock_bytes(time.time() - 40)
    for slot in (9_900, 9_910, 9_920):
        with pytest.raises(NodeUndecided, match="slots come, but lower"):
            await nodes.check(slot)
    nodes.answers_at = 9_950
    await nodes.check(9_950)
    assert nodes.status.histories == 1, "it has caught up"


@pytest.mark.parametrize(("slots", "says"), [((5, 6, 6), "no new slot for 5 s"), ((9, 4, 5), "lower than slot 9: 5")])
def test_silence_says_what_is_true(slots: tuple[int, ...], says: str) -> None:
    told = SlotWatch()
    for slot in slots:
        told.note(slot)
    assert says in told.silence(5)
