"""The publisher: puts the rooms together, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.chain_setup import open_chain
from drift_publisher.epoch import Term
from drift_publisher.health import Health
from drift_publisher.heartbeat import Heartbeat
from drift_publisher.last_values import last_contents
from drift_publisher.leadership import Leadership
from drift_publisher.nats_connection import connect_nats
from drift_publisher.projector import Projector
from drift_publisher.settings import PublisherSettings
from drift_publisher.store import Touched
from drift_publisher.stream_setup import ensure_topology
from drift_publisher.topology_watch import TopologyWatch
from drift_publisher.vitals import serving_vitals
from drift_schemas import Kind
from drift_schemas.access import end

__all__ = ["Publisher"]

_log = logging.getLogger(__name__)
_REASSERT_LOOK_S: Final = 0.2
_LAST_ACKS_S: Final = 5.0
_COLD: Final = "a cold standby opens no socket before it leads"


class Publisher:
    """One process that owns the ``DriftClient`` and publishes what it sees.

    Attributes:
        publisher_id: Names this process in ``drift.status``.
        chain: The ``DriftClient`` (``chain.client``), its store and its source, once :meth:`run` has begun.
        bus: The way onto NATS, once :meth:`run` has begun.
        leadership: Whether this one leads, once :meth:`run` has begun.
        health: Whether it does its work.
    """

    def __init__(self, settings: PublisherSettings) -> None:
        self.publisher_id = secrets.token_hex(4)
        self.chain: Chain | None = None
        self.bus: Bus | None = None
        self.leadership: Leadership | None = None
        self.health = Health(most_stale_markets=settings.ready_stale_markets)
        self._settings = settings
        self._topology = settings.topology()
        self._projector: Projector | None = None
        self._reconnected = asyncio.Event()
        self._source: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event, *, on_ready: Callable[[], None] | None = None) -> None:
        """Publishes until ``stop`` is set, then awaits the last acknowledgements and closes.

        Args:
            stop: Set it to end the run.
            on_ready: Called when the publisher has read every market; it publishes as soon as it leads.

        Raises:
            PublisherError: it cannot start; the text says why and what to do.
        """
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            if settings.metrics_port is not None:
                await stack.enter_async_context(
                    serving_vitals(self.health, host=settings.metrics_host, port=settings.metrics_port)
                )
            nats = await stack.enter_async_context(
                connect_nats(
                    settings.nats_servers(),
                    name=f"drift-bus-publisher {self.publisher_id}",
                    timeout_s=settings.start_timeout_s,
                    reconnected=self._reconnected,
                    access=settings.nats_access(),
                )
            )
            self.health.nats = nats
            await ensure_topology(nats, self._topology, patience_s=settings.start_timeout_s)
            self.chain = self.health.chain = chain = await stack.enter_async_context(
                open_chain(settings, self._on_update)
            )
            cluster = await chain.cluster(settings.cluster)
            self.bus = self.health.bus = bus = Bus(nats)
            self.leadership = leadership = Leadership(
                nats,
                self._topology,
                self.publisher_id,
                chain.status,
                bus,
                publishes=f"{chain.profile.name} of {cluster}",
                yield_after_s=settings.yield_after_s,
                lease_ttl_s=settings.lease_ttl_s,
            )
            self.health.is_leading, self.health.epoch = lambda: leadership.is_leading, lambda: leadership.epoch
            self.health.why_not_leading = lambda: leadership.why_not_leading
            await chain.client.account_subscriber.subscribe()
            self.health.note_initialized()
            markets = len(chain.store.market_names())
            _log.info("following %d markets of %s (%s)", markets, cluster, chain.pool.current.name)
            if on_ready is not None:
                on_ready()
            is_cold = settings.standby == "cold"
            self.health.watch = watch = TopologyWatch(
                nats,
                self._topology,
                reconnected=self._reconnected,
                confirmed_at=self._confirmed_at,
                refill=self._refill,
            )
            heartbeat = Heartbeat(nats, self._topology, self.publisher_id, leadership, cluster, chain, bus, watch)

            async def reign(term: Term) -> None:
                stored = await last_contents(nats, self._topology, term, program=chain.profile.name, cluster=cluster)
                self._projector = Projector(
                    chain.store,
                    bus,
                    self._topology,
                    cluster=cluster,
                    epoch=term.epoch,
                    stored=stored,
                    chain_slot=lambda: chain.status.slot,
                    is_confirmed=chain.heard.is_confirmed,
                    history=lambda: chain.history,
                )
                try:
                    if is_cold:
                        await self._follow_while(chain, _reassert(chain, self._projector))
                    else:
                        await _reassert(chain, self._projector)
                finally:
                    self._projector = None

            async with asyncio.TaskGroup() as outgoing:
                tasks = [
                    outgoing.create_task(nats.ended(), name="nats"),
                    outgoing.create_task(bus.run(), name="bus"),
                    outgoing.create_task(heartbeat.run(), name="heartbeat"),
                    outgoing.create_task(watch.run(), name="topology"),
                    outgoing.create_task(leadership.run(reign), name="leadership"),
                ]
                if is_cold:
                    chain.status.lost(_COLD)
                else:
                    self._source = outgoing.create_task(chain.run(), name="source")
                    tasks.append(self._source)
                try:
                    await stop.wait()
                    if self._source is not None:
                        self._source.cancel()
                    await self._finish(bus)
                finally:
                    await end(*tasks)  # a task group cancels each once, and some of what one waits in loses that
        _log.info("stopped")

    async def _follow_while(self, chain: Chain, leading: Coroutine[Any, Any, None]) -> None:
        """Has the socket open only for as long as this publisher leads."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._source = tasks.create_task(chain.run(), name="source")
                tasks.create_task(leading, name="reassertion")
        finally:
            self._source = None
            chain.status.lost(_COLD)

    async def _finish(self, bus: Bus) -> None:
        """Awaits the last acknowledgements, the journal's too."""
        await bus.drained(_LAST_ACKS_S)
        if self._projector is not None:
            self._projector.write_journal()
        if not await bus.drained(_LAST_ACKS_S):
            _log.warning("stopped while %d subjects had events not acknowledged", bus.outstanding)

    def _confirmed_at(self, kind: Kind) -> Mapping[str, float]:
        """When the stream acknowledged what this publisher says now; nothing while it does not lead."""
        if self.bus is None or self._projector is None or self.leadership is None or not self.leadership.is_leading:
            return {}
        return self.bus.deliveries.stored_at(kind)

    def _refill(self, kind: Kind, tokens: frozenset[str]) -> None:
        if self._projector is not None:
            self._projector.confirm(kind, tokens)

    def _on_update(self, touched: Touched) -> None:
        if self._projector is not None:
            self._projector.publish(touched)


async def _reassert(chain: Chain, projector: Projector) -> None:
    """Confirms what has not changed, while the chain is proven alive."""
    was_alive = False
    while True:
        if chain.status.is_alive:
            if not was_alive:
                projector.publish_all()
            projector.reassert_due()
        projector.write_journal()
        was_alive = chain.status.is_alive
        await asyncio.sleep(_REASSERT_LOOK_S)
