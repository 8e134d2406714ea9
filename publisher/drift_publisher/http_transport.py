"""Every HTTP request of this process to an endpoint goes through here: budgeted, counted, free of secrets."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import orjson

from drift_publisher.endpoints import Endpoint
from drift_publisher.refusals import LONGEST_PAUSE_S
from drift_schemas.access import end

__all__ = ["BudgetTransport", "CircuitOpen", "retry_after_s"]

_LAST_ANSWERS_S: Final = 0.5
_REFUSAL_BYTES: Final = 16 * 1024
_ABOUT_THE_REQUEST: Final = frozenset({400, 404, 405, 410, 413, 414, 415, 422, 501})
"""Statuses with which an endpoint refuses one request and serves others: no reason to leave it alone."""


class CircuitOpen(httpx.TransportError):
    """The endpoint failed too often: it is not asked for ``retry_in_s``."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(f"not asked for {endpoint.breaker.retry_in_s:.1f} s: it failed too often in a row")
        self.retry_in_s = endpoint.breaker.retry_in_s


class BudgetTransport(httpx.AsyncBaseTransport):
    """httpx transport that spends an endpoint's budget; our own client and driftpy's both use it.

    Args:
        endpoint: Whose budget, circuit breaker and traffic counts.
        inner: What really sends.
    """

    def __init__(self, endpoint: Endpoint, *, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._endpoint = endpoint
        self._inner = inner or httpx.AsyncHTTPTransport()
        self._sending: set[asyncio.Task[httpx.Response]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request when the budget allows it.

        Raises:
            CircuitOpen: the endpoint failed too often.
        """
        endpoint, traffic = self._endpoint, self._endpoint.traffic
        if endpoint.breaker.is_open:
            raise CircuitOpen(endpoint)
        methods = _methods(request.content)
        await endpoint.budget.acquire(len(methods))
        if not endpoint.breaker.admit():
            raise CircuitOpen(endpoint)
        traffic.requests.update(methods)
        traffic.bytes_out += len(request.content)
        try:
            response = await self._undisturbed(request)
        except httpx.RequestError:
            traffic.failures.update(methods)
            endpoint.breaker.failed()
            raise
        except BaseException:
            endpoint.breaker.abandoned()
            raise
        traffic.bytes_in += len(response.content)
        self._judge(response, methods)
        return response

    async def aclose(self) -> None:
        """Closes the connections, once the last requests have ended or had their time."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=_LAST_ANSWERS_S)
        await end(*self._sending)
        await self._inner.aclose()

    async def _undisturbed(self, request: httpx.Request) -> httpx.Response:
        """Sends in a task of its own, which goes on to its end, or to its timeout, when the caller is cancelled.

        anyio 4.4, which driftpy asks for, loses a cancellation that comes as it connects, or the socket.
        """
        sending = asyncio.create_task(self._send(request), name="HTTP request")
        self._sending.add(sending)
        sending.add_done_callback(self._ended)
        await asyncio.wait([sending])
        return sending.result()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if not response.is_success:
            return await _with_bounded_body(response)
        await response.aread()
        return response

    def _ended(self, sending: asyncio.Task[httpx.Response]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled():
            sending.exception()  # the caller may not be there any more to ask

    def _judge(self, response: httpx.Response, methods: list[str]) -> None:
        endpoint = self._endpoint
        status = response.status_code
        asked = response.headers.get("retry-after")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            endpoint.traffic.throttled += 1
            endpoint.budget.pause(retry_after_s(asked))
        elif asked and not response.is_success:
            endpoint.budget.pause(retry_after_s(asked))
        if not response.is_success:
            endpoint.traffic.failures.update(methods)
        if response.is_success or status in _ABOUT_THE_REQUEST:
            endpoint.breaker.succeeded()
        else:
            endpoint.breaker.failed()


async def _with_bounded_body(response: httpx.Response) -> httpx.Response:
    """The same answer with the first 16 KiB of its body: a refusal says why at its beginning."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= _REFUSAL_BYTES:
                break
    except httpx.DecodingError:
        body.clear()  # the status says enough
    finally:
        await response.aclose()
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    return httpx.Response(response.status_code, headers=headers, content=bytes(body[:_REFUSAL_BYTES]))


def retry_after_s(header: str | None) -> float:
    """Seconds that a ``Retry-After`` header asks for, as a number or a date, at most five minutes; 0 without one."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(0.0, seconds), LONGEST_PAUSE_S)


def _methods(body: bytes) -> list[str]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ["unknown"]
    calls = message if isinstance(message, list) else [message]
    return [str(call.get("method", "unknown")) for call in calls if isinstance(call, dict)] or ["unknown"]
