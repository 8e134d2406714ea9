"""The WebSocket source: the union of what is wanted over as few sockets as it takes, usually one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from websockets.exceptions import WebSocketException

from drift_publisher.backoff import Backoff
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import PublisherError, RpcUnavailable
from drift_publisher.proof import NodeJudge
from drift_publisher.proving import Probation
from drift_publisher.redact import redact
from drift_publisher.rpc import RpcRefused
from drift_publisher.socket_line import SocketLine
from drift_publisher.socket_opening import SocketLost
from drift_publisher.socket_set import SocketSet
from drift_publisher.source import Deliver, SourceStatus, Subscriptions
from drift_publisher.subscription_table import SubscriptionRefused
from drift_schemas.access import apart

__all__ = ["SocketLost", "WebSocketSource"]

_log = logging.getLogger(__name__)
_LOSSES: Final = (OSError, WebSocketException, TimeoutError, SubscriptionRefused, RpcUnavailable, RpcRefused)


class WebSocketSource:
    """Keeps the subscriptions at a Solana node, for as long as :meth:`run` runs.

    They go over one socket. Where the endpoint is known to take no more than so many on a socket, they go over as few
    as it takes. A heartbeat (``slotSubscribe``) goes over each socket: without a new slot for ``status.silence_s`` it
    counts as dead, whatever TCP says, and all are opened anew. After every connect the node behind
    each socket is proven, and one read of all accounts over HTTP closes the hole; until then nothing that they tell is
    delivered.

    Args:
        pool: The endpoints; each session goes to the one in use.
        judge: Proves their nodes.
        status: What this source tells about itself.
        known_addresses: The accounts to read after a connect.
        commitment: Solana commitment of the subscriptions.
        quiet_s: Shortest silence of one subscription that is looked into.
        ping_s: How often a socket's client sends a ping; 0 sends none.
    """

    def __init__(
        self,
        pool: EndpointPool,
        judge: NodeJudge,
        status: SourceStatus,
        known_addresses: Callable[[], Sequence[str]],
        commitment: str = "confirmed",
        quiet_s: float = 30.0,
        ping_s: float = 15.0,
    ) -> None:
        self.status = status
        self._pool = pool
        self._judge = judge
        self._known_addresses = known_addresses
        self._wanted = Subscriptions()
        self._commitment = commitment
        self._quiet_s = quiet_s
        self._ping_s = ping_s
        self._changed = asyncio.Event()
        logging.getLogger("websockets").setLevel(logging.WARNING)

    def follow(self, wanted: Subscriptions) -> None:
        """Sets what to deliver from now on; a running session adds what is new and drops what is gone."""
        self._wanted = wanted
        self._changed.set()

    async def run(self, deliver: Deliver) -> None:
        """Connects, and connects again whenever the socket is lost, until cancelled."""
        backoffs = {endpoint: Backoff() for endpoint in self._pool.endpoints}
        not_before = dict.fromkeys(self._pool.endpoints, 0.0)
        try:
            while True:
                endpoint = await self._next_endpoint(not_before)
                try:
                    await apart(self._session(endpoint, deliver, backoffs[endpoint]), name="websocket-session")
                except* _LOSSES as errors:
                    lost = _as_lost(errors)
                    pause_s = max(backoffs[endpoint].next_s(), lost.retry_after_s)
                    not_before[endpoint] = time.monotonic() + pause_s
                    self._note_lost(endpoint, lost, pause_s)
        finally:
            self.status.state, self.status.sockets, self.status.subscriptions = "stopped", 0, 0

    async def _next_endpoint(self, not_before: dict[Endpoint, float]) -> Endpoint:
        """The endpoint in use, once it may be tried: each waits out its own pause, however often they take turns."""
        while True:
            self._pool.changed.clear()
            endpoint = self._pool.current
            pause_s = not_before[endpoint] - time.monotonic()
            if pause_s <= 0:
                return endpoint
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._pool.changed.wait()

    async def _session(self, endpoint: Endpoint, deliver: Deliver, backoff: Backoff) -> None:
        def new_line() -> SocketLine:
            return SocketLine(
                endpoint,
                Probation(endpoint, self._judge, self._pool, self.status, deliver),
                self.status,
                backoff,
                commitment=self._commitment,
                ping_s=self._ping_s,
                quiet_s=self._quiet_s,
            )

        async with asyncio.TaskGroup() as tasks:
            sockets = SocketSet(endpoint, self.status, new_line, self._changed, tasks)
            tasks.create_task(self._keep(sockets, endpoint), name="websocket-keeper")
            tasks.create_task(self._leave_when_replaced(), name="websocket-endpoint")

    async def _keep(self, sockets: SocketSet, endpoint: Endpoint) -> None:
        """Has what is wanted subscribed, then reads all accounts once; again on every change."""
        while True:
            self._changed.clear()
            sockets.carry(self._wanted)
            await sockets.made()
            if self._changed.is_set():
                continue
            await sockets.pass_with(self._known_addresses())
            if self.status.state != "live":
                _log.info("%s: live, %s", endpoint.name, sockets)
            self.status.state, self.status.reason = "live", ""
            self._pool.worked(endpoint)
            await self._changed.wait()

    async def _leave_when_replaced(self) -> None:
        await self._pool.changed.wait()
        raise SocketLost("another endpoint is in use now")

    def _note_lost(self, endpoint: Endpoint, lost: SocketLost, pause_s: float) -> None:
        level = logging.WARNING if self.status.state == "live" else logging.INFO
        _log.log(level, "%s: socket lost (%s), next try in %.1f s", endpoint.name, redact(str(lost)), pause_s)
        if self.status.state == "polling":
            self.status.reason = redact(str(lost))
        else:
            self.status.lost(str(lost))
        self.status.reconnects += 1
        endpoint.traffic.throttled += lost.is_throttled
        if not lost.is_lesson:
            self._pool.failed(endpoint, str(lost), at_once=lost.is_throttled)


def _as_lost(errors: BaseExceptionGroup[Exception]) -> SocketLost:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, SocketLost):
        return error
    if isinstance(error, PublisherError):
        return SocketLost(str(error))
    return SocketLost(redact(f"{type(error).__name__}: {error}"))
