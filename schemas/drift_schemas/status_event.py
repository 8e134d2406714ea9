"""The publisher's heartbeat."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from drift_schemas.event_base import Event, Number, Scaled
from drift_schemas.quantities import Nanoseconds

__all__ = ["ScaledStatus", "StatusEvent"]


class ScaledStatus(Scaled[Number]):
    """The integer fields of :class:`StatusEvent` in natural units."""

    __slots__ = ()

    leading_since_ns: Number | None
    started_at_ns: Number
    slot_at_ns: Number | None


class StatusEvent(Event):
    """The publisher's heartbeat: who publishes, and whether the chain is alive behind it."""

    publisher_id: str
    """Name of the process; changes with every start."""
    host: str = ""
    """The machine it runs on, by its own name."""
    role: str = "leader"
    """``leader``: it publishes; ``standby``: it is ready to."""
    leading_since_ns: Nanoseconds | None = None
    """When its term as the leader began, by its wall clock; ``None`` for a standby."""
    started_at_ns: Nanoseconds
    """When the process started, by its wall clock."""
    slot_at_ns: Nanoseconds | None
    """When ``slot`` last advanced, by the publisher's wall clock; ``None`` before the first slot."""
    source_state: str
    """``connecting``, ``live``, ``polling``, ``stalled`` or ``stopped``."""
    reason: str
    """Why the source is not live, in one line; empty while it is."""
    bus_trouble: str = ""
    """What is wrong with the stream and the buckets, in one line; empty while nothing is."""
    rpc_sockets: int
    """Sockets open to the RPC provider now."""
    rpc_subscriptions: int
    """Subscriptions confirmed on them."""
    rpc_requests_total: int
    """HTTP requests since the start."""
    rpc_errors_total: int
    """HTTP requests that failed, since the start."""
    rpc_reconnects_total: int
    """Times that the socket was opened again, since the start."""
    rpc_endpoint: str = ""
    """The endpoint in use: scheme and host, never a key."""
    rpc_requests_by_method: dict[str, int] = Field(default_factory=dict)
    """HTTP requests since the start, by JSON-RPC method."""
    rpc_throttled_total: int = 0
    """HTTP 429 and WebSocket 429 answers since the start."""
    rpc_retries_total: int = 0
    """HTTP requests that were a second or later try, since the start."""
    rpc_bytes_total: int = 0
    """Bytes to and from the endpoints since the start, HTTP bodies and WebSocket messages."""
    rpc_budget_level: int = 0
    """HTTP requests that the endpoint's budget allows at once now; negative while some wait."""
    rpc_failovers_total: int = 0
    """Times that another endpoint was put to use, since the start."""
    refused_accounts_total: int
    """Accounts refused since the start: wrong owner, discriminator, size, or identity."""
    markets: tuple[str, ...]
    """Names of all markets that this publisher serves, perp then spot."""
    stale_markets: tuple[str, ...]
    """Those of them whose price is absent or invalid, or rests on an account that nobody told of lately."""
    accounts_overdue: int = 0
    """Accounts that were neither heard of nor read lately, so that nothing that rests on them is confirmed."""
    accounts_reread_total: int = 0
    """Accounts that were read again because nobody told of them, since the start."""
    accounts_reread_failures_total: int = 0
    """Requests for them without an answer of use, since the start."""
    slot_histories: int = 0
    """Histories of slots since the start; one more each time that the chain's slots start over lower."""
    refused_names: tuple[str, ...] = ()
    """On-chain names that several live markets have: none of them has it on the bus, each goes by its index."""
    events_published_total: int
    """Events acknowledged by the stream since the start."""
    events_dropped_total: int
    """Events given up since the start: superseded or stale before they could be sent."""

    @property
    def exact(self) -> ScaledStatus[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.started_at_ns``."""
        return ScaledStatus(self, Decimal)

    @property
    def floats(self) -> ScaledStatus[float]:
        """The integer fields in natural units, convenient: ``event.floats.started_at_ns``."""
        return ScaledStatus(self, float)
