"""Solana JSON-RPC over HTTP: the few reads that the publisher needs, within the budget, retried and counted."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

import httpx
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import PublisherError, RpcUnavailable
from drift_publisher.http_transport import BudgetTransport
from drift_publisher.redact import redact
from drift_publisher.source import AccountUpdate

__all__ = ["RpcClient", "RpcRefused"]

_ACCOUNTS_PER_REQUEST: Final = 100
_ONE_ANSWER_S: Final = 10.0
_SLOT_S: Final = 2.0
_MAY_PASS: Final = (429, -32429, -32005, -32016)
"""JSON-RPC errors that say "later": too many requests, a node that is unhealthy or behind."""
_full_jitter: Final = wait_random_exponential(multiplier=0.25, max=30.0)


class RpcRefused(PublisherError):
    """The endpoint answered with a JSON-RPC error. ``code`` is the error's number."""

    def __init__(self, method: str, code: object, message: str) -> None:
        super().__init__(f"{method}: JSON-RPC error {code}: {redact(message)[:200]}")
        self.code = code


class _TryAgain(RuntimeError):
    """A fault that may pass."""


class RpcClient:
    """The HTTP side of the endpoints. Use as ``async with``.

    Args:
        pool: The endpoints; each call goes to the one in use.
        commitment: ``processed``, ``confirmed`` or ``finalized``.
        give_up_after_s: How long one call keeps trying, its waiting included, before it raises.
    """

    def __init__(self, pool: EndpointPool, *, commitment: str = "confirmed", give_up_after_s: float = 20.0) -> None:
        self.commitment = commitment
        self._pool = pool
        self._give_up_after_s = give_up_after_s
        self._http = {
            endpoint: httpx.AsyncClient(transport=BudgetTransport(endpoint), timeout=_ONE_ANSWER_S)
            for endpoint in pool.endpoints
        }
        for noisy in ("httpx", "httpcore"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._http.values():
            await client.aclose()

    @property
    def name(self) -> str:
        """The endpoint in use, without its secrets."""
        return self._pool.current.name

    async def accounts(self, addresses: Sequence[str]) -> list[AccountUpdate]:
        """Reads accounts in requests of 100; one that does not exist comes with ``data=None``, none is left out.

        Raises:
            RpcRefused, RpcUnavailable: as :meth:`call` does.
        """
        updates: list[AccountUpdate] = []
        for batch in _batches(addresses):
            result = await self.call("getMultipleAccounts", [batch, self._options()])
            with self._understanding("getMultipleAccounts"):
                slot, now = int(result["context"]["slot"]), time.time_ns()
                pairs = zip(batch, result["value"], strict=True)
                updates += [_update(address, slot, value, now) for address, value in pairs]
        return updates

    async def program_accounts(self, program_id: str, discriminator: bytes) -> list[AccountUpdate]:
        """Reads every account of a program that begins with ``discriminator``.

        Raises:
            RpcRefused: many providers do not serve this method.
            RpcUnavailable: the endpoint did not answer in time.
        """
        memcmp = {"offset": 0, "bytes": base64.b64encode(discriminator).decode(), "encoding": "base64"}
        options = {**self._options(), "withContext": True, "filters": [{"memcmp": memcmp}]}
        result = await self.call("getProgramAccounts", [program_id, options])
        updates: list[AccountUpdate] = []
        with self._understanding("getProgramAccounts"):
            slot, now = int(result["context"]["slot"]), time.time_ns()
            updates += [_update(str(item["pubkey"]), slot, item["account"], now) for item in result["value"]]
        return updates

    async def slot(self, endpoint: Endpoint) -> int | None:
        """The newest slot of one endpoint, asked once; ``None`` where it does not answer."""
        try:
            async with asyncio.timeout(_SLOT_S):
                answer = await self._once(endpoint, "getSlot", [{"commitment": self.commitment}])
        except (_TryAgain, RpcRefused, TimeoutError):
            return None
        return answer if isinstance(answer, int) else None

    def blame(self, why: str, *, at_once: bool = False) -> None:
        """The endpoint in use answers, and what it answers is of no use; ``at_once`` leaves it now."""
        self._pool.failed(self._pool.current, why, at_once=at_once)

    async def call(self, method: str, params: list[Any]) -> Any:
        """Makes one JSON-RPC call and returns its result; retries what may pass, with full jitter.

        Raises:
            RpcRefused: the endpoint answered with an error.
            RpcUnavailable: none answered usefully within ``give_up_after_s``.
        """
        last = "no answer"
        try:
            async with asyncio.timeout(self._give_up_after_s):
                async for attempt in AsyncRetrying(retry=retry_if_exception_type(_TryAgain), wait=_full_jitter):
                    endpoint = self._pool.current
                    endpoint.traffic.retries += attempt.retry_state.attempt_number > 1
                    with attempt:
                        try:
                            return await self._once(endpoint, method, params)
                        except _TryAgain as failed:
                            last = str(failed)
                            self._pool.failed(endpoint, f"{method}: {last}")
                            raise
        except TimeoutError:
            raise RpcUnavailable(
                f"{self.name}: {method} failed for {self._give_up_after_s:g} s ({last}): check the RPC URL and its plan"
            ) from None
        raise AssertionError("unreachable: tenacity returns or raises")

    async def _once(self, endpoint: Endpoint, method: str, params: list[Any]) -> Any:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"content-type": "application/json"}
        try:
            response = await self._http[endpoint].post(endpoint.http_url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise _TryAgain(redact(f"{type(error).__name__} {error}".rstrip())) from None
        if response.status_code != httpx.codes.OK:
            raise _TryAgain(f"HTTP {response.status_code}")
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise _TryAgain("the answer is no JSON") from None
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise _TryAgain("the answer is no JSON-RPC")
        if "result" not in answer or answer.get("error"):
            endpoint.traffic.failures[method] += 1
            failure = answer["error"]
            if not isinstance(failure, dict):
                raise RpcRefused(method, 0, str(failure))
            code, message = failure.get("code", 0), str(failure.get("message", ""))
            if code in _MAY_PASS:
                raise _TryAgain(f"JSON-RPC error {code}: {redact(message)[:200]}")
            raise RpcRefused(method, code, message)
        self._pool.worked(endpoint)
        return answer["result"]

    @contextlib.contextmanager
    def _understanding(self, method: str) -> Iterator[None]:
        """An answer of another form than the method's is the endpoint's fault, and says so."""
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise RpcUnavailable(f"{self.name}: {method} gave an answer of another form ({error})") from None

    def _options(self) -> dict[str, Any]:
        return {"encoding": "base64", "commitment": self.commitment}


def _batches(addresses: Sequence[str]) -> list[list[str]]:
    return [list(addresses[i : i + _ACCOUNTS_PER_REQUEST]) for i in range(0, len(addresses), _ACCOUNTS_PER_REQUEST)]


def _update(address: str, slot: int, value: dict[str, Any] | None, now: int) -> AccountUpdate:
    if value is None:
        return AccountUpdate(address, "", slot, None, now, was_read=True)
    data = base64.b64decode(value["data"][0])
    return AccountUpdate(address, str(value["owner"]), slot, data, now, was_read=True)
