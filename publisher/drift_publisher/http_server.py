"""A very small HTTP server in the event loop that it tells about: a loop that hangs does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import http
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, NamedTuple

__all__ = ["Answer", "Routes", "serving_http"]

_LONGEST_HEAD: Final = 8 * 1024
_MOST_AT_ONCE: Final = 32
_PATIENCE_S: Final = 10.0


class Answer(NamedTuple):
    """What a route says."""

    status: int
    content_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Awaitable[Answer]]]
"""Path → what answers a GET of it."""


@contextlib.asynccontextmanager
async def serving_http(routes: Routes, *, host: str, port: int) -> AsyncIterator[int]:
    """Answers GET and HEAD of ``routes``, one request a connection; yields the port.

    Raises:
        OSError: the port cannot be had.
    """
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await _serve(reader, writer, routes, is_busy=len(connections) > _MOST_AT_ONCE)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(connected(reader, writer), name="http-request")
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, host, port, limit=_LONGEST_HEAD)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: Routes, *, is_busy: bool) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return
    method, path = _request(head)
    if is_busy:
        answer = _plain(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many at once")
    elif method not in ("GET", "HEAD"):
        answer = _plain(http.HTTPStatus.METHOD_NOT_ALLOWED, "GET only")
    elif path not in routes:
        answer = _plain(http.HTTPStatus.NOT_FOUND, f"there is {', '.join(routes)}")
    else:
        answer = await routes[path]()
    writer.write(_rendered(answer, with_body=method != "HEAD"))
    await writer.drain()


def _request(head: bytes) -> tuple[str, str]:
    """Method and path, without the query; empty where the line is no request."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return (words[0], words[1].partition("?")[0]) if len(words) == 3 else ("", "")


def _plain(status: http.HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def _rendered(answer: Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if with_body else b"")
