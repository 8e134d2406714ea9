"""The node's two ports: JSON-RPC and WebSockets on the first, WebSockets on the one above."""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from contextlib import suppress
from typing import Final, NamedTuple

import orjson
from aiohttp import WSMsgType, web

from .control import control_routes
from .cors import ALLOWED, allow_origin, refused_origin
from .errors import RpcError, parse_error
from .faults import Fault, FaultKind
from .jsonrpc import Call, Refusal, read_calls
from .node import Node
from .params import addresses_in
from .ports import bind_pair
from .pubsub import PubSub
from .rpc import Rpc
from .sockets import Socket

__all__ = ["Server"]

logger = logging.getLogger(__name__)

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_BODY: Final = 10 * 2**20
_OK: Final = 200
_HTML_REFUSAL: Final = (
    "<!DOCTYPE html><html><head><style>h1 {{ color: red }}</style><title>{status}</title></head>"
    "<body><h1>{status}</h1><p>{message}</p></body></html>"
)
_HTML_429: Final = (
    "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n"
    "<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class Server:
    """Serves a node over HTTP and WebSocket.

    Args:
        node: What clients see.
        rpc: Answers calls.
        pubsub: Holds subscriptions.
        queue_limit: Frames that may wait for one WebSocket.
    """

    def __init__(self, node: Node, rpc: Rpc, pubsub: PubSub, *, queue_limit: int) -> None:
        self._node = node
        self._rpc = rpc
        self._pubsub = pubsub
        self._queue_limit = queue_limit
        self._runner: web.AppRunner | None = None
        self._sockets: set[Socket] = set()
        self._thawed = asyncio.Event()
        self.port = 0
        node.faults.listen(self._on_fault)

    async def start(self, host: str, port: int) -> None:
        """Listen on both ports.

        Raises:
            PortInUse: One of them is taken.
        """
        pair = bind_pair(host, port)
        application = web.Application(client_max_size=_MAX_BODY)
        application.add_routes(control_routes(self._node))
        application.router.add_post("/{key:.*}", self._post)  # a provider's URL holds the key in its path
        application.router.add_get("/{key:.*}", self._upgrade)
        application.router.add_options("/{key:.*}", self._options)
        application.router.add_route("*", "/{key:.*}", self._not_allowed)
        application.on_response_prepare.append(allow_origin)
        self._runner = web.AppRunner(application, auto_decompress=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        for listener in pair:
            await web.SockSite(self._runner, listener).start()
        self.port = pair[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut all sockets and stop listening."""
        self._thawed.set()
        for entry in list(self._sockets):
            entry.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def backlog(self) -> int:
        """Frames that wait for the slowest WebSocket."""
        return max((entry.waiting for entry in self._sockets), default=0)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if (stranger := refused_origin(request)) is not None:
            return stranger
        counters, faults = self._node.counters, self._node.faults
        counters.http_posts += 1
        body = await request.read()
        counters.bytes_in += len(body)
        try:
            if body.startswith(_GZIP_MAGIC):
                body = gzip.decompress(body)
            calls, is_batch = read_calls(body)
        except (RpcError, OSError, EOFError, zlib.error):
            counters.rpc_errors[-32700] += 1
            return self._answer(orjson.dumps({"jsonrpc": "2.0", "error": parse_error().body(), "id": None}))
        about = _about(calls)
        refusal = await self._refuse(request, about)
        if refusal is not None:
            counters.http_errors[refusal.status] += 1
            return refusal
        answers = [self._rpc.call(call) for call in calls]
        delay = faults.take(FaultKind.DELAY, methods=about.methods, pubkeys=about.pubkeys)
        if delay is not None:
            await asyncio.sleep(delay.seconds)
        if not answers:
            return self._answer(b"")  # nobody asked anything that has an answer
        return self._answer(b"[" + b",".join(answers) + b"]" if is_batch else answers[0])

    async def _options(self, request: web.Request) -> web.StreamResponse:
        return refused_origin(request) or web.Response(
            content_type="application/json", headers={"Allow": ALLOWED, "Accept": "application/json"}
        )

    async def _not_allowed(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=405, text="Used HTTP Method is not allowed. POST or OPTIONS is required\n")

    async def _refuse(self, request: web.Request, about: _About) -> web.Response | None:
        def take(kind: FaultKind) -> Fault | None:
            return self._node.faults.take(kind, methods=about.methods, pubkeys=about.pubkeys)

        if take(FaultKind.HALF_OPEN):
            await self._thaw(request)
        if fault := take(FaultKind.HTTP_429):
            error = {"code": 429, "message": "Too many requests for a specific RPC call"}
            body = orjson.dumps({"jsonrpc": "2.0", "error": error, "id": None})
            headers = {"Content-Type": "application/json", **_retry_after(fault)}
            return web.Response(status=429, body=body, headers=headers)
        if fault := take(FaultKind.HTTP_HTML_429):
            headers = {"Content-Type": "text/html", **_retry_after(fault)}
            return web.Response(status=429, body=_HTML_429.encode(), headers=headers)
        if fault := take(FaultKind.HTTP_5XX):
            return web.Response(status=fault.status, text="upstream connect error or disconnect/reset")
        if fault := take(FaultKind.HTTP_REFUSED):
            return _refusal(fault)
        limit = self._node.faults.holds(FaultKind.ACCOUNTS_LIMIT)
        if limit is not None and limit.status != _OK and "getMultipleAccounts" in about.methods:
            return _refusal(limit) if len(about.pubkeys) > limit.most and take(FaultKind.ACCOUNTS_LIMIT) else None
        return None

    def _answer(self, body: bytes) -> web.Response:
        self._node.counters.bytes_out += len(body)
        return web.Response(body=body, content_type="application/json")

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            return await self._not_allowed(request)
        counters, faults = self._node.counters, self._node.faults
        counters.connection_attempts += 1
        transport = request.transport
        if not isinstance(transport, asyncio.Transport) or faults.take(FaultKind.WS_REFUSED):
            counters.connections_refused += 1
            if transport is not None:
                transport.abort()
            return web.Response(status=503)
        if fault := faults.take(FaultKind.WS_429):
            counters.connections_refused += 1
            counters.http_errors[429] += 1
            return web.Response(status=429, text="Too many requests", headers=_retry_after(fault))
        if faults.holds(FaultKind.HALF_OPEN):
            await self._thaw(request)
        response = web.WebSocketResponse(compress=False, max_msg_size=_MAX_BODY, autoping=False)
        await response.prepare(request)
        counters.socket_opened()
        try:
            if faults.take(FaultKind.CLOSE_AFTER_ACCEPT):
                await response.close()
            else:
                await self._converse(response, transport)
        finally:
            counters.sockets_open -= 1
        return response

    async def _converse(self, response: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        client = Socket(response, transport, self._node, self._queue_limit)
        self._sockets.add(client)
        writer = asyncio.create_task(client.write(), name="simulator-socket-writer")
        try:
            async for message in response:
                client.heard()
                if message.type == WSMsgType.PING:
                    await response.pong(message.data)
                elif message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    self._node.counters.bytes_in += len(message.data)
                    self._pubsub.handle(client, message.data)
        finally:
            client.is_open = False
            self._sockets.discard(client)
            self._pubsub.forget(client)
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer

    async def _thaw(self, request: web.Request) -> None:
        """Wait for a half-open fault to end, then drop the connection as a revived peer would."""
        while self._node.faults.holds(FaultKind.HALF_OPEN) and request.transport is not None:
            self._thawed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._thawed.wait()
        if request.transport is not None:
            request.transport.abort()

    def _on_fault(self, fault: Fault, begins: bool) -> None:
        if fault.kind == FaultKind.HALF_OPEN:
            self._thawed.set()
            for entry in self._sockets:
                entry.freeze(frozen=begins)
        if fault.pubkey is not None and fault.kind != FaultKind.LOST_NOTIFICATION:
            self._pubsub.publish_account(fault.pubkey)


class _About(NamedTuple):
    """What an HTTP request is about: the methods it calls and the accounts it names."""

    methods: list[str]
    pubkeys: list[str]


def _about(calls: list[Call | Refusal]) -> _About:
    made = [call for call in calls if isinstance(call, Call)]
    return _About([call.method for call in made], [address for call in made for address in addresses_in(call.params)])


def _refusal(fault: Fault) -> web.Response:
    """A provider's front refuses a request before the node sees it."""
    if fault.body == "empty":
        return web.Response(status=fault.status, headers=_retry_after(fault))
    if fault.body == "html":
        page = _HTML_REFUSAL.format(status=fault.status, message=fault.message)
        return web.Response(status=fault.status, text=page, content_type="text/html", headers=_retry_after(fault))
    error = RpcError(fault.code, fault.message, fault.data).body()
    body = orjson.dumps({"jsonrpc": "2.0", "error": error, "id": None})
    return web.Response(status=fault.status, body=body, content_type="application/json", headers=_retry_after(fault))


def _retry_after(fault: Fault) -> dict[str, str]:
    return {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
