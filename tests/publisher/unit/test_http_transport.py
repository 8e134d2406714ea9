"""What goes over HTTP is counted by method, paid from the budget, and stopped where the endpoint says no."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

import httpx
import pytest

from drift_publisher.budget import CircuitBreaker, TokenBucket
from drift_publisher.endpoints import Endpoint, Traffic
from drift_publisher.http_transport import BudgetTransport, CircuitOpen, retry_after_s
from tests.publisher.unit.virtual_time import VirtualTime, let_run
from tests.support.wait import wait_until

Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Provider:
    """An endpoint in virtual time whose answers the test decides."""

    time: VirtualTime = field(default_factory=VirtualTime)
    answer: Answer = lambda _: httpx.Response(200, content=b"{}")
    asked: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.endpoint = Endpoint("http://node.example", "ws://node.example")
        self.endpoint.budget = TokenBucket(2.0, 4, clock=self.time, sleep=self.time.sleep)
        self.endpoint.breaker = CircuitBreaker(limit=3, clock=self.time)
        inner = httpx.MockTransport(self._answer)
        self.client = httpx.AsyncClient(transport=BudgetTransport(self.endpoint, inner=inner))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)

    @property
    def traffic(self) -> Traffic:
        return self.endpoint.traffic

    async def post(self, *methods: str) -> httpx.Response:
        """One call, or a batch of several."""
        calls = [{"jsonrpc": "2.0", "id": 1, "method": method} for method in methods]
        return await self.client.post("http://node.example", content=json.dumps(calls if calls[1:] else calls[0]))


@pytest.fixture
def provider() -> Provider:
    return Provider()


def refusing(status: int, **headers: str) -> Answer:
    return lambda _: httpx.Response(status, headers={name.replace("_", "-"): text for name, text in headers.items()})


async def test_requests_are_counted_by_method_each_call_of_a_batch_too(provider: Provider) -> None:
    await provider.post("getSlot")
    await provider.post("getSlot", "getHealth", "getSlot")
    assert provider.traffic.requests == {"getSlot": 3, "getHealth": 1}
    assert not provider.traffic.failures


async def test_a_batch_costs_a_token_for_each_call(provider: Provider) -> None:
    await provider.post("getSlot", "getSlot", "getSlot")
    assert provider.endpoint.budget.level == 1


@pytest.mark.parametrize("body", [b"\xff not json", b"7", b"[]", b"[1, 2]", b'{"id": 1}'])
async def test_a_body_without_a_method_is_counted_as_unknown(provider: Provider, body: bytes) -> None:
    await provider.client.post("http://node.example", content=body)
    assert provider.traffic.requests == {"unknown": 1}


async def test_bytes_are_counted_both_ways(provider: Provider) -> None:
    provider.answer = lambda _: httpx.Response(200, content=b"x" * 1000)
    await provider.client.post("http://node.example", content=b"y" * 30)
    assert (provider.traffic.bytes_out, provider.traffic.bytes_in) == (30, 1000)


async def test_429_pauses_everything_for_as_long_as_it_says(provider: Provider) -> None:
    provider.answer = refusing(429, retry_after="7")
    assert (await provider.post("getSlot")).status_code == 429
    assert provider.traffic.throttled == 1
    assert provider.traffic.failures == {"getSlot": 1}
    provider.answer = refusing(200)
    later = asyncio.create_task(provider.post("getHealth"))
    await provider.time.advance(6.9)
    assert len(provider.asked) == 1
    await provider.time.advance(1)
    assert (await later).status_code == 200


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 414, 415, 422, 501])
async def test_a_refusal_of_one_request_is_no_reason_to_leave_the_endpoint_alone(
    provider: Provider, status: int
) -> None:
    """A plan that serves no such method, or not so much at once, serves the rest."""
    provider.answer = refusing(status)
    for _ in range(4):
        assert (await provider.post("getProgramAccounts")).status_code == status
        await provider.time.advance(1)
    assert not provider.endpoint.breaker.is_open
    assert provider.traffic.failures == {"getProgramAccounts": 4}


async def test_a_503_that_says_when_to_come_back_is_heeded(provider: Provider) -> None:
    provider.answer = refusing(503, retry_after="7")
    await provider.post("getSlot")
    provider.answer = refusing(200)
    again = asyncio.create_task(provider.post("getSlot"))
    await provider.time.advance(6.9)
    assert not again.done()
    await provider.time.advance(1)
    assert (await again).status_code == 200


async def test_those_who_wait_for_the_budget_when_429_comes_wait_on(provider: Provider) -> None:
    provider.answer = refusing(429, retry_after="7")
    waiting = [asyncio.create_task(provider.post("getSlot")) for _ in range(6)]
    await let_run()
    sent = len(provider.asked)
    provider.answer = refusing(200)
    await provider.time.advance(6.9)
    assert len(provider.asked) == sent <= 4, "the burst was on its way, nobody else goes"
    await provider.time.advance(60)
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 403])
async def test_refusals_open_the_circuit(provider: Provider, status: int) -> None:
    provider.answer = refusing(status)
    for _ in range(3):
        await provider.time.advance(1)  # 429 empties the bucket
        await provider.post("getSlot")
    with pytest.raises(CircuitOpen, match="failed too often") as caught:
        await provider.post("getSlot")
    assert caught.value.retry_in_s > 0
    assert len(provider.asked) == 3
    assert provider.traffic.requests == provider.traffic.failures == {"getSlot": 3}, "what is not sent is not counted"


def broken(error: type[httpx.RequestError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return answer


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_broken_connections_count_and_open_the_circuit(
    provider: Provider, error: type[httpx.RequestError]
) -> None:
    provider.answer = broken(error)
    for _ in range(3):
        with pytest.raises(error):
            await provider.post("getSlot")
    assert provider.traffic.failures == {"getSlot": 3}
    assert provider.endpoint.breaker.is_open


async def test_a_body_that_is_not_packed_as_it_says_is_a_failure(provider: Provider) -> None:
    class Lying(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"this is not gzip"

    provider.answer = lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Lying())
    with pytest.raises(httpx.DecodingError):
        await provider.post("getSlot")
    assert provider.traffic.failures == {"getSlot": 1}


async def test_a_packed_answer_is_read(provider: Provider) -> None:
    packed = gzip.compress(b'{"result": 5}')
    provider.answer = lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, content=packed)
    assert (await provider.post("getSlot")).json() == {"result": 5}


async def test_one_request_tries_whether_the_endpoint_is_back(provider: Provider) -> None:
    provider.answer = refusing(503)
    for _ in range(3):
        await provider.post("getSlot")
    await provider.time.advance(60)
    tries = await asyncio.gather(*(provider.post("getSlot") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, CircuitOpen) for one in tries) == 3
    assert len(provider.asked) == 4
    await provider.time.advance(60)
    provider.answer = refusing(200)
    await provider.post("getSlot")
    assert all(one.status_code == 200 for one in await asyncio.gather(*(provider.post("getSlot") for _ in range(2))))


async def test_those_who_wait_for_the_budget_are_not_sent_once_the_circuit_is_open(provider: Provider) -> None:
    provider.answer = refusing(503)
    asking = [asyncio.create_task(provider.post("getSlot")) for _ in range(8)]
    await provider.time.advance(10)
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert any(isinstance(one, CircuitOpen) for one in outcomes)
    assert len(provider.asked) < 8


async def test_a_try_that_is_cancelled_makes_room_for_the_next(provider: Provider) -> None:
    provider.answer = refusing(503)
    for _ in range(3):
        await provider.post("getSlot")
    await provider.time.advance(60)

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    hanging = BudgetTransport(provider.endpoint, inner=httpx.MockTransport(never))
    trying = asyncio.create_task(hanging.handle_async_request(httpx.Request("POST", "http://node.example", json={})))
    await let_run()
    assert provider.endpoint.breaker.is_open
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    provider.answer = refusing(200)
    assert (await provider.post("getSlot")).status_code == 200
    await hanging.aclose()


@pytest.mark.parametrize("turns", range(12))
async def test_whoever_asks_again_and_again_ends_when_cancelled_at_any_moment_of_a_request(turns: int) -> None:
    """A cancellation that comes while anyio connects must neither be lost nor cost the socket."""
    open_sockets = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_sockets
        open_sockets += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(2)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        open_sockets -= 1

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = BudgetTransport(Endpoint(url, "ws://node.example"))

        async def ask() -> None:
            while True:
                await transport.handle_async_request(httpx.Request("POST", url, content=b"{}"))

        asking = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await wait_until(asking.done, what="it ends")
        assert asking.cancelled()
        await transport.aclose()
        await wait_until(lambda: not open_sockets, what="the sockets are closed")


async def test_a_body_is_sent_plain_and_says_nothing_else(provider: Provider) -> None:
    await provider.post("getSlot")
    [request] = provider.asked
    assert "content-encoding" not in request.headers
    assert json.loads(request.content)["method"] == "getSlot"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("", 0), ("3", 3), ("0.5", 0.5), ("-4", 0), ("soon", 0), ("nan", 0), ("inf", 300), ("99999", 300)],
)
def test_retry_after_is_a_number_of_seconds_within_reason(header: str | None, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    import time

    assert retry_after_s(formatdate(time.time() + 20, usegmt=True)) == pytest.approx(20, abs=1.5)
    assert retry_after_s(formatdate(time.time() - 20, usegmt=True)) == 0
