"""The heartbeat of a replay: its time, so that a feed's clock goes on between events."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from drift_schemas import (
    CONTENT_TYPE,
    REPLAY_HEADER,
    SCHEMA_HEADER,
    MarketDataEvent,
    MessageError,
    StatusEvent,
    Topology,
    decode_event,
    encode,
    market_from_token,
    schema_of,
)
from drift_subscribers.history import Tick

__all__ = ["BEAT_EVERY_NS", "ReplayHeartbeat"]

BEAT_EVERY_NS: Final = 1_000_000_000
"""Replayed time between two heartbeats, at most, in nanoseconds."""


class ReplayHeartbeat:
    """Publishes ``replay.<name>.status``, core NATS only; ``published_at_ns`` is the replayed time."""

    def __init__(self, client: Client, topology: Topology, name: str) -> None:
        self._client = client
        self._subject = topology.subjects.status
        self._headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of("status"), REPLAY_HEADER: name}
        self._publisher_id = f"replay {name}"
        self._started_at_ns = time.time_ns()
        self._last: Tick | None = None
        self._tokens: dict[str, None] = {}
        self._published = 0

    def note(self, tick: Tick) -> None:
        """Learns from an event that was published: of it come program, cluster, epoch and slot of the next beat."""
        self._last = tick
        self._tokens[tick.token] = None
        self._published += 1

    async def beat(self, now_ns: int, state: str, reason: str) -> None:
        """Sends one; where NATS cannot take it, it is left out."""
        last = self._event()
        status = StatusEvent(
            program="" if last is None else last.program,
            cluster="" if last is None else last.cluster,
            epoch=0 if last is None else last.epoch,
            slot=0 if last is None else last.slot,
            published_at_ns=now_ns,
            publisher_id=self._publisher_id,
            started_at_ns=self._started_at_ns,
            slot_at_ns=now_ns,
            source_state=state,
            reason=reason,
            rpc_sockets=0,
            rpc_subscriptions=0,
            rpc_requests_total=0,
            rpc_errors_total=0,
            rpc_reconnects_total=0,
            refused_accounts_total=0,
            markets=tuple(market_from_token(token) for token in self._tokens),
            stale_markets=(),
            events_published_total=self._published,
            events_dropped_total=0,
        )
        with suppress(NatsError):
            await self._client.publish(self._subject, encode(status), headers=self._headers)

    def _event(self) -> MarketDataEvent | None:
        if self._last is None:
            return None
        with suppress(MessageError):
            return decode_event(self._last.kind, self._last.payload)
        return None
