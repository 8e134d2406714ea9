"""The WebSocket source: odd messages cost the socket and no more, and each endpoint waits out its own pause."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.uri import parse_uri
from websockets.utils import accept_key

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.lag import LagLimits
from drift_publisher.proof import NodeJudge
from drift_publisher.rpc import RpcClient
from drift_publisher.socket_opening import _Connection, open_socket
from drift_publisher.source import AccountUpdate, SourceStatus, Subscriptions
from drift_publisher.websocket import SocketLost, WebSocketSource
from tests.support.wait import wait_until


class Silent(RpcClient):
    """An HTTP side that knows no account."""

    async def accounts(self, addresses: Sequence[str], *, patience_s: float | None = None) -> list[AccountUpdate]:
        return [AccountUpdate(address, "", 1, None, 0) for address in addresses]

    async def slot(self, endpoint: Endpoint) -> int | None:
        return None


def source_of(*ws_urls: str) -> tuple[WebSocketSource, EndpointPool, SourceStatus]:
    pool = EndpointPool([Endpoint(f"http://node{number}.example", url) for number, url in enumerate(ws_urls)])
    status = SourceStatus(silence_s=5)
    source = WebSocketSource(pool, NodeJudge(Silent(pool), pool, LagLimits(150, 60.0), status), status, list)
    source.follow(Subscriptions(accounts=("A",)))
    return source, pool, status


@asynccontextmanager
async def running(source: WebSocketSource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run(lambda _: None))
    try:
        yield
        assert not task.done(), "it never ends by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def node(odd: bytes = b"") -> AsyncIterator[str]:
    """A node that confirms the heartbeat as 1 and the account as 2, and then says something odd."""

    async def talk(socket: ServerConnection) -> None:
        async for raw in socket:
            call = orjson.loads(raw)
            number = {"slotSubscribe": 1, "accountSubscribe": 2}[call["method"]]
            await socket.send(orjson.dumps({"id": call["id"], "result": number}).decode())
            if number == 2 and odd:
                await socket.send(odd.decode())

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def account_note(**changed: Any) -> bytes:
    value: Any = {"data": ["", "base64"], "owner": "O", "lamports": 1}
    result = {"context": {"slot": 7}, "value": value, **changed}
    return orjson.dumps({"method": "accountNotification", "params": {"subscription": 2, "result": result}})


@pytest.mark.parametrize(
    "odd",
    [
        b"not json",
        b"[]",
        b"7",
        b"null",
        b'{"method": "slotNotification"}',
        b'{"method": "slotNotification", "params": {"subscription": 1, "result": {"slot": null}}}',
        b'{"method": "slotNotification", "params": {"subscription": [1], "result": {"slot": 7}}}',
        account_note(context={"slot": None}),
        account_note(context={"slot": "soon"}),
        account_note(context=None),
        account_note(value=7),
        account_note(value={"data": ["a", "base64"], "owner": "O", "lamports": 1}),
        account_note(value={"data": ["", "base64"], "owner": "O"}),
    ],
    ids=repr,
)
async def test_a_message_that_makes_no_sense_costs_the_socket(odd: bytes) -> None:
    async with node(odd) as url:
        source, _, status = source_of(url)
        async with running(source):
            await wait_until(lambda: status.reconnects)
            assert status.reason
            assert not status.is_alive


@pytest.mark.parametrize(
    "harmless",
    [
        b'{"id": 99, "result": 1}',
        b'{"id": [], "result": 1}',
        b'{"jsonrpc": "2.0"}',
        account_note(),
        account_note(value=None),
    ],
    ids=repr,
)
async def test_a_message_that_is_none_of_our_business_costs_nothing(harmless: bytes) -> None:
    async with node(harmless + b"") as url:
        source, pool, status = source_of(url)
        async with running(source):
            await wait_until(lambda: status.subscriptions == 2)
            await wait_until(lambda: pool.current.traffic.bytes_in > len(harmless))
            assert status.reconnects == 0


async def test_endpoints_that_refuse_in_turn_each_get_their_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 429 moves on to the next endpoint at once, and its 429 back again: that must not become a storm."""
    tried: dict[Endpoint, list[float]] = {}

    async def refused(_: WebSocketSource, endpoint: Endpoint, *__: object) -> None:
        tried.setdefault(endpoint, []).append(time.monotonic())
        raise SocketLost("too many requests", retry_after_s=0.3, is_throttled=True)

    monkeypatch.setattr(WebSocketSource, "_session", refused)
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    source, pool, status = source_of("ws://a", "ws://b")
    async with running(source):
        await wait_until(lambda: len(tried) == 2 and all(len(times) >= 3 for times in tried.values()))
        await wait_until(lambda: status.reconnects == sum(len(times) for times in tried.values()))
    for times in tried.values():
        assert all(later - earlier >= 0.29 for earlier, later in itertools.pairwise(times))
    assert pool.failovers_total >= 4


async def test_an_endpoint_that_is_replaced_during_the_handshake_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets of one endpoint and HTTP of another would not see the same chain."""
    urls: list[str] = []
    async with node() as first, node() as second:
        source, pool, status = source_of(first, second)

        def connecting(url: str, **options: Any) -> Any:
            urls.append(url)
            if url == first:
                pool.failed(pool.current, "HTTP fails", at_once=True)
            return connect(url, **options)

        monkeypatch.setattr("drift_publisher.socket_opening.connect", connecting)
        async with running(source):
            await wait_until(lambda: urls == [first, second] and status.subscriptions == 2)


async def test_a_socket_that_does_not_open_names_the_setting_of_its_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source, _, status = source_of("ws://127.0.0.1:9/s3cr3tk3y")
    async with running(source):
        await wait_until(lambda: "DRIFT_BUS_WS_URL" in status.reason)
    assert "its URL comes from DRIFT_BUS_WS_URL" in caplog.text
    assert "s3cr3tk3y" not in caplog.text + status.reason


async def test_an_answer_to_a_handshake_that_nobody_waits_for_any_more_is_passed_over() -> None:
    """Stopped in the moment in which it connects: asyncio would log a fatal error of the protocol."""
    connection = _Connection(ClientProtocol(parse_uri("ws://node.example")))
    connection.response_rcvd.cancel()
    connection.process_event(Response(101, "Switching Protocols", Headers()))
    assert connection.response is None


async def test_a_socket_whose_closing_is_cancelled_is_closed_nevertheless() -> None:
    """A caller in a hurry, and a node that answers no closing frame: the task that pings would live on as well."""
    is_gone, heard = asyncio.Event(), list[int]()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", await reader.readuntil(b"\r\n\r\n"))
        assert key is not None
        accept = accept_key(key[1].decode())
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            heard.append((await reader.read())[0])
        is_gone.set()
        writer.close()

    opened = asyncio.Event()

    async def use(endpoint: Endpoint) -> None:
        async with open_socket(endpoint, ping_s=60):
            opened.set()
            await asyncio.Event().wait()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        using = asyncio.create_task(use(Endpoint("http://node.example", url)))
        await opened.wait()
        for _ in range(2):
            using.cancel()
            await asyncio.sleep(0.05)  # the first one makes it close, the second one ends the closing
        await wait_until(using.done, what="it ends")
        await wait_until(is_gone.is_set, what="the node sees the end of the connection")
        assert heard == [0x88], "a closing frame"
        pinging = [task for task in asyncio.all_tasks() if "keepalive" in str(task.get_coro())]
        await wait_until(lambda: all(task.done() for task in pinging), 3, "nobody pings any more")


async def test_it_ends_at_once_while_a_refused_handshake_waits_for_the_socket_to_close() -> None:
    """websockets raises the refusal in place of the cancellation there; taken for a loss, it would be tried again."""
    refused = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
        refused.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        source, _, status = source_of(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        task = asyncio.create_task(source.run(lambda _: None))
        await refused.wait()
        for _ in range(50):  # until the client has read the refusal
            await asyncio.sleep(0)
        task.cancel()
        await wait_until(task.done, what="it ends")
        assert task.cancelled()
        assert status.state == "stopped"
