"""The heartbeat: once a second, who publishes and whether the chain is alive behind it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.leadership import Leadership
from drift_publisher.topology_watch import TopologyWatch
from drift_schemas import CONTENT_TYPE, SCHEMA_HEADER, StatusEvent, Topology, encode, schema_of

__all__ = ["Heartbeat"]

_log = logging.getLogger(__name__)
_EVERY_S: Final = 1.0


class Heartbeat:
    """Publishes a :class:`StatusEvent`, core NATS only: the leader's on the status subject, a standby's on its own."""

    def __init__(
        self,
        nats: Client,
        topology: Topology,
        publisher_id: str,
        leadership: Leadership,
        cluster: str,
        chain: Chain,
        bus: Bus,
        watch: TopologyWatch,
    ) -> None:
        self._nats = nats
        self._subjects = topology.subjects
        self._publisher_id = publisher_id
        self._leadership = leadership
        self._cluster = cluster
        self._chain = chain
        self._bus = bus
        self._watch = watch
        self._started_at_ns = time.time_ns()

    async def run(self) -> None:
        """Beats until cancelled; a beat that NATS cannot take is left out, never sent late."""
        headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of("status")}
        while True:
            if self._nats.is_connected:
                try:
                    await self._nats.publish(self._subject(), encode(self.status()), headers=headers)
                except NatsError as error:
                    _log.debug("heartbeat left out: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_S)

    def _subject(self) -> str:
        return self._subjects.status if self._leadership.is_leading else self._subjects.standby(self._publisher_id)

    def status(self) -> StatusEvent:
        """The state of things now."""
        source, store, counts = self._chain.status, self._chain.store, self._bus.counts
        pool = self._chain.pool
        traffic = [endpoint.traffic for endpoint in pool.endpoints]
        requests = sum((one.requests for one in traffic), Counter[str]())
        return StatusEvent(
            program=self._chain.profile.name,
            cluster=self._cluster,
            epoch=self._leadership.epoch,
            slot=source.slot,
            published_at_ns=time.time_ns(),
            publisher_id=self._publisher_id,
            host=socket.gethostname(),
            role="leader" if self._leadership.is_leading else "standby",
            leading_since_ns=self._leadership.since_ns if self._leadership.is_leading else None,
            started_at_ns=self._started_at_ns,
            slot_at_ns=source.slot_at_ns,
            source_state=source.state,
            reason=source.reason,
            bus_trouble=self._watch.summary,
            rpc_sockets=source.sockets,
            rpc_subscriptions=source.subscriptions,
            rpc_requests_total=requests.total(),
            rpc_errors_total=sum(one.failures.total() for one in traffic),
            rpc_reconnects_total=source.reconnects,
            rpc_endpoint=pool.current.name,
            rpc_requests_by_method=dict(requests),
            rpc_throttled_total=sum(one.throttled for one in traffic),
            rpc_retries_total=sum(one.retries for one in traffic),
            rpc_bytes_total=sum(one.bytes_in + one.bytes_out for one in traffic),
            rpc_budget_level=int(pool.current.budget.level),
            rpc_failovers_total=pool.failovers_total,
            refused_accounts_total=store.refused.total(),
            markets=store.market_names(),
            accounts_overdue=len(self._chain.overdue()) if source.is_alive else 0,
            accounts_reread_total=source.reread,
            accounts_reread_failures_total=source.rereads_failed,
            slot_histories=source.histories,
            stale_markets=self._chain.stale_markets(),
            refused_names=tuple(sorted(store.names.clashes)),
            events_published_total=counts["stored"],
            events_dropped_total=counts["superseded"] + counts["stale"],
        )
