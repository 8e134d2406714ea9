"""The polling source: reads all accounts again and again, where WebSockets are refused or not wanted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import NodeNotProven, NodeUndecided, RpcUnavailable
from drift_publisher.proof import LOOK_EVERY_S, NodeJudge, SlotWatch
from drift_publisher.rpc import RpcRefused
from drift_publisher.source import AccountUpdate, Deliver, SourceStatus

__all__ = ["Poller"]

_log = logging.getLogger(__name__)
_DISCOVER_EVERY_S: Final = 60.0


class Poller:
    """Reads all known accounts with ``getMultipleAccounts``, as often as asked and as the budget allows.

    Each read brings the chain's clock along, and nothing of it is delivered before the node that answers is proven.

    Args:
        pool: The endpoints.
        judge: Reads, and proves the node that answers.
        status: Whose slot and state it keeps while it polls.
        known_addresses: The accounts to read.
        discover: Reads the markets anew, so that new ones are found.
        every_s: Pause between two reads.
        wanted: Whether to poll now.
    """

    def __init__(
        self,
        pool: EndpointPool,
        judge: NodeJudge,
        status: SourceStatus,
        known_addresses: Callable[[], Sequence[str]],
        discover: Callable[[], Awaitable[list[AccountUpdate]]],
        *,
        every_s: float,
        wanted: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._judge = judge
        self._status = status
        self._known_addresses = known_addresses
        self._discover = discover
        self._every_s = every_s
        self._wanted = wanted
        self._discover_at = time.monotonic() + _DISCOVER_EVERY_S
        self._is_in_trouble = False
        self._told: tuple[Endpoint, SlotWatch] | None = None

    async def run(self, deliver: Deliver) -> None:
        """Polls whenever it is wanted, until cancelled."""
        while True:
            if not self._wanted():
                self._told = None
            else:
                endpoint = self._pool.current
                try:
                    await self._poll(endpoint, deliver)
                except (RpcUnavailable, RpcRefused) as error:
                    if self._wanted():
                        self._failed(endpoint, error)
            await asyncio.sleep(self._every_s)

    async def _poll(self, endpoint: Endpoint, deliver: Deliver) -> None:
        discovered: list[AccountUpdate] = []
        if time.monotonic() >= self._discover_at:
            self._discover_at = time.monotonic() + _DISCOVER_EVERY_S
            discovered = await self._discover()
        answer = await self._judge.read(self._known_addresses())
        self._status.hear_slot(answer.slot)
        if self._status.is_from_the_future(answer.slot):
            raise NodeUndecided(f"slot {answer.slot} after slot {self._status.slot}: no chain is that fast")
        told = self._slots_of(endpoint)
        is_new = told.note(answer.slot)
        await self._judge.check(endpoint, told, at_most_every_s=LOOK_EVERY_S)
        if not self._wanted():
            return
        # delivered before anything else can happen: a socket may be opening, and its read is newer
        for update in self._judge.current([*discovered, *answer.updates]):
            deliver(update)
        if is_new:
            self._goes_on(endpoint, answer.slot)
        elif self._status.silent_for_s() > self._status.silence_s:
            why = told.silence(self._status.silence_s)
            self._told = None
            self._pool.failed(endpoint, why)
            self._trouble(why)

    def _slots_of(self, endpoint: Endpoint) -> SlotWatch:
        if self._told is None or self._told[0] is not endpoint:
            self._told = (endpoint, SlotWatch())
        return self._told[1]

    def _goes_on(self, endpoint: Endpoint, slot: int) -> None:
        if not self._status.note_slot(slot):
            self._status.note_alive()
        if self._status.state != "polling":
            _log.warning("%s: polling every %g s (%s)", endpoint.name, self._every_s, self._status.reason or "as set")
        if self._is_in_trouble:
            self._is_in_trouble, self._status.reason = False, ""
        self._status.state = "polling"

    def _failed(self, endpoint: Endpoint, error: RpcUnavailable | RpcRefused) -> None:
        if isinstance(error, NodeNotProven) and not isinstance(error, NodeUndecided):
            self._pool.failed(endpoint, str(error), at_once=True)
            self._told = None
        self._trouble(str(error))

    def _trouble(self, why: str) -> None:
        self._is_in_trouble = True
        self._status.lost(why)
