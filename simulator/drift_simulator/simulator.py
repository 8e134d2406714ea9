"""The simulation as a whole: a cluster that lives by the clock, and a node that serves it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

import orjson
from solders.pubkey import Pubkey

from .cluster import Cluster
from .config import SimulatorConfig
from .counters import Counters
from .faults import FaultBook
from .funding import FundingSettlement
from .node import Node
from .pubsub import PubSub
from .rpc import Rpc
from .server import Server

__all__ = ["Simulator", "serve"]

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.01
_MAX_BACKLOG_S: Final = 0.25


class Simulator:
    """A local Solana node with a living cluster of Drift v2 or Velocity v1.

    Use it as an async context manager; inside, :attr:`http_url` and :attr:`ws_url` are reachable.

    Args:
        config: Settings; None: the defaults.
    """

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config or SimulatorConfig()
        self.cluster = Cluster(self.config)
        self.counters = Counters()
        self.faults = FaultBook()
        self._node = Node(self.cluster, self.faults, self.counters)
        self._pubsub = PubSub(self._node)
        self._server = Server(self._node, Rpc(self._node), self._pubsub, queue_limit=self.config.queue_limit)
        self._walks = True
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Listen and start to live.

        Raises:
            PortInUse: The port or the one above is taken.
        """
        await self._server.start(self.config.host, self.config.port)
        self._spawn(self._tick_slots(), "simulator-slots")
        if self.config.updates_per_second > 0:
            self._spawn(self._walk(), "simulator-walk")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop living, then stop listening.

        Raises:
            Exception: What a task of the simulation died of, if one did.
        """
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._server.stop()
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def port(self) -> int:
        """The HTTP port; the next one serves WebSockets as well."""
        return self._server.port

    @property
    def http_url(self) -> str:
        """Where JSON-RPC is answered."""
        return f"http://{self.config.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where WebSockets are accepted (the port above accepts them too)."""
        return f"ws://{self.config.host}:{self.port}"

    @property
    def slot(self) -> int:
        """The slot as clients see it."""
        return self._node.slot

    def step(self, count: int = 1) -> int:
        """Let the next ``count`` oracles move, also while the walk is paused; return the account writes."""
        return sum(self.cluster.step() for _ in range(count))

    def pause_walk(self) -> None:
        """Freeze all accounts, funding too. Slots go on."""
        self._walks = False

    def resume_walk(self) -> None:
        """Let accounts live again."""
        self._walks = True

    def account(self, pubkey: Pubkey | str) -> bytes | None:
        """Return an account's true bytes, whatever fault is in force; None when there is none."""
        account = self.cluster.ledger.get(str(pubkey))
        return None if account is None else bytes(account.data)

    def set_account(self, pubkey: Pubkey | str, data: bytes, owner: Pubkey | str | None = None) -> None:
        """Replace an account's bytes for good and notify; the walk no longer writes to it.

        Args:
            pubkey: The account, which need not exist.
            data: Its new bytes.
            owner: Its new owner; None: as before.
        """
        owned_by = None if owner is None else Pubkey.from_string(str(owner))
        self.cluster.ledger.pin(Pubkey.from_string(str(pubkey)), bytes(data), owned_by, self.cluster.slot)

    def restore_account(self, pubkey: Pubkey | str) -> None:
        """Undo :meth:`set_account`: the cluster's own bytes are back, and move again."""
        self.cluster.ledger.unpin(Pubkey.from_string(str(pubkey)), self.cluster.slot)

    def set_oracle_price(self, name: str, price: int) -> None:
        """Set a market's oracle to a price (1e-6 as the market reads it) and let its markets follow.

        Raises:
            UnknownMarket: There is no such market.
        """
        self.cluster.set_oracle_price(name, price)

    def settle_funding(self, name: str) -> FundingSettlement | None:
        """Settle a perp market's funding now. None when the program would refuse.

        Raises:
            UnknownMarket: There is no such perp market.
        """
        return self.cluster.settle_funding(name)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait until ``stop`` is set, or a task of the simulation dies; leaving the context then raises its error."""
        waiter = asyncio.create_task(stop.wait(), name="simulator-stop")
        try:
            await asyncio.wait({waiter, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def _tick_slots(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self.config.slot_interval_s, loop.time() - self.config.slot_interval_s)
            await asyncio.sleep(due - loop.time())
            self.cluster.advance_slot(keepers=self._walks)
            self._pubsub.publish_slot()

    async def _walk(self) -> None:
        loop = asyncio.get_running_loop()
        rate, budget, last = self.config.updates_per_second, 0.0, loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            now = loop.time()
            # Steps run without a pause, so no more than one tick of them: the sockets need their turn.
            budget = min(budget + (now - last) * rate, max(1.0, _MAX_BACKLOG_S * rate))
            last = now
            while budget >= 1 and self._walks and loop.time() - now < _TICK_S:
                budget -= max(1, self.cluster.step())


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s died", task.get_name(), exc_info=error)


async def serve(config: SimulatorConfig) -> None:
    """Run a simulation until SIGINT or SIGTERM; print one JSON line with its addresses once it serves.

    Raises:
        PortInUse: The port or the one above is taken.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(config) as simulator:
        line = {"http_url": simulator.http_url, "ws_url": simulator.ws_url, "port": simulator.port}
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()
        await simulator.run_until(stop)
