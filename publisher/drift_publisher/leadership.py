"""Leadership: of any number of publishers one leads; the others stand by, and one takes over when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_publisher.bus import Bus
from drift_publisher.epoch import Term, claim_epoch, rewrite_epoch
from drift_publisher.errors import NatsUnavailable
from drift_publisher.lease import Lease, LeaseLost
from drift_publisher.source import SourceStatus
from drift_schemas import MessageError, StatusEvent, Topology, decode_status
from drift_schemas.access import apart

__all__ = ["Leadership", "Reign"]

_log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.25
_HEARD_LATELY_S: Final = 2.5
_EPOCH_EVERY_S: Final = 600.0
_ALIVE: Final = frozenset({"live", "polling"})

Reign = Callable[[Term], Awaitable[None]]
"""What a leader does, until it is cancelled."""


class Leadership:
    """One publisher's part in the question who leads.

    A leader holds the lease and has moved the epoch, which fences the stream: whatever a former leader still sends is
    refused by the server. It yields when its own chain is silent while a standby's is not.

    Args:
        nats: A connection that may write to the stream.
        topology: Names of stream and subjects.
        publisher_id: Who we are.
        publishes: What we publish: program and cluster.
        source: How our chain does.
        bus: Carries the fence of our term, and drops what is left when it ends.
        yield_after_s: Silence of our chain after which a standby that hears its own may lead.
        lease_ttl_s: How long a lease outlives its holder.

    Attributes:
        term: Our term while we lead, else ``None``.
        since_ns: When it began, Unix nanoseconds.
        epoch: Number of our last term; 0 before the first.
    """

    def __init__(
        self,
        nats: Client,
        topology: Topology,
        publisher_id: str,
        source: SourceStatus,
        bus: Bus,
        *,
        publishes: str,
        yield_after_s: float = 2.0,
        lease_ttl_s: int = 2,
    ) -> None:
        self.term: Term | None = None
        self.since_ns: int | None = None
        self.epoch = 0
        self._nats = nats
        self._topology = topology
        self._publisher_id = publisher_id
        self._source = source
        self._bus = bus
        self._yield_after_s = yield_after_s
        self._lease = Lease(nats, topology, publisher_id, publishes=publishes, ttl_s=lease_ttl_s)
        self._fenced = asyncio.Event()
        self._standbys: dict[str, tuple[float, StatusEvent]] = {}

    @property
    def is_leading(self) -> bool:
        """We may publish, as far as our own clock knows."""
        return self.term is not None and self._lease.is_held

    @property
    def why_not_leading(self) -> str:
        """Who leads in our place, or why nobody does."""
        return self._lease.why_not_held

    async def run(self, reign: Reign) -> None:
        """Stands by, leads, and stands by again, until cancelled; gives the lead up at the end.

        Raises:
            PrefixTaken: the prefix is led by a publisher of another program or cluster.
        """
        listening = await self._nats.subscribe(self._topology.subjects.standbys, cb=self._on_standby)
        try:
            while True:
                await self._lease.acquire(self._hears_the_chain)
                try:
                    await apart(self._lead(reign), name="lead")
                except* (LeaseLost, NatsUnavailable) as lost:
                    _log.warning("no longer leading: %s", _first(lost))
                finally:
                    self.term = None
                    self._bus.abandon()
                    await self._lease.resign()
        finally:
            if not self._nats.is_closed:
                await listening.unsubscribe()

    def _hears_the_chain(self) -> bool:
        return self._source.is_alive and self._source.silent_for_s() <= self._yield_after_s

    async def _lead(self, reign: Reign) -> None:
        async with asyncio.TaskGroup() as tasks:
            # From the first moment on: on a busy machine the claim alone can take longer than the lease lasts.
            tasks.create_task(self._lease.keep(), name="lease")
            term = await claim_epoch(self._nats, self._topology, above=self.epoch)
            self.term, self.epoch, self.since_ns = term, term.epoch, time.time_ns()
            self._fenced.clear()
            self._arm(term)
            _log.info("leading, epoch %d", term.epoch)
            tasks.create_task(self._yield_to_better(), name="lead-yield")
            tasks.create_task(self._keep_epoch(term), name="epoch")
            tasks.create_task(_run(reign, term), name="reign")

    async def _yield_to_better(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            silent_s = self._source.silent_for_s()
            if silent_s > self._yield_after_s and (better := self._better_standby()):
                raise LeaseLost(f"no slot here for {silent_s:.1f} s, while {better} hears the chain")

    def _better_standby(self) -> str | None:
        since = time.monotonic() - _HEARD_LATELY_S
        for publisher_id, (heard_at, status) in self._standbys.items():
            if heard_at > since and status.source_state in _ALIVE and status.slot > self._source.slot:
                return publisher_id
        return None

    def _arm(self, term: Term) -> None:
        self._bus.lead(term.fences, lambda: self._lease.is_held, self._fenced.set)

    async def _keep_epoch(self, term: Term) -> None:
        """Writes the epoch once more now and then, and when the stream refuses a message because of it.

        The stream drops its oldest messages when it is full; the fence must never be among them. And a publisher that
        was frozen in the middle of its own claim moves the epoch though we hold the lease: then this write is refused
        too, and a new term begins.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EPOCH_EVERY_S):
                    await self._fenced.wait()
            with self._bus.held():
                self._fenced.clear()
                self.term = term = await rewrite_epoch(self._nats, self._topology, term)
                self._arm(term)

    async def _on_standby(self, message: Msg) -> None:
        try:
            status = decode_status(message.data, message.headers)
        except MessageError:
            return
        now = time.monotonic()
        self._standbys = {one: heard for one, heard in self._standbys.items() if heard[0] > now - _HEARD_LATELY_S}
        self._standbys[status.publisher_id] = (now, status)


def _first(errors: BaseException) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors


async def _run(reign: Reign, term: Term) -> None:
    await reign(term)
