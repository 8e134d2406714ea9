"""What is no request is answered as Agave's jsonrpc-core answers it, over HTTP and WebSocket alike."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from drift_simulator.errors import RpcError
from drift_simulator.jsonrpc import Call, Refusal, answer, read_calls

from .conftest import Client

PARSE_ERROR = {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}
GOOD = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
OK = {"jsonrpc": "2.0", "result": "ok", "id": 1}


def invalid(number: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": number}


NO_METHOD = {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 2}
UNVERSIONED = {"error": {"code": -32600, "message": "Unsupported JSON-RPC protocol version"}, "id": 1}

CASES: dict[str, tuple[Any, Any]] = {
    "no jsonrpc": ({"id": 1, "method": "getHealth"}, UNVERSIONED),
    "jsonrpc null": ({**GOOD, "jsonrpc": None}, UNVERSIONED),
    "jsonrpc 1.0": ({**GOOD, "jsonrpc": "1.0"}, invalid(1)),
    "jsonrpc a number": ({**GOOD, "jsonrpc": 2.0}, invalid(1)),
    "no method": ({"jsonrpc": "2.0", "id": 1}, invalid(1)),
    "method a number": ({**GOOD, "method": 5, "id": "x"}, invalid("x")),
    "a member too many": ({**GOOD, "auth": "key"}, invalid(1)),
    "params a text": ({**GOOD, "params": "x"}, invalid(1)),
    "params null": ({**GOOD, "params": None}, OK),
    "id null": ({**GOOD, "id": None}, {**OK, "id": None}),
    "id a text": ({**GOOD, "id": "one"}, {**OK, "id": "one"}),
    "id the largest number": ({**GOOD, "id": 2**64 - 1}, {**OK, "id": 2**64 - 1}),
    "id below 0": ({**GOOD, "id": -1}, PARSE_ERROR),
    "id a fraction": ({**GOOD, "id": 1.5}, PARSE_ERROR),
    "id true": ({**GOOD, "id": True}, PARSE_ERROR),
    "nothing in it": ({}, invalid(None)),
    "a number": (7, PARSE_ERROR),
    "null": (None, PARSE_ERROR),
    "a batch": ([GOOD, {**GOOD, "id": 2, "method": "no"}], [OK, NO_METHOD]),
    "a batch of one": ([GOOD], [OK]),
    "a batch with a number": ([GOOD, 7], PARSE_ERROR),
    "a batch with a bad one": ([GOOD, {"id": 3}], [OK, invalid(3)]),
    "a batch with a notification": ([{"jsonrpc": "2.0", "method": "getHealth"}, GOOD], [OK]),
}


@pytest.mark.parametrize("case", CASES)
async def test_over_http(client: Client, case: str) -> None:
    body, expected = CASES[case]
    assert await client.post(body) == (200, expected)


NOTHING_TO_ANSWER: list[Any] = [[], {"jsonrpc": "2.0", "method": "getHealth"}, [{"method": "getHealth"}]]


@pytest.mark.parametrize("body", NOTHING_TO_ANSWER)
async def test_what_asks_for_no_answer_gets_an_empty_body(client: Client, body: Any) -> None:
    """An empty batch, a notification, a batch of them: HTTP 200 and nothing in it."""
    async with client.session.post(client.simulator.http_url, data=orjson.dumps(body)) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_over_a_socket(client: Client) -> None:
    """The same rules; what has no answer there is followed by silence, as the next answer shows."""
    channel = await client.connect()
    slot = {"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}
    for body in NOTHING_TO_ANSWER:
        await channel.socket.send_bytes(orjson.dumps(body))
    await channel.socket.send_bytes(orjson.dumps({"id": 1, "method": "slotSubscribe"}))
    assert orjson.loads(await channel.socket.receive_str(timeout=30)) == UNVERSIONED
    await channel.socket.send_bytes(orjson.dumps({**slot, "id": -1}))
    assert orjson.loads(await channel.socket.receive_str(timeout=30)) == PARSE_ERROR
    await channel.socket.send_bytes(orjson.dumps([slot, {**slot, "method": "no"}]))
    done, missing = orjson.loads(await channel.socket.receive_str(timeout=30))
    assert (isinstance(done["result"], int), missing["error"]["code"]) == (True, -32601)


def test_a_method_that_fails_keeps_the_version_of_its_call() -> None:
    def fail(_: Call) -> Any:
        raise RpcError(-32016, "Minimum context slot has not been reached", {"contextSlot": 3})

    codes: list[int] = []
    ((call,), is_batch) = read_calls(orjson.dumps(GOOD))
    assert isinstance(call, Call)
    assert not isinstance(call, Refusal)
    assert not is_batch
    said = orjson.loads(answer(call, fail, codes.append))
    assert (said["jsonrpc"], said["error"]["data"], codes) == ("2.0", {"contextSlot": 3}, [-32016])
