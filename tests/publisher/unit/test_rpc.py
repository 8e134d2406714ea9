"""JSON-RPC over HTTP: what may pass is tried again, what is refused says so, no shape of an answer is a crash."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import PublisherError, RpcUnavailable
from drift_publisher.http_transport import BudgetTransport
from drift_publisher.rpc import RpcClient, RpcRefused

A, B, C = "AccountA", "AccountB", "AccountC"


def account(data: bytes = b"bytes", owner: str = "Owner") -> dict[str, Any]:
    return {"data": [base64.b64encode(data).decode(), "base64"], "owner": owner, "lamports": 1}


def several(*values: Any, slot: Any = 7) -> dict[str, Any]:
    return {"result": {"context": {"slot": slot}, "value": list(values)}}


class Script:
    """Answers one after the other, the last one for ever; keeps what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(orjson.loads(request.content))
        answer = self.answers.pop(0) if self.answers[1:] else self.answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=answer if isinstance(answer, bytes) else orjson.dumps(answer))


class Scripted(RpcClient):
    """Our client, with endpoints that a script plays."""

    def __init__(self, *scripts: Callable[[httpx.Request], httpx.Response], give_up_after_s: float = 1.0) -> None:
        self.pool = EndpointPool(
            [Endpoint(f"http://node{n}.example", "ws://x", rate_per_s=500, burst=500) for n in range(len(scripts))]
        )
        super().__init__(self.pool, give_up_after_s=give_up_after_s)
        for endpoint, script in zip(self.pool.endpoints, scripts, strict=True):
            transport = BudgetTransport(endpoint, inner=httpx.MockTransport(script))
            self._http[endpoint] = httpx.AsyncClient(transport=transport)


@pytest.fixture(autouse=True)
async def short_waits(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Retries come at once, so that a test takes no longer than it needs."""
    monkeypatch.setattr("drift_publisher.rpc._full_jitter", lambda _: 0.001)
    monkeypatch.setattr("random.uniform", lambda low, high: min(high, 0.001))
    yield


async def test_a_missing_account_in_the_middle_shifts_nothing() -> None:
    rpc = Scripted(Script(several(account(b"a"), None, account(b"c"))))
    updates = await rpc.accounts([A, B, C])
    assert [(update.address, update.data) for update in updates] == [(A, b"a"), (B, None), (C, b"c")]


async def test_accounts_are_read_a_hundred_at_a_time_in_order() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = orjson.loads(request.content)["params"][0]
        assert len(asked) <= 100
        return httpx.Response(200, content=orjson.dumps(several(*(account(name.encode()) for name in asked))))

    names = [f"Account{number}" for number in range(250)]
    updates = await Scripted(answer).accounts(names)
    assert [(update.address, update.data) for update in updates] == [(name, name.encode()) for name in names]


@pytest.mark.parametrize(
    "answer",
    [
        several(account()),
        several(account(), account(), account(), account()),
        several(),
        {"result": None},
        {"result": []},
        {"result": "nothing"},
        {"result": {"context": {}, "value": [None, None, None]}},
        {"result": {"context": {"slot": 7}}},
        {"result": {"context": {"slot": 7}, "value": None}},
        several(None, None, None, slot=None),
        several(None, None, None, slot="soon"),
        several("text", None, None),
        several([], None, None),
        several({}, None, None),
        several({"data": None, "owner": "O"}, None, None),
        several({"data": "zzz", "owner": "O"}, None, None),
        several({"data": ["a", "base64"], "owner": "O"}, None, None),
        several({"data": {"parsed": {}}, "owner": "O"}, None, None),
    ],
    ids=repr,
)
async def test_accounts_of_another_form_are_the_endpoints_fault(answer: Any) -> None:
    """A short list above all: no account may take another one's place."""
    with pytest.raises(RpcUnavailable, match=r"node0.*getMultipleAccounts.*another form"):
        await Scripted(Script(answer)).accounts([A, B, C])


@pytest.mark.parametrize(
    "answer",
    [{"result": {"value": []}}, {"result": []}, {"result": {"context": {"slot": 1}, "value": [{"account": {}}]}}],
    ids=repr,
)
async def test_program_accounts_of_another_form_are_the_endpoints_fault(answer: Any) -> None:
    with pytest.raises(RpcUnavailable, match="another form"):
        await Scripted(Script(answer)).program_accounts("Program", b"12345678")


@pytest.mark.parametrize(
    "passing",
    [
        httpx.Response(429, html="<html>429 Too Many Requests</html>"),
        httpx.Response(503, text="upstream connect error"),
        httpx.Response(200, html="<html>Just a moment</html>"),
        b"\xff\xfe",
        b"",
        [],
        "text",
        7,
        None,
        {},
        {"jsonrpc": "2.0", "id": 1},
        {"error": {"code": -32005, "message": "Node is behind by 80 slots"}},
        {"error": {"code": 429, "message": "Too many requests for a specific RPC call"}},
        {"error": {"code": -32016, "message": "Minimum context slot has not been reached"}},
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_what_may_pass_is_tried_again(passing: Any) -> None:
    script = Script(passing, passing, {"result": 42})
    rpc = Scripted(script, give_up_after_s=10)
    assert await rpc.call("getSlot", []) == 42
    assert len(script.asked) == 3
    assert rpc.pool.current.traffic.retries == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": -32601, "message": "Method not found"}, "getSlot: JSON-RPC error -32601: Method not found"),
        ({"message": "no code"}, "JSON-RPC error 0: no code"),
        ({"code": None, "message": None}, "JSON-RPC error None: None"),
        ({"code": [], "message": {"a": 1}, "data": None}, "JSON-RPC error"),
        ("Unauthorized", "Unauthorized"),
        (["no"], "no"),
        (5, "5"),
    ],
)
async def test_a_refusal_of_any_form_is_an_error_of_ours_and_not_tried_again(error: Any, said: str) -> None:
    script = Script({"jsonrpc": "2.0", "id": 1, "error": error})
    rpc = Scripted(script)
    with pytest.raises(RpcRefused) as caught:
        await rpc.call("getSlot", [])
    assert said in str(caught.value)
    assert isinstance(caught.value, PublisherError), "the command shows it as one line"
    assert len(script.asked) == 1
    assert rpc.pool.current.traffic.failures["getSlot"] == 1


@pytest.mark.parametrize("answer", [{"error": None}, {"error": {}}])
async def test_an_empty_error_without_a_result_is_a_refusal(answer: Any) -> None:
    with pytest.raises(RpcRefused):
        await Scripted(Script(answer)).call("getSlot", [])


async def test_it_gives_up_in_one_line_that_names_endpoint_method_and_remedy() -> None:
    rpc = Scripted(Script(httpx.Response(503)), give_up_after_s=0.2)
    with pytest.raises(RpcUnavailable, match=r"http://node0\.example: getSlot failed for 0\.2 s .*check the RPC URL"):
        await rpc.call("getSlot", [])


async def test_the_next_endpoint_answers_where_the_first_does_not() -> None:
    first, second = Script(httpx.Response(503)), Script({"result": 42})
    rpc = Scripted(first, second, give_up_after_s=5)
    assert await rpc.call("getSlot", []) == 42
    assert len(first.asked) == 3
    assert rpc.pool.current is rpc.pool.endpoints[1]
    assert rpc.name == "http://node1.example"


async def test_the_slot_of_an_endpoint_that_does_not_tell_is_none() -> None:
    for script in (Script(httpx.Response(500)), Script({"error": {"code": 1}}), Script({"result": "late"})):
        rpc = Scripted(script)
        assert await rpc.slot(rpc.pool.current) is None
        assert len(script.asked) == 1, "asked once"


async def test_the_slot_of_a_paused_endpoint_holds_up_nobody() -> None:
    """It said to come back in a minute; those who only compare slots do not wait for it."""
    rpc = Scripted(Script({"result": 42}))
    rpc.pool.current.budget.pause(60)
    async with asyncio.timeout(60):
        assert await rpc.slot(rpc.pool.current) is None
