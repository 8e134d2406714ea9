"""The WebSocket source: every subscription on one socket, supervised by the slots that it must carry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from drift_publisher.backoff import Backoff
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import PublisherError, RpcUnavailable
from drift_publisher.proof import NodeJudge
from drift_publisher.proving import Probation
from drift_publisher.quiet import QuietSubscriptions
from drift_publisher.redact import redact
from drift_publisher.rpc import RpcRefused
from drift_publisher.socket_opening import SocketLost, open_socket
from drift_publisher.source import AccountUpdate, Deliver, SourceStatus, Subscriptions
from drift_publisher.subscription_table import SubscriptionRefused, SubscriptionTable
from drift_schemas.access import apart

__all__ = ["SocketLost", "WebSocketSource"]

_log = logging.getLogger(__name__)
_CONFIRMATION_S: Final = 15.0


_LOSSES: Final = (OSError, WebSocketException, TimeoutError, SubscriptionRefused, RpcUnavailable, RpcRefused)


class WebSocketSource:
    """Keeps one WebSocket to a Solana node, for as long as :meth:`run` runs.

    A heartbeat (``slotSubscribe``) goes over the same socket: without a new slot for ``status.silence_s`` the socket
    counts as dead, whatever TCP says. After every connect the node is proven, and one read of all accounts over HTTP
    closes the hole; until then nothing that it tells is delivered.

    Args:
        pool: The endpoints; each session goes to the one in use.
        judge: Proves their nodes.
        status: What this source tells about itself.
        known_addresses: The accounts to read after a connect.
        commitment: Solana commitment of the subscriptions.
        quiet_s: Shortest silence of one subscription that is looked into.
    """

    def __init__(
        self,
        pool: EndpointPool,
        judge: NodeJudge,
        status: SourceStatus,
        known_addresses: Callable[[], Sequence[str]],
        commitment: str = "confirmed",
        quiet_s: float = 30.0,
    ) -> None:
        self.status = status
        self._pool = pool
        self._judge = judge
        self._known_addresses = known_addresses
        self._wanted = Subscriptions()
        self._table = SubscriptionTable(commitment)
        self._quiet = QuietSubscriptions(quiet_s)
        self._quiet_look_s = quiet_s / 3
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
        async with contextlib.AsyncExitStack() as stack:
            socket = await stack.enter_async_context(open_socket(endpoint))
            self.status.sockets = 1
            stack.callback(self._forget_socket)
            self._table.clear()
            self._quiet.clear()
            node = Probation(endpoint, self._judge, self._pool, self.status, deliver)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(socket, endpoint, node, backoff), name="websocket-reader")
                tasks.create_task(self._subscribe(socket, endpoint, node), name="websocket-subscriber")
                tasks.create_task(node.watch(), name="websocket-watch")
                tasks.create_task(self._renew_quiet(socket, endpoint), name="websocket-quiet")
                tasks.create_task(self._leave_when_replaced(), name="websocket-endpoint")

    async def _subscribe(self, socket: ClientConnection, endpoint: Endpoint, node: Probation) -> None:
        """Sends what is wanted, waits for every confirmation, reads all accounts once; again on every change."""
        while True:
            self._changed.clear()
            await self._send(socket, endpoint, map(self._table.close, self._table.superfluous(self._wanted)))
            await self._send(socket, endpoint, map(self._table.open, self._table.missing(self._wanted)))
            async with asyncio.timeout(_CONFIRMATION_S):
                await self._table.all_confirmed.wait()
            self.status.subscriptions = len(self._table)
            await node.pass_with(self._known_addresses())
            if self.status.state != "live":
                _log.info("%s: live, %d subscriptions on one socket", endpoint.name, len(self._table))
            self.status.state, self.status.reason = "live", ""
            self._pool.worked(endpoint)
            await self._changed.wait()

    async def _send(self, socket: ClientConnection, endpoint: Endpoint, messages: Iterable[str]) -> None:
        for message in list(messages):
            endpoint.traffic.bytes_out += len(message)
            await socket.send(message)

    async def _renew_quiet(self, socket: ClientConnection, endpoint: Endpoint) -> None:
        """Ends subscriptions that fell silent; they are made anew, and what was missed is read."""
        while True:
            await asyncio.sleep(self._quiet_look_s)
            if quiet := self._quiet.take(time.monotonic()):
                _log.info("%s: %d subscriptions fell silent, making them anew", endpoint.name, len(quiet))
                self.status.renewed += len(quiet)
                await self._send(socket, endpoint, map(self._table.close, self._table.numbers_of(quiet)))
                self._changed.set()

    async def _leave_when_replaced(self) -> None:
        await self._pool.changed.wait()
        raise SocketLost("another endpoint is in use now")

    async def _read(self, socket: ClientConnection, endpoint: Endpoint, node: Probation, backoff: Backoff) -> None:
        loop, silence_s = asyncio.get_running_loop(), self.status.silence_s
        try:
            async with asyncio.timeout(silence_s) as silence:
                async for raw in socket:
                    endpoint.traffic.bytes_in += len(raw)
                    if self._handle(_parse(raw), node):
                        silence.reschedule(loop.time() + silence_s)
                        backoff.healthy()
        except TimeoutError:
            raise SocketLost(node.told.silence(silence_s)) from None
        raise SocketLost("the server closed the socket")

    def _handle(self, message: dict[str, Any], node: Probation) -> bool:
        """Takes one message; says whether it was a new slot."""
        if "method" in message:
            return self._notify(message, node)
        try:
            early = self._table.confirm(message)
        except TypeError:
            raise SocketLost("an answer that makes no sense") from None
        for notification in early:
            self._notify(notification, node)
        return False

    def _notify(self, message: dict[str, Any], node: Probation) -> bool:
        try:
            news = self._read_notification(message)
        except (LookupError, TypeError, ValueError) as error:
            raise SocketLost(f"a notification that makes no sense ({type(error).__name__})") from None
        if isinstance(news, AccountUpdate):
            node.tell_account(news)
        return isinstance(news, int) and node.tell_slot(news)

    def _read_notification(self, message: dict[str, Any]) -> AccountUpdate | int | None:
        """The account or the slot that a notification tells of."""
        params = message["params"]
        request = self._table.request_of(params["subscription"], message)
        if request is None:
            return None
        result = params["result"]
        if request.kind == "slot":
            slot = int(result["slot"])
            if self.status.is_from_the_future(slot):
                raise SocketLost(f"slot {slot} after slot {self.status.slot}: no chain is that fast")
            return slot
        self._quiet.heard(request, time.monotonic())
        self.status.notified += 1
        value = result["value"]
        address = value["pubkey"] if request.kind == "program" else request.target
        account = value["account"] if request.kind == "program" else value
        data = None if account is None else b64decode(account["data"][0])
        if account is not None and account["lamports"] == 0:
            data = None
        owner = "" if account is None else account["owner"]
        return AccountUpdate(str(address), str(owner), int(result["context"]["slot"]), data, time.time_ns())

    def _note_lost(self, endpoint: Endpoint, lost: SocketLost, pause_s: float) -> None:
        level = logging.WARNING if self.status.state == "live" else logging.INFO
        _log.log(level, "%s: socket lost (%s), next try in %.1f s", endpoint.name, redact(str(lost)), pause_s)
        if self.status.state == "polling":
            self.status.reason = redact(str(lost))
        else:
            self.status.lost(str(lost))
        self.status.reconnects += 1
        endpoint.traffic.throttled += lost.is_throttled
        self._pool.failed(endpoint, str(lost), at_once=lost.is_throttled)

    def _forget_socket(self) -> None:
        self.status.sockets, self.status.subscriptions = 0, 0


def _parse(raw: str | bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise SocketLost("the server sent something that is no JSON") from None
    if not isinstance(message, dict):
        raise SocketLost("the server sent something that is no JSON-RPC message")
    return message


def _as_lost(errors: BaseExceptionGroup[Exception]) -> SocketLost:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, SocketLost):
        return error
    if isinstance(error, PublisherError):
        return SocketLost(str(error))
    return SocketLost(redact(f"{type(error).__name__}: {error}"))
