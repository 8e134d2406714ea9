"""The publisher: puts the rooms together, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Final

from nats.aio.client import Client

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.epoch import claim_epoch
from drift_publisher.errors import PublisherError
from drift_publisher.health import Health
from drift_publisher.heartbeat import Heartbeat
from drift_publisher.lag import LagLimits
from drift_publisher.nats_connection import connect_nats
from drift_publisher.profiles import DRIFT_V2
from drift_publisher.projector import Projector
from drift_publisher.rpc import RpcClient
from drift_publisher.settings import PublisherSettings
from drift_publisher.store import Touched
from drift_publisher.stream_setup import ensure_topology
from drift_publisher.vitals import serving_vitals

__all__ = ["Publisher"]

_log = logging.getLogger(__name__)
_REASSERT_LOOK_S: Final = 0.2
_LAST_ACKS_S: Final = 5.0
_TOPOLOGY_PAUSE_S: Final = 1.0


class Publisher:
    """One process that owns the ``DriftClient`` and publishes what it sees.

    Attributes:
        publisher_id: Names this process in ``drift.status``.
        chain: The ``DriftClient`` (``chain.client``), its store and its source, once :meth:`run` has begun.
        bus: The way onto NATS, once :meth:`run` has begun.
        health: Whether it does its work.
    """

    def __init__(self, settings: PublisherSettings) -> None:
        self.publisher_id = secrets.token_hex(4)
        self.chain: Chain | None = None
        self.bus: Bus | None = None
        self.health = Health(most_stale_markets=settings.ready_stale_markets)
        self._settings = settings
        self._topology = settings.topology()
        self._projector: Projector | None = None
        self._reconnected = asyncio.Event()

    async def run(self, stop: asyncio.Event, *, on_ready: Callable[[], None] | None = None) -> None:
        """Publishes until ``stop`` is set, then awaits the last acknowledgements and closes.

        Args:
            stop: Set it to end the run.
            on_ready: Called when the publisher has read every market and begins to publish.

        Raises:
            PublisherError: it cannot start; the text says why and what to do.
        """
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            if settings.metrics_port is not None:
                await stack.enter_async_context(
                    serving_vitals(self.health, host=settings.metrics_host, port=settings.metrics_port)
                )
            pool = settings.endpoints()
            rpc = await stack.enter_async_context(
                RpcClient(pool, commitment=settings.commitment, give_up_after_s=settings.start_timeout_s)
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
            await ensure_topology(nats, self._topology)
            self.chain = self.health.chain = chain = await stack.enter_async_context(
                Chain(
                    DRIFT_V2,
                    pool,
                    rpc,
                    markets=settings.markets,
                    mode=settings.source,
                    poll_every_s=settings.poll_every_s,
                    silence_s=settings.slot_silence_s,
                    quiet_s=settings.subscription_silence_s,
                    limits=LagLimits(settings.max_lag_slots, settings.max_lag_s),
                    on_update=self._on_update,
                )
            )
            cluster = await chain.cluster(settings.cluster)
            await chain.client.account_subscriber.subscribe()
            self.health.note_initialized()
            epoch = await claim_epoch(nats, self._topology)
            self.bus = self.health.bus = bus = Bus(nats)
            self._projector = projector = Projector(
                chain.store,
                bus,
                self._topology,
                cluster=cluster,
                epoch=epoch,
                chain_slot=lambda: chain.status.slot,
            )
            self.health.epoch = lambda: projector.epoch
            markets = len(chain.store.market_names())
            _log.info("publishing %d markets of %s (%s), epoch %d", markets, cluster, rpc.name, epoch)
            if on_ready is not None:
                on_ready()
            heartbeat = Heartbeat(nats, self._topology, self.publisher_id, self._projector, chain, bus)
            await self._publish_until(stop, nats, heartbeat, chain, bus, self._projector)

    async def _publish_until(
        self, stop: asyncio.Event, nats: Client, heartbeat: Heartbeat, chain: Chain, bus: Bus, projector: Projector
    ) -> None:
        async with asyncio.TaskGroup() as outgoing:
            sending = [
                outgoing.create_task(bus.run(), name="bus"),
                outgoing.create_task(heartbeat.run(), name="heartbeat"),
                outgoing.create_task(self._keep_topology(nats, projector), name="topology"),
            ]
            async with asyncio.TaskGroup() as intake:
                reading = [
                    intake.create_task(chain.run(), name="source"),
                    intake.create_task(_reassert(chain, projector), name="reassert"),
                ]
                await stop.wait()
                _cancel(reading)
            await bus.drained(_LAST_ACKS_S)
            projector.write_journal()
            if not await bus.drained(_LAST_ACKS_S):
                _log.warning("stopped while %d subjects had events not acknowledged", bus.outstanding)
            _cancel(sending)
        _log.info("stopped")

    async def _keep_topology(self, nats: Client, projector: Projector) -> None:
        """After every reconnect, makes sure that stream and buckets are there; a server may come back empty."""
        while True:
            await self._reconnected.wait()
            self._reconnected.clear()
            try:
                if await ensure_topology(nats, self._topology):
                    projector.start_over(await claim_epoch(nats, self._topology, above=projector.epoch))
            except PublisherError as error:
                _log.warning("stream and buckets could not be checked, trying again: %s", error)
                await asyncio.sleep(_TOPOLOGY_PAUSE_S)
                self._reconnected.set()

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


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
