"""What the node counts: requests, sockets, subscriptions, bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Counters"]


@dataclass
class Counters:
    """Everything that clients cost the node since it started (or since :meth:`reset`).

    Args:
        requests: JSON-RPC calls over HTTP; each call of a batch counts.
        requests_by_method: The same by method, WebSocket calls excluded.
        http_posts: HTTP requests; a batch is one.
        http_errors: HTTP answers with a status of 400 or more, by status.
        rpc_errors: JSON-RPC error answers, by code.
        bytes_in: Bytes of bodies and frames received.
        bytes_out: Bytes of bodies and frames sent.
        connection_attempts: WebSocket handshakes begun, those refused included.
        connections_refused: WebSocket handshakes refused.
        sockets_open: WebSockets open now.
        sockets_peak: Most WebSockets open at once.
        sockets_total: WebSockets ever opened.
        sockets_dropped: WebSockets closed because their client read too slowly.
        subscriptions_open: Subscriptions open now, by method.
        subscriptions_total: Subscriptions ever made, by method.
        notifications: Notifications handed to sockets.
        updates: Account writes.
    """

    requests: int = 0
    requests_by_method: Counter[str] = field(default_factory=Counter)
    http_posts: int = 0
    http_errors: Counter[int] = field(default_factory=Counter)
    rpc_errors: Counter[int] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0
    connection_attempts: int = 0
    connections_refused: int = 0
    sockets_open: int = 0
    sockets_peak: int = 0
    sockets_total: int = 0
    sockets_dropped: int = 0
    subscriptions_open: Counter[str] = field(default_factory=Counter)
    subscriptions_total: Counter[str] = field(default_factory=Counter)
    notifications: int = 0
    updates: int = 0

    def socket_opened(self) -> None:
        """Count a completed handshake."""
        self.sockets_open += 1
        self.sockets_total += 1
        self.sockets_peak = max(self.sockets_peak, self.sockets_open)

    def snapshot(self) -> dict[str, Any]:
        """Return all counters as JSON-ready values."""
        return {
            name: {str(key): count for key, count in value.items()} if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }

    def reset(self) -> None:
        """Set everything to zero but what is open now."""
        kept = ("sockets_open", "subscriptions_open")
        fresh = Counters()
        for name in vars(self):
            if name not in kept:
                setattr(self, name, getattr(fresh, name))
        self.sockets_peak = self.sockets_open
