"""Solana JSON-RPC over HTTP: the few reads that the publisher needs, within the budget, retried and counted."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Self, TypeVar

import httpx
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_never, wait_random_exponential

from drift_publisher.answers import accounts_in, program_accounts_in, slot_in
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import PublisherError, RpcUnavailable
from drift_publisher.http_transport import BudgetTransport, CircuitOpen, retry_after_s
from drift_publisher.redact import redact
from drift_publisher.refusals import Meaning, Refusal, refusal_of_error, refusal_of_http
from drift_publisher.source import AccountUpdate

__all__ = ["RpcClient", "RpcRefused"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_ONE_ANSWER_S: Final = 10.0
_SLOT_S: Final = 2.0
_LONG_PAUSE_S: Final = 5.0
_TRIES_BEFORE_THE_FALLBACK: Final = 2
_SPLIT: Final = frozenset({Meaning.TOO_LARGE, Meaning.WRONG})
_EVERY: Final = frozenset(Meaning)
_NO_ANSWER: Final = "no answer"
_full_jitter: Final = wait_random_exponential(multiplier=0.25, max=30.0)


class RpcRefused(PublisherError):
    """An endpoint does not answer this request, however often it is asked.

    Attributes:
        refusal: Its meaning, and the endpoint's words.
        endpoint: The one that refused.
    """

    def __init__(self, method: str, refusal: Refusal, endpoint: Endpoint, *, is_needed: bool = False) -> None:
        remedy = f": check the URL, its key and its plan in {endpoint.setting}" if is_needed else ""
        super().__init__(f"{endpoint.name}: {method} is refused: {refusal.said}{remedy}")
        self.refusal = refusal
        self.endpoint = endpoint


class _TryAgain(RuntimeError):
    """A fault that may pass."""

    def __init__(self, why: str, *, come_back_s: float = 0.0) -> None:
        super().__init__(why)
        self.come_back_s = come_back_s


class _NotAsked(_TryAgain):
    """The circuit breaker is open: why is what the endpoint said before."""


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
        """Reads accounts in their order; one that does not exist comes with ``data=None``, none is left out.

        A request names as many as the endpoint in use is known to allow. One that is refused for its size is halved
        until it passes, and the endpoint keeps that size.

        Raises:
            RpcRefused, RpcUnavailable: as :meth:`call` does.
        """
        method, updates = "getMultipleAccounts", list[AccountUpdate]()
        while len(updates) < len(addresses):
            batch = list(addresses[len(updates) : len(updates) + self._pool.current.batch.next()])
            try:
                endpoint, found = await self._ask(
                    method,
                    [batch, self._options()],
                    lambda result, batch=batch: accounts_in(batch, result),  # type: ignore[misc]
                    handled=_SPLIT if len(batch) > 1 else (),
                )
            except RpcRefused as refused:
                if len(batch) == 1 or refused.refusal.meaning not in _SPLIT:
                    refused.endpoint.batch.give_up()
                    raise
                refused.endpoint.batch.refused(len(batch))
                continue
            updates += found
            if endpoint.batch.passed(len(batch)):
                _log.info("%s: %s takes %d accounts a request", endpoint.name, method, endpoint.batch.learned)
        return updates

    async def program_accounts(self, program_id: str, discriminator: bytes) -> list[AccountUpdate]:
        """Reads every account of a program that begins with ``discriminator``.

        Whoever calls it has another way to find the accounts, so it gives up after two tries.

        Raises:
            RpcRefused: many providers do not serve this method.
            RpcUnavailable: the endpoint gave no useful answer.
        """
        memcmp = {"offset": 0, "bytes": base64.b64encode(discriminator).decode(), "encoding": "base64"}
        options = {**self._options(), "withContext": True, "filters": [{"memcmp": memcmp}]}
        _, updates = await self._ask(
            "getProgramAccounts",
            [program_id, options],
            program_accounts_in,
            handled=_EVERY,
            tries=_TRIES_BEFORE_THE_FALLBACK,
        )
        return updates

    async def genesis_hash(self) -> str:
        """The chain's genesis hash, by whichever endpoint tells it: it is the same for all of them.

        Raises:
            RpcRefused, RpcUnavailable: none of them does.
        """
        method = "getGenesisHash"
        try:
            _, genesis = await self._ask(method, [], str, handled=_EVERY)
        except RpcRefused as refused:
            for other in (one for one in self._pool.endpoints if one is not refused.endpoint):
                try:
                    return await self._once(other, method, [], str)
                except (_TryAgain, RpcRefused):
                    continue
            raise
        return genesis

    async def slot(self, endpoint: Endpoint) -> int | None:
        """The newest slot of one endpoint, asked once; ``None`` where it does not answer."""
        try:
            async with asyncio.timeout(_SLOT_S):
                return await self._once(endpoint, "getSlot", [{"commitment": self.commitment}], slot_in)
        except (_TryAgain, RpcRefused, TimeoutError):
            return None

    def blame(self, why: str, *, at_once: bool = False) -> None:
        """The endpoint in use answers, and what it answers is of no use; ``at_once`` leaves it now."""
        self._pool.failed(self._pool.current, why, at_once=at_once)

    async def call(self, method: str, params: list[Any]) -> Any:
        """Makes one JSON-RPC call and returns its result.

        What may pass is tried again, with full jitter, and counts against the endpoint. An endpoint that refuses the
        method or the key is left for the next one.

        Raises:
            RpcRefused: every endpoint refuses it for good.
            RpcUnavailable: none answered usefully within ``give_up_after_s``.
        """
        _, result = await self._ask(method, params, _as_it_is)
        return result

    async def _ask(
        self,
        method: str,
        params: list[Any],
        read: Callable[[Any], _T],
        *,
        handled: Collection[Meaning] = (),
        tries: int | None = None,
    ) -> tuple[Endpoint, _T]:
        """One call: the endpoint that answered, and what ``read`` made of the result.

        Args:
            method, params: The call.
            read: Takes the result apart; one of another form is the endpoint's fault, and may pass.
            handled: Refusals of these meanings are raised at once, for the caller knows what to do.
            tries: Give up after so many, where it has not been given up before.
        """
        last, refusing = _NO_ANSWER, set[Endpoint]()
        stop = stop_never if tries is None else stop_after_attempt(tries)
        retrying = AsyncRetrying(retry=retry_if_exception_type(_TryAgain), wait=_full_jitter, stop=stop, reraise=True)
        try:
            async with asyncio.timeout(self._give_up_after_s):
                async for attempt in retrying:
                    endpoint = self._pool.current
                    endpoint.traffic.retries += attempt.retry_state.attempt_number > 1
                    with attempt:
                        try:
                            return endpoint, await self._once(endpoint, method, params, read)
                        except RpcRefused as refused:
                            refusing.add(endpoint)
                            if refused.refusal.meaning in handled:
                                raise
                            if refusing.issuperset(self._pool.endpoints):
                                raise RpcRefused(method, refused.refusal, endpoint, is_needed=True) from None
                            last = refused.refusal.said
                            self._pool.failed(endpoint, f"{method}: {last}", at_once=True)
                            raise _TryAgain(last) from None
                        except _TryAgain as failed:
                            if last == _NO_ANSWER or not isinstance(failed, _NotAsked):
                                last = str(failed)
                            at_once = failed.come_back_s > _LONG_PAUSE_S
                            self._pool.failed(endpoint, f"{method}: {last}", at_once=at_once)
                            raise
        except TimeoutError:
            raise self._gave_up(method, f"{self._give_up_after_s:g} s", last) from None
        except _TryAgain:
            raise self._gave_up(method, f"{tries} times", last) from None
        raise AssertionError("unreachable: tenacity returns or raises")

    def _gave_up(self, method: str, so_long: str, last: str) -> RpcUnavailable:
        return RpcUnavailable(f"{self.name}: {method} failed for {so_long} ({last}): check the RPC URL and its plan")

    async def _once(self, endpoint: Endpoint, method: str, params: list[Any], read: Callable[[Any], _T]) -> _T:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"content-type": "application/json"}
        try:
            response = await self._http[endpoint].post(endpoint.http_url, content=body, headers=headers)
        except CircuitOpen as error:
            raise _NotAsked(str(error)) from None
        except httpx.HTTPError as error:
            raise _TryAgain(redact(f"{type(error).__name__} {error}".rstrip())) from None
        pause_s = retry_after_s(response.headers.get("retry-after"))
        if response.status_code != httpx.codes.OK:
            raise _refused(endpoint, method, refusal_of_http(response.status_code, response.content, pause_s))
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise _TryAgain("the answer is no JSON") from None
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise _TryAgain("the answer is no JSON-RPC")
        if "result" not in answer or answer.get("error"):
            endpoint.traffic.failures[method] += 1
            raise _refused(endpoint, method, refusal_of_error(answer["error"]))
        try:
            found = read(answer["result"])
        except (LookupError, TypeError, ValueError) as error:
            raise _TryAgain(redact(f"an answer of another form: {error}")) from None
        self._pool.worked(endpoint)
        return found

    def _options(self) -> dict[str, Any]:
        return {"encoding": "base64", "commitment": self.commitment}


def _refused(endpoint: Endpoint, method: str, refusal: Refusal) -> RpcRefused | _TryAgain:
    """The exception for a refusal; an endpoint that says when to come back is left alone until then."""
    if refusal.meaning is not Meaning.PASSING:
        return RpcRefused(method, refusal, endpoint)
    if refusal.retry_after_s:
        endpoint.budget.pause(refusal.retry_after_s)
    return _TryAgain(refusal.said, come_back_s=refusal.retry_after_s)


def _as_it_is(result: Any) -> Any:
    return result
