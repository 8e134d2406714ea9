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


def rpc_error(code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


BUSY = (-32603, -32000, -32003, -32005, -32007, -32029, -32097, -32429, 429, 500, 35)
"""Numbers with which providers say that they are busy, and some that nobody knows."""


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

    def __init__(
        self,
        *scripts: Callable[[httpx.Request], httpx.Response],
        give_up_after_s: float = 1.0,
        pool: EndpointPool | None = None,
    ) -> None:
        self.pool = pool or EndpointPool(
            [Endpoint(f"http://node{n}.example", "ws://x", rate_per_s=500, burst=500) for n in range(len(scripts))]
        )
        super().__init__(self.pool, give_up_after_s=give_up_after_s)
        for endpoint, script in zip(self.pool.endpoints, scripts, strict=True):
            transport = BudgetTransport(endpoint, inner=httpx.MockTransport(script))
            self._calls._http[endpoint] = httpx.AsyncClient(transport=transport)


class Limited:
    """A provider whose plan allows so many accounts a request; each seventh account does not exist."""

    def __init__(self, limit: int, status: int, body: Any = None) -> None:
        self.limit = limit
        self.refused = 0
        self._status = status
        self._body = b"" if body is None else orjson.dumps(body)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = orjson.loads(request.content)["params"][0]
        if len(asked) > self.limit:
            self.refused += 1
            return httpx.Response(self._status, content=self._body)
        values = (None if int(name[7:]) % 7 == 3 else account(name.encode()) for name in asked)
        return httpx.Response(200, content=orjson.dumps(several(*values)))


@pytest.fixture(
    params=[
        (5, 200, rpc_error(-32602, "Too many inputs provided; max 5")),
        (20, 413, None),
        (75, 413, rpc_error(-32000, "request entity too large")),
        (1, 400, rpc_error(-32602, "Invalid params")),
        (20, 400, {"error": "getMultipleAccounts is limited to 20 addresses"}),
        (20, 403, rpc_error(-32000, "your plan allows at most 20 accounts")),
    ],
    ids=lambda value: f"{value[0]} by {value[1]}",
)
def limited(request: pytest.FixtureRequest) -> Limited:
    return Limited(*request.param)


@pytest.fixture(autouse=True)
async def short_waits(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Retries come at once, so that a test takes no longer than it needs."""
    monkeypatch.setattr("drift_publisher.calls._full_jitter", lambda _: 0.001)
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
async def test_accounts_of_another_form_are_the_endpoints_fault(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A short list above all: no account may take another one's place. The next endpoint is asked instead."""
    sound = Script(several(account(b"a"), None, account(b"c")))
    rpc = Scripted(Script(answer), sound, give_up_after_s=10)
    assert [(update.address, update.data) for update in await rpc.accounts([A, B, C])] == [
        (A, b"a"),
        (B, None),
        (C, b"c"),
    ]
    left = "from http://node0.example to http://node1.example: getMultipleAccounts: an answer of another form"
    assert left in caplog.text


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
        *({"error": {"code": code, "message": "busy"}} for code in BUSY),
        {"error": {"message": "no code"}},
        {"error": {"code": None, "message": None}},
        {"error": {"code": [], "message": {"a": 1}, "data": None}},
        {"error": {"code": True, "message": "?"}},
        {"error": "server error"},
        {"error": ["no"]},
        {"error": None},
        {"error": {}},
        httpx.Response(403, json={"error": {"code": -32005, "message": "too many requests"}}),
        httpx.Response(429, json={"error": {"code": -32600, "message": "too many requests"}}),
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
    ("refusal", "said"),
    [
        (rpc_error(-32601, "Method not found"), "JSON-RPC error -32601: Method not found"),
        (rpc_error(-32602, "Invalid params: WrongSize"), "JSON-RPC error -32602: Invalid params: WrongSize"),
        (rpc_error(-32600, "not on\n\tyour   plan"), "JSON-RPC error -32600: not on your plan"),
        (rpc_error(403, "blocked"), "JSON-RPC error 403: blocked"),
        (httpx.Response(401, json={"message": "Unauthorized"}), "HTTP 401: Unauthorized"),
        (httpx.Response(403, content=b""), "HTTP 403"),
        (httpx.Response(403, html="<style>p {}</style><h1>Sorry</h1>\n<p>blocked"), "HTTP 403: Sorry blocked"),
        (httpx.Response(404, text="no such path"), "HTTP 404: no such path"),
        (httpx.Response(410, json=["gone"]), "HTTP 410: gone"),
        (httpx.Response(403, json={"error": {"code": -32601, "message": "no"}}), "HTTP 403, JSON-RPC error -32601: no"),
        (httpx.Response(500, json={"error": {"code": -32601, "message": "no"}}), "HTTP 500, JSON-RPC error -32601: no"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_lasting_refusal_of_any_form_is_told_and_not_tried_again(refusal: Any, said: str) -> None:
    script = Script(refusal)
    rpc = Scripted(script)
    with pytest.raises(RpcRefused) as caught:
        await rpc.call("getSlot", [])
    assert said in str(caught.value)
    assert "DRIFT_BUS_RPC_URL" in str(caught.value), "it names the setting"
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, PublisherError), "the command shows it as one line"
    assert len(script.asked) == 1
    assert rpc.pool.current.traffic.failures["getSlot"] == 1


@pytest.mark.parametrize("refusal", [httpx.Response(403), rpc_error(-32601, "Method not found")])
async def test_a_lasting_refusal_is_no_end_while_another_endpoint_answers(refusal: Any) -> None:
    first, second = Script(refusal), Script({"result": 42})
    rpc = Scripted(first, second)
    assert await rpc.call("getSlot", []) == 42
    assert len(first.asked) == 1
    assert rpc.name == "http://node1.example"


@pytest.mark.parametrize(
    "data",
    [
        {"retry_after": 60},
        {"retryAfter": "60"},
        {"retry_after_ms": 60_000},
        {"try_again_in": "60s"},
        {"rate": {"backoff_seconds": 60, "allowed_rps": 1}, "see": "https://provider.example"},
    ],
    ids=repr,
)
async def test_an_endpoint_that_says_when_to_come_back_is_left_alone_until_then(data: Any) -> None:
    busy, second = Script({"error": {"code": -32029, "message": "busy", "data": data}}), Script({"result": 42})
    rpc = Scripted(busy, second)
    assert await rpc.call("getSlot", []) == 42
    assert len(busy.asked) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await rpc.pool.endpoints[0].budget.acquire()


async def test_a_request_that_is_too_large_for_the_plan_is_halved_in_order(limited: Limited) -> None:
    """The size is kept for this endpoint, nothing is lost or moved, and the circuit breaker does not open."""
    names = [f"Account{number}" for number in range(230)]
    rpc, refused_before = Scripted(limited), 0
    for _ in range(2):
        refused_before = limited.refused
        found = await rpc.accounts(names)
        assert [update.address for update in found] == names
        assert [update.data for update in found] == [None if n % 7 == 3 else names[n].encode() for n in range(230)]
    assert limited.refused == refused_before, "the second reading knows the size"
    assert limited.limit / 2 < rpc.pool.current.batch.learned <= limited.limit
    assert not rpc.pool.current.breaker.is_open


async def test_the_size_is_known_for_each_endpoint(limited: Limited) -> None:
    free = Limited(100, 200)
    rpc = Scripted(limited, free)
    await rpc.accounts([f"Account{number}" for number in range(100)])
    rpc.pool.failed(rpc.pool.current, "dead", at_once=True)
    await rpc.accounts([f"Account{number}" for number in range(100)])
    assert rpc.pool.endpoints[1].batch.learned == 100
    assert rpc.pool.endpoints[0].batch.learned <= limited.limit


async def test_a_request_that_is_refused_at_any_size_says_so_and_nothing_is_learnt() -> None:
    rpc = Scripted(Script(rpc_error(-32602, "Invalid params")))
    with pytest.raises(RpcRefused, match="-32602"):
        await rpc.accounts([f"Account{number}" for number in range(100)])
    assert rpc.pool.current.batch.learned == rpc.pool.current.batch.next() == 100


async def test_a_secret_that_a_refusal_repeats_is_not_shown() -> None:
    key = "s3cr3tK3y0123456789"
    pool = EndpointPool([Endpoint(f"http://node.example/{key}", f"ws://node.example/{key}")])
    for page in (f"<p>Key {key} is blocked at http://node.example/{key}</p>", f'{{"message": "{key}"}}'):
        rpc = Scripted(Script(httpx.Response(403, text=page)), pool=pool)
        with pytest.raises(RpcRefused) as caught:
            await rpc.call("getSlot", [])
        assert key not in str(caught.value)


async def test_of_an_endless_refusal_only_the_beginning_is_read() -> None:
    sent = 0

    async def page() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"blocked " * 128

    rpc = Scripted(Script(httpx.Response(403, content=page())))
    with pytest.raises(RpcRefused, match="HTTP 403: blocked"):
        await rpc.call("getSlot", [])
    assert sent < 100


async def test_the_genesis_hash_is_told_by_whichever_endpoint_does() -> None:
    rpc = Scripted(Script(httpx.Response(403)), Script(rpc_error(-32601, "no")), Script({"result": "Genesis"}))
    assert await rpc.genesis_hash() == "Genesis"
    assert rpc.name == "http://node0.example", "it serves all else, and stays in use"


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ({"error": {"code": 35, "message": "method disabled"}}, "35: method disabled"),
        (httpx.Response(504, html="<h1>Gateway Time-out</h1>"), "HTTP 504"),
        (b"<html>", "no JSON"),
        ({"result": None}, "another form"),
        ({"result": 7}, "another form"),
    ],
    ids=repr,
)
async def test_a_genesis_hash_that_nobody_tells_costs_two_tries_of_each_endpoint(refusal: Any, said: str) -> None:
    """However patient the start is: its caller has an answer of its own."""
    scripts = Script(refusal), Script(refusal)
    rpc = Scripted(*scripts)
    with pytest.raises(RpcUnavailable, match=said):
        await rpc.genesis_hash(patience_s=3600)
    assert [len(script.asked) for script in scripts] == [2, 2]


@pytest.mark.parametrize(
    "throttle",
    [
        httpx.Response(429),
        httpx.Response(429, json=rpc_error(-32000, "slow down")),
        rpc_error(-32429, "slow down"),
        rpc_error(429, "slow down"),
    ],
)
async def test_a_genesis_hash_is_waited_for_where_we_only_ask_too_often(throttle: Any) -> None:
    """Without it a publisher would name its cluster ``unknown`` until it is started again."""
    assert await Scripted(Script(*5 * [throttle], {"result": "Genesis"})).genesis_hash(patience_s=60) == "Genesis"


async def test_program_accounts_are_asked_for_twice_whatever_is_said() -> None:
    """Public endpoints say HTTP 429 to this method for good, and each such answer makes all other requests wait."""
    script = Script(httpx.Response(429, json=rpc_error(429, "Too many requests for a specific RPC call")))
    with pytest.raises(RpcUnavailable, match="failed for 2 times"):
        await Scripted(script, give_up_after_s=3600).program_accounts("Program", b"12345678")
    assert len(script.asked) == 2


async def test_answers_of_another_form_cost_a_living_source_three_tries_and_a_start_its_patience() -> None:
    script = Script(several())
    rpc = Scripted(script, give_up_after_s=3600)
    with pytest.raises(RpcUnavailable, match=r"failed for 3 times .*another form"):
        await rpc.accounts([A])
    assert len(script.asked) == 3
    patient = Script(*8 * [several()], several(account(b"a")))
    assert [update.data for update in await Scripted(patient).accounts([A], patience_s=3600)] == [b"a"]


async def test_answers_of_another_form_by_every_endpoint_end_too() -> None:
    scripts = Script(several()), Script({"result": None})
    with pytest.raises(RpcUnavailable, match="another form"):
        await Scripted(*scripts, give_up_after_s=3600).accounts([A])
    assert [len(script.asked) for script in scripts] == [4, 3], "each its turn, and the first once more"


async def test_an_endpoint_that_does_not_answer_in_time_counts_as_failed() -> None:
    """A single answer may take longer than a living source has patience, and still the next endpoint is to be used."""

    async def silence(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    pool = EndpointPool([Endpoint(f"http://node{n}.example", "ws://x") for n in range(2)])
    rpc = Scripted(silence, Script({"result": 42}), pool=pool, give_up_after_s=0.05)  # type: ignore[arg-type]
    async with rpc:
        for _ in range(3):
            with pytest.raises(RpcUnavailable, match=r"node0\.example: getSlot failed for 0\.05 s \(no answer\)"):
                await rpc.call("getSlot", [])
        assert await rpc.call("getSlot", []) == 42


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
