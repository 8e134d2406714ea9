"""Reads accounts again that nobody told of for a while: a notification that was lost is made up for within a TTL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from drift_publisher.endpoints import EndpointPool
from drift_publisher.errors import RpcUnavailable
from drift_publisher.heard import HeardAccounts
from drift_publisher.proof import NodeJudge
from drift_publisher.rpc import RpcRefused
from drift_publisher.source import Deliver, SourceStatus

__all__ = ["Rereader"]

_log = logging.getLogger(__name__)
_LOOK_S: Final = 0.25
_PATIENCE_S: Final = 8.0
_SPARE: Final = 0.25


class Rereader:
    """Keeps every account heard of while the source is alive, with as few requests as it takes.

    Everybody else who asks the endpoint comes first: without budget to spare nothing is read, and what rests on the
    accounts runs out.

    Args:
        pool: The endpoint in use has the budget.
        judge: Reads, and says whether the answer is current.
        status: Whether the source is alive; counts.
        heard: Which accounts are due.
        known_addresses: All accounts that are followed.
    """

    def __init__(
        self,
        pool: EndpointPool,
        judge: NodeJudge,
        status: SourceStatus,
        heard: HeardAccounts,
        known_addresses: Callable[[], Sequence[str]],
    ) -> None:
        self._pool = pool
        self._judge = judge
        self._status = status
        self._heard = heard
        self._known_addresses = known_addresses

    async def run(self, deliver: Deliver) -> None:
        """Reads whatever is due, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._status.is_alive and self._has_budget() and (due := self._heard.to_read(self._known_addresses())):
                await self._read(due, deliver)

    def _has_budget(self) -> bool:
        budget = self._pool.current.budget
        return budget.level >= max(1.0, budget.burst * _SPARE)

    async def _read(self, addresses: Sequence[str], deliver: Deliver) -> None:
        endpoint = self._pool.current
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = await self._judge.read(addresses)
        except (RpcUnavailable, RpcRefused, TimeoutError) as error:
            self._status.rereads_failed += 1
            _log.debug("%s: %d accounts could not be read again: %s", endpoint.name, len(addresses), error)
            return
        self._status.reread += len(answer.updates)
        self._heard.note_answer(addresses)
        if self._status.is_alive:
            for update in self._judge.current(answer.updates):
                deliver(update)
