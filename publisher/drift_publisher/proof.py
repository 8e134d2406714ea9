"""Whether what a node tells is current: nothing of it counts before that is shown, and again and again after."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import NodeNotProven, NodeUndecided
from drift_publisher.lag import CLOCK_SYSVAR, ChainClock, ClockReading, LagLimits, clock_of
from drift_publisher.rpc import RpcClient
from drift_publisher.source import AccountUpdate, SourceStatus

__all__ = ["LOOK_EVERY_S", "Answer", "NodeJudge", "SlotWatch"]

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 10.0
"""How often a node that is in use is looked at again."""

_BEHIND_SLOTS: Final = 64
"""So far behind the newest slot an answer may be; a node that is further behind would take 26 s to catch up."""

_FINALIZED_BEHIND_SLOTS: Final = 150
"""The same where only what is finalized is read: that comes 32 slots late, and later when the cluster is slow."""

_NEAR: Final = 0.8

_GOES_ON_S: Final = 3.0
_YOUNG_S: Final = 2.0


class Answer(NamedTuple):
    """Accounts as a node whose clock is right told them, and the newest slot among them."""

    updates: list[AccountUpdate]
    slot: int


@dataclass(slots=True)
class SlotWatch:
    """The slots of one node, apart from all others: what it has to tell of itself before it is proven.

    Attributes:
        newest: Highest slot.
        last: The one that came last.
    """

    newest: int = 0
    last: int = 0

    def note(self, slot: int) -> bool:
        """Takes a slot in; says whether it is a new one."""
        self.last = slot
        is_new = slot > self.newest
        self.newest = max(slot, self.newest)
        return is_new

    def silence(self, silence_s: float) -> str:
        """Why it counts as silent."""
        if self.last < self.newest:
            return f"slots come, but lower than slot {self.newest}: {self.last}"
        return f"no new slot for {silence_s:g} s"


class _StartedOver(NamedTuple):
    """A node whose slots are lower than the newest: when that was seen first, and what all endpoints told then."""

    at: float
    slot: int
    others: dict[Endpoint, int]


class NodeJudge:
    """Asks whether a node keeps up: by its slot against the other endpoints', by the chain's clock against ours.

    A node that nothing can be told about is not proven. Neither is one whose slots are lower than those known, unless
    the chain itself started over: every endpoint that answers and goes on is lower, and the chain's clock went on.

    Args:
        rpc: Asks.
        pool: The endpoints.
        limits: How far a node may be behind.
        status: The newest proven slot; told when a history of slots begins.
        clock: Monotonic seconds.
        chain_clock: Compares the chain's clock with ours.
    """

    def __init__(
        self,
        rpc: RpcClient,
        pool: EndpointPool,
        limits: LagLimits,
        status: SourceStatus,
        *,
        clock: Callable[[], float] = time.monotonic,
        chain_clock: ChainClock | None = None,
    ) -> None:
        self._rpc = rpc
        self._behind_slots = _FINALIZED_BEHIND_SLOTS if rpc.commitment == "finalized" else _BEHIND_SLOTS
        self._pool = pool
        self._limits = limits
        self._status = status
        self._clock = clock
        self._chain_clock = chain_clock or ChainClock(limits.seconds)
        self._refused: set[Endpoint] = set()
        self._read: dict[Endpoint, tuple[float, ClockReading]] = {}
        self._answered_slot: dict[Endpoint, int] = {}
        self._proven_at: dict[Endpoint, float] = {}
        self._known: ClockReading | None = None
        self._started_over: dict[Endpoint, _StartedOver] = {}
        self._stands_at: dict[Endpoint, int] = {}
        """Where the other endpoints stood when slots started over: some stay there, at the end of the old history."""

    def proven_for_s(self, endpoint: Endpoint) -> float:
        """Seconds since the endpoint was last proven; endless before."""
        return self._clock() - self._proven_at.get(endpoint, float("-inf"))

    async def read(self, addresses: Sequence[str]) -> Answer:
        """Reads accounts, and in the same request the chain's clock, which says how old the answer is.

        Raises:
            NodeNotProven: it is too old, or nobody can tell.
            RpcRefused, RpcUnavailable: as :meth:`~drift_publisher.rpc.RpcClient.call` does.
        """
        endpoint = self._pool.current
        clock, *updates = await self._rpc.accounts([CLOCK_SYSVAR, *addresses])
        for update in updates:
            self._status.hear_account(update)
        if endpoint is not self._pool.current:
            raise NodeUndecided(f"{endpoint.name} was left while it answered")
        self._take_clock(endpoint, clock)
        return Answer(updates, max((update.slot for update in updates), default=clock.slot))

    def current(self, updates: Iterable[AccountUpdate]) -> list[AccountUpdate]:
        """Those that are as new as a proven node's may be: one endpoint can be many machines, and some lag."""
        oldest = self._status.slot - self._behind_slots
        return [update for update in updates if update.slot >= oldest]

    async def check(self, endpoint: Endpoint, told: SlotWatch, *, at_most_every_s: float = 0.0) -> None:
        """Proves a node by what it told, or raises; a first proven node begins the first history of slots.

        Args:
            endpoint: The one to judge.
            told: Its slots.
            at_most_every_s: A proof this young will do, where its slots are not lower than those known.

        Raises:
            NodeUndecided: its slots are lower than those known, and it is not clear yet whether the chain started over.
            NodeNotProven: it lags, or nobody can tell.
            RpcRefused, RpcUnavailable: the chain's clock cannot be read.
        """
        known = self._status.slot
        if self._status.histories and known - told.newest > self._behind_slots:
            reading = await self._started_over_at(endpoint, told)
        else:
            self._started_over.pop(endpoint, None)
            was_refused = endpoint in self._refused
            if not was_refused and self.proven_for_s(endpoint) < at_most_every_s:
                return
            reading = await self._reading(endpoint)
            others = (await self._slots_of_others(endpoint)).items()
            best = max((*(slot for other, slot in others if slot != self._stands_at.get(other)), reading.slot))
            if best - told.newest > self._limits.slots * (_NEAR if was_refused else 1):
                raise self._refusal(endpoint, f"the node of {endpoint.name} is {best - told.newest} slots behind")
        if not self._status.histories:
            self._status.begin_history(told.newest)
        self._proven_at[endpoint] = self._clock()
        self._refused.discard(endpoint)
        if self._known is None or reading.slot > self._known.slot:
            self._known = reading

    def is_back(self, slot: int | None) -> bool:
        """An endpoint that tells this slot over HTTP is worth another try: it is well inside the limit."""
        return slot is not None and self._status.slot - slot <= self._limits.slots * _NEAR

    def answers_late(self, endpoint: Endpoint, told: SlotWatch) -> bool:
        """What answers its HTTP requests is far behind its socket, and so cannot tell anything about that."""
        answered = self._answered_slot.get(endpoint)
        return answered is not None and told.newest - answered > self._limits.slots

    @property
    def epoch_began_s(self) -> int:
        """When the chain's epoch began, as the last proven node told; 0 before."""
        return 0 if self._known is None else self._known.epoch_began_s

    async def _started_over_at(self, endpoint: Endpoint, told: SlotWatch) -> ClockReading:
        """Begins a new history of slots where the chain started over; raises where it did not, or where that is open.

        A node that lags on the old history tells an older clock at a lower slot. Only where slots started over can
        the clock be later and the slot lower than both were known to be.
        """
        known, now = self._status.slot, self._clock()
        others = await self._slots_of_others(endpoint)
        first = self._started_over.setdefault(endpoint, _StartedOver(now, told.newest, others))
        reading = await self._reading(endpoint, youngest=True)
        for other, slot in others.items():
            if known - slot <= self._behind_slots and slot > first.others.get(other, slot):
                lower = f"slots come, but lower than slot {known}: {told.newest}"
                raise self._refusal(endpoint, f"{lower} at {endpoint.name}, while {other.name} is at slot {slot}")
            first.others.setdefault(other, slot)
        why = f"slots come, but lower than slot {known}: {told.newest}"
        goes_on = told.newest > first.slot and now - first.at >= _GOES_ON_S
        time_went_on = self._known is None or (reading.unix_s > self._known.unix_s and reading.slot < self._known.slot)
        if not (goes_on and time_went_on):
            raise NodeUndecided(why)
        self._started_over.clear()
        self._known = reading
        self._stands_at = others
        _log.warning(
            "%s: slots start over at %d, after slot %d, and every endpoint that goes on agrees: a new history begins",
            endpoint.name,
            told.newest,
            known,
        )
        self._status.begin_history(told.newest)
        return reading

    async def _reading(self, endpoint: Endpoint, *, youngest: bool = False) -> ClockReading:
        """The chain's clock there, read within the last moments."""
        at, reading = self._read.get(endpoint, (float("-inf"), None))
        if reading is None or youngest or self._clock() - at > _YOUNG_S:
            await self.read([])
            at, reading = self._read.get(endpoint, (0.0, None))
        if reading is None:
            raise NodeUndecided(f"{endpoint.name} was left while it was judged")
        return reading

    def _take_clock(self, endpoint: Endpoint, account: AccountUpdate) -> None:
        reading = clock_of(account)
        self._read.pop(endpoint, None)
        self._answered_slot[endpoint] = account.slot
        self._status.has_heard_slots = True
        if reading is None:
            raise self._refusal(endpoint, f"{endpoint.name} does not tell the chain's clock, so nobody knows its age")
        if complaint := self._chain_clock.complaint(reading, was_refused=endpoint in self._refused):
            raise self._refusal(endpoint, f"the chain's clock at {endpoint.name} is {complaint}")
        self._read[endpoint] = (self._clock(), reading)

    def _refusal(self, endpoint: Endpoint, why: str) -> NodeNotProven:
        self._refused.add(endpoint)
        return NodeNotProven(why)

    async def _slots_of_others(self, endpoint: Endpoint) -> dict[Endpoint, int]:
        others = [one for one in self._pool.endpoints if one is not endpoint]
        slots = await asyncio.gather(*(self._rpc.slot(one) for one in others))
        return {one: slot for one, slot in zip(others, slots, strict=True) if slot is not None}
