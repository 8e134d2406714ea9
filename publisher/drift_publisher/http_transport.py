"""Every HTTP request of this process to an endpoint goes through here: budgeted, counted, free of secrets."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import orjson

from drift_publisher.endpoints import Endpoint
from drift_schemas.access import end

__all__ = ["BudgetTransport", "CircuitOpen", "retry_after_s"]

_LONGEST_PAUSE_S: Final = 300.0
_LAST_ANSWERS_S: Final = 0.5


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
        await response.aread()
        return response

    def _ended(self, sending: asyncio.Task[httpx.Response]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled():
            sending.exception()  # the caller may not be there any more to ask

    def _judge(self, response: httpx.Response, methods: list[str]) -> None:
        endpoint = self._endpoint
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            endpoint.traffic.throttled += 1
            endpoint.budget.pause(retry_after_s(response.headers.get("retry-after")))
        if not response.is_success:
            endpoint.traffic.failures.update(methods)
            endpoint.breaker.failed()
        else:
            endpoint.breaker.succeeded()


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
    return min(max(0.0, seconds), _LONGEST_PAUSE_S)


def _methods(body: bytes) -> list[str]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ["unknown"]
    calls = message if isinstance(message, list) else [message]
    return [str(call.get("method", "unknown")) for call in calls if isinstance(call, dict)] or ["unknown"]
