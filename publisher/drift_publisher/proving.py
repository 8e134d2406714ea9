"""One node on probation: what it tells is held until it is proven, and it is looked at again while it is used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import NodeNotProven, NodeUndecided, RpcUnavailable
from drift_publisher.gate import Gate
from drift_publisher.proof import LOOK_EVERY_S, NodeJudge, SlotWatch
from drift_publisher.rpc import RpcRefused
from drift_publisher.source import AccountUpdate, Deliver, SourceStatus

__all__ = ["Probation"]

_SLOTS_AT_THEIR_PACE: Final = LOOK_EVERY_S
_PROOF_LASTS_S: Final = 45.0
_PATIENCE_S: Final = 10.0
_UNDECIDED_S: Final = 20.0
_UNDECIDED_LOOK_S: Final = 1.0


class Probation:
    """Stands between one socket's node and whoever takes what it tells.

    Args:
        endpoint: The node's.
        judge: Says whether it is proven.
        pool: Told at once where it lags.
        status: The slot of proven nodes.
        deliver: Takes accounts once the node is proven.

    Attributes:
        told: The node's own slots.
        first_slot: Set once it has told one.
    """

    def __init__(
        self, endpoint: Endpoint, judge: NodeJudge, pool: EndpointPool, status: SourceStatus, deliver: Deliver
    ) -> None:
        self.told = SlotWatch()
        self.first_slot = asyncio.Event()
        self._endpoint = endpoint
        self._judge = judge
        self._pool = pool
        self._status = status
        self._gate = Gate(deliver)

    def tell_account(self, update: AccountUpdate) -> None:
        """Takes what the node told of an account."""
        self._status.hear_account(update)
        self._gate.tell(update)

    def tell_slot(self, slot: int) -> bool:
        """Takes a slot that the node told; says whether it is a new one of this node."""
        self._status.hear_slot(slot)
        is_new = self.told.note(slot)
        if is_new:
            self.first_slot.set()
            if self._gate.is_open:
                self._note_slot()
        return is_new

    async def pass_with(self, addresses: Sequence[str]) -> None:
        """Returns once the node is proven, and delivers what it told until then and these accounts, read now.

        Raises:
            NodeNotProven: it lags, or nobody can tell.
            RpcRefused, RpcUnavailable: the accounts cannot be read.
        """
        await self.first_slot.wait()
        try:
            await self._decided()
            answer = await self._judge.read(addresses)
        except NodeNotProven as error:
            self._pool.failed(self._endpoint, str(error), at_once=True)
            raise
        self._gate.open(self._judge.current(answer.updates))
        self._note_slot()

    async def watch(self) -> None:
        """Looks again and again whether the node still keeps up: it may fall behind while its slots go on.

        Where nobody answers, it is believed for a while as long as its slots come at their pace.

        Raises:
            NodeNotProven: it lags, or nobody could tell for too long.
        """
        while True:
            before = self.told.newest
            await asyncio.sleep(LOOK_EVERY_S)
            if not self._gate.is_open:
                continue  # it is being proven
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._judge.check(self._endpoint, self.told)
            except TimeoutError:
                self._go_on_without_proof(before, f"no answer for {_PATIENCE_S:g} s")
            except NodeNotProven as error:
                if not (isinstance(error, NodeUndecided) or self._judge.answers_late(self._endpoint, self.told)):
                    self._pool.failed(self._endpoint, str(error), at_once=True)
                    raise
                self._go_on_without_proof(before, str(error))
            except (RpcUnavailable, RpcRefused) as error:
                self._go_on_without_proof(before, str(error))

    def _go_on_without_proof(self, slot_before: int, why: str) -> None:
        is_slow = self.told.newest - slot_before < _SLOTS_AT_THEIR_PACE
        if is_slow or self._judge.proven_for_s(self._endpoint) > _PROOF_LASTS_S:
            raise NodeNotProven(f"nobody can tell whether {self._endpoint.name} keeps up: {why}")

    async def _decided(self) -> None:
        until = time.monotonic() + _UNDECIDED_S
        while True:
            try:
                return await self._judge.check(self._endpoint, self.told)
            except NodeUndecided as undecided:
                if time.monotonic() > until:
                    raise
                self._status.explain(str(undecided))
            await asyncio.sleep(_UNDECIDED_LOOK_S)

    def _note_slot(self) -> None:
        if not self._status.note_slot(self.told.newest):
            self._status.note_alive()
