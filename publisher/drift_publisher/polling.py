"""The polling source: reads all accounts again and again, where WebSockets are refused or not wanted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from drift_publisher.errors import RpcUnavailable
from drift_publisher.rpc import RpcClient, RpcRefused
from drift_publisher.source import Deliver, SourceStatus

__all__ = ["Poller"]

_log = logging.getLogger(__name__)
_DISCOVER_EVERY_S: Final = 60.0
_JUDGE_EVERY_S: Final = 60.0


class Poller:
    """Reads all known accounts with ``getMultipleAccounts``, as often as asked and as the budget allows.

    Args:
        rpc: The endpoints' HTTP side, with its budget.
        status: Whose slot and state it keeps while it polls.
        known_addresses: The accounts to read.
        discover: Reads the markets anew and delivers them, so that new ones are found.
        every_s: Pause between two reads.
        wanted: Whether to poll now.
        lag: Says how the node that answers lags; an empty string where it does not.
    """

    def __init__(
        self,
        rpc: RpcClient,
        status: SourceStatus,
        known_addresses: Callable[[], Sequence[str]],
        discover: Callable[[Deliver], Awaitable[None]],
        *,
        every_s: float,
        wanted: Callable[[], bool],
        lag: Callable[[], Awaitable[str]],
    ) -> None:
        self._rpc = rpc
        self._status = status
        self._known_addresses = known_addresses
        self._discover = discover
        self._every_s = every_s
        self._wanted = wanted
        self._lag = lag
        self._discover_at = time.monotonic() + _DISCOVER_EVERY_S
        self._judge_at = 0.0
        self._is_in_trouble = False

    async def run(self, deliver: Deliver) -> None:
        """Polls whenever it is wanted, until cancelled."""
        while True:
            if self._wanted():
                try:
                    await self._poll(deliver)
                except (RpcUnavailable, RpcRefused) as error:
                    if self._wanted():
                        self._trouble(str(error))
            await asyncio.sleep(self._every_s)

    async def _poll(self, deliver: Deliver) -> None:
        if time.monotonic() >= self._discover_at:
            self._discover_at = time.monotonic() + _DISCOVER_EVERY_S
            await self._discover(deliver)
        lag = await self._lag_now_and_then()
        if not self._wanted():
            return
        if lag:
            self._rpc.blame(lag, at_once=True)
            self._trouble(lag)
            return
        updates = await self._rpc.accounts(self._known_addresses())
        if not self._wanted():
            return
        # delivered before anything else can happen: a socket may be opening, and its read is newer
        slot = max((update.slot for update in updates), default=0)
        for update in updates:
            deliver(update)
        if not self._status.is_from_the_future(slot) and self._status.note_slot(slot):
            if self._status.state != "polling":
                _log.warning(
                    "%s: polling every %g s (%s)", self._rpc.name, self._every_s, self._status.reason or "as set"
                )
            if self._is_in_trouble:
                self._is_in_trouble, self._status.reason = False, ""
            self._status.state = "polling"
        elif self._status.silent_for_s() > self._status.silence_s:
            why = f"no new slot for {self._status.silence_s:g} s"
            self._rpc.blame(why)
            self._trouble(why)

    async def _lag_now_and_then(self) -> str:
        if time.monotonic() < self._judge_at:
            return ""
        lag = await self._lag()
        self._judge_at = time.monotonic() + (0.0 if lag else _JUDGE_EVERY_S)
        return lag

    def _trouble(self, why: str) -> None:
        self._is_in_trouble = True
        self._status.lost(why)
