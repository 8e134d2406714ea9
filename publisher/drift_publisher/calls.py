"""One JSON-RPC call over HTTP: tried again where its fault may pass, for as long as its caller has patience."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import httpx
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_never, wait_random_exponential

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import PublisherError, RpcUnavailable
from drift_publisher.http_transport import BudgetTransport, CircuitOpen, retry_after_s
from drift_publisher.redact import redact
from drift_publisher.refusals import Meaning, Refusal, refusal_of_error, refusal_of_http

__all__ = ["CallFailed", "RpcCalls", "RpcRefused"]

_T = TypeVar("_T")
_ONE_ANSWER_S: Final = 10.0
_LONG_PAUSE_S: Final = 5.0
_MALFORMED_BEFORE_IT_GIVES_UP: Final = 3
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


class CallFailed(RuntimeError):
    """One try failed by a fault that may pass."""

    def __init__(self, why: str, *, come_back_s: float = 0.0, is_throttled: bool = False) -> None:
        super().__init__(why)
        self.come_back_s = come_back_s
        self.is_throttled = is_throttled


class _NotAsked(CallFailed):
    """The circuit breaker is open: why is what the endpoint said before."""


class _Malformed(CallFailed):
    """The answer has another form."""


class RpcCalls:
    """Makes calls to the endpoints of a pool.

    Args:
        pool: Each call goes to the endpoint in use.
        patience_s: How long one call keeps trying, its waiting included, where its caller does not say.
    """

    def __init__(self, pool: EndpointPool, *, patience_s: float) -> None:
        self._pool = pool
        self._patience_s = patience_s
        self._http = {
            endpoint: httpx.AsyncClient(transport=BudgetTransport(endpoint), timeout=_ONE_ANSWER_S)
            for endpoint in pool.endpoints
        }
        for noisy in ("httpx", "httpcore"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    async def aclose(self) -> None:
        """Closes the connections."""
        for client in self._http.values():
            await client.aclose()

    async def ask(
        self,
        method: str,
        params: list[Any],
        read: Callable[[Any], _T],
        *,
        handled: Collection[Meaning] = (),
        tries: int | None = None,
        waits_out_throttling: bool = False,
        only: Endpoint | None = None,
        patience_s: float | None = None,
    ) -> tuple[Endpoint, _T]:
        """One call: the endpoint that answered, and what ``read`` made of the result.

        Args:
            method, params: The call.
            read: Takes the result apart; one of another form is the endpoint's fault, and may pass.
            handled: Refusals of these meanings are raised at once, because the caller knows what to do.
            tries: Give up after so many, where it has not been given up before.
            waits_out_throttling: A try that only told that we ask too often is none of them: it says nothing about
                the call. Some endpoints refuse a method for good in these words, though.
            only: Ask this endpoint, whichever is in use.
            patience_s: Keep trying for so long, whatever the answers are like. Without it the patience is the usual
                one, and it ends at once where an endpoint answers in another form time after time and no other takes
                its place.

        Raises:
            RpcRefused: a refusal that is handled, or the endpoints all refuse it for good.
            RpcUnavailable: nothing of use came in time.
        """
        last, refusing, malformed = _NO_ANSWER, set[Endpoint](), Counter[Endpoint]()
        limit_s = self._patience_s if patience_s is None else patience_s
        tried = 0
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(CallFailed),
            wait=_full_jitter,
            stop=stop_never if tries is None else lambda _: tried >= tries,
            reraise=True,
        )
        endpoint = only or self._pool.current
        try:
            async with asyncio.timeout(limit_s):
                async for attempt in retrying:
                    endpoint = only or self._pool.current
                    endpoint.traffic.retries += attempt.retry_state.attempt_number > 1
                    with attempt:
                        try:
                            return endpoint, await self.once(endpoint, method, params, read)
                        except RpcRefused as refused:
                            refusing.add(endpoint)
                            if refused.refusal.meaning in handled:
                                raise
                            if refusing.issuperset(self._pool.endpoints):
                                raise RpcRefused(method, refused.refusal, endpoint, is_needed=True) from None
                            last = refused.refusal.said
                            self._pool.failed(endpoint, f"{method}: {last}", at_once=True)
                            raise CallFailed(last) from None
                        except CallFailed as failed:
                            if last == _NO_ANSWER or not isinstance(failed, _NotAsked):
                                last = str(failed)
                            tried += not (waits_out_throttling and failed.is_throttled)
                            at_once = failed.come_back_s > _LONG_PAUSE_S
                            self._pool.failed(endpoint, f"{method}: {last}", at_once=at_once)
                            malformed[endpoint] += isinstance(failed, _Malformed)
                            is_hopeless = malformed[endpoint] >= _MALFORMED_BEFORE_IT_GIVES_UP
                            if patience_s is None and is_hopeless and endpoint is (only or self._pool.current):
                                so_often = f"{_MALFORMED_BEFORE_IT_GIVES_UP} times"
                                raise self._gave_up(endpoint, method, so_often, last) from None
                            raise
        except TimeoutError:
            self._pool.failed(endpoint, f"{method}: {last} within {limit_s:g} s")
            raise self._gave_up(endpoint, method, f"{limit_s:g} s", last) from None
        except CallFailed:
            raise self._gave_up(endpoint, method, f"{tries} times", last) from None
        raise AssertionError("unreachable: tenacity returns or raises")

    async def once(self, endpoint: Endpoint, method: str, params: list[Any], read: Callable[[Any], _T]) -> _T:
        """One try at one endpoint: what ``read`` made of the result.

        Raises:
            RpcRefused: the endpoint refuses it for good.
            CallFailed: it failed by what may pass.
        """
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"content-type": "application/json"}
        try:
            response = await self._http[endpoint].post(endpoint.http_url, content=body, headers=headers)
        except CircuitOpen as error:
            raise _NotAsked(str(error)) from None
        except httpx.HTTPError as error:
            raise CallFailed(redact(f"{type(error).__name__} {error}".rstrip())) from None
        pause_s = retry_after_s(response.headers.get("retry-after"))
        if response.status_code != httpx.codes.OK:
            raise _refused(endpoint, method, refusal_of_http(response.status_code, response.content, pause_s))
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise _Malformed("the answer is no JSON") from None
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise _Malformed("the answer is no JSON-RPC")
        if "result" not in answer or answer.get("error"):
            endpoint.traffic.failures[method] += 1
            raise _refused(endpoint, method, refusal_of_error(answer["error"]))
        try:
            found = read(answer["result"])
        except (LookupError, TypeError, ValueError) as error:
            raise _Malformed(redact(f"an answer of another form: {error}")) from None
        self._pool.worked(endpoint)
        return found

    def _gave_up(self, endpoint: Endpoint, method: str, so_long: str, last: str) -> RpcUnavailable:
        return RpcUnavailable(
            f"{endpoint.name}: {method} failed for {so_long} ({last}): check the RPC URL and its plan"
        )


def _refused(endpoint: Endpoint, method: str, refusal: Refusal) -> RpcRefused | CallFailed:
    """The exception for a refusal; an endpoint that says when to come back is left alone until then."""
    if refusal.meaning is not Meaning.PASSING:
        return RpcRefused(method, refusal, endpoint)
    if refusal.retry_after_s:
        endpoint.budget.pause(refusal.retry_after_s)
    return CallFailed(refusal.said, come_back_s=refusal.retry_after_s, is_throttled=refusal.is_throttled)
