"""What a refusal means, in every form that providers give it: one line, bounded, and never an exception of ours."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_publisher.refusals import LONGEST_PAUSE_S, Meaning, Refusal, refusal_of_error, refusal_of_http

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["code", "message", "data"]), inner),
    max_leaves=8,
)


def check(refusal: Refusal) -> None:
    assert len(refusal.said) <= 300
    assert refusal.said.isprintable() or not set(refusal.said) & set("\r\n")
    assert 0 <= refusal.retry_after_s <= LONGEST_PAUSE_S


@given(JSON)
def test_an_error_of_any_form_is_a_refusal(error: Any) -> None:
    check(refusal_of_error(error))


@given(st.integers(100, 599), st.binary() | JSON.map(orjson.dumps))
def test_an_answer_of_any_form_is_a_refusal(status: int, body: bytes) -> None:
    check(refusal_of_http(status, body))


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        (-32601, "Method not found", Meaning.UNSERVED),
        (-32010, "excluded from account secondary indexes", Meaning.UNSERVED),
        (-32600, "Invalid Request", Meaning.WRONG),
        (-32602, "Invalid params: WrongSize", Meaning.WRONG),
        (-32602, "Too many inputs provided; max 5", Meaning.TOO_LARGE),
        (-32000, "request may name up to 20 addresses", Meaning.TOO_LARGE),
        (413, "", Meaning.TOO_LARGE),
        (401, "", Meaning.FORBIDDEN),
        (-32401, "invalid api key", Meaning.FORBIDDEN),
        (-32429, "Too many requests", Meaning.PASSING),
        (-32005, "account limit reached: too many accounts asked for", Meaning.PASSING),
        (-32603, "Internal error", Meaning.PASSING),
        (-32099, "nobody knows this one", Meaning.PASSING),
        (0, "", Meaning.PASSING),
    ],
)
def test_what_a_number_means(code: int, message: str, meaning: Meaning) -> None:
    assert refusal_of_error({"code": code, "message": message}).meaning is meaning


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (-32601, -32601),
        ("-32601", -32601),
        (-32601.0, -32601),
        ("no", None),
        (True, None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_a_number_is_read_however_it_is_written(code: Any, number: int | None) -> None:
    assert refusal_of_error({"code": code, "message": "Method not found"}).code == number


@pytest.mark.parametrize("meaning", Meaning)
def test_too_many_requests_always_pass(meaning: Meaning) -> None:
    code = {Meaning.UNSERVED: -32601, Meaning.WRONG: -32602, Meaning.FORBIDDEN: 401, Meaning.TOO_LARGE: 413}.get(
        meaning
    )
    body = orjson.dumps({"error": {"code": code, "message": "too many inputs"}})
    assert refusal_of_http(429, body).meaning is Meaning.PASSING


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        ({"retry_after": 3}, 3),
        ({"retryAfter": "2.5"}, 2.5),
        ({"retry_after_ms": 1500}, 1.5),
        ({"try_again_in": "250ms"}, 0.25),
        ({"rate": {"backoff_seconds": 30}}, 30),
        ({"retry_after": 10**9}, LONGEST_PAUSE_S),
        ({"retry_after": -3}, 0),
        ({"retry_after": "soon"}, 0),
        ({"retry_after": None, "rate": []}, 0),
        ("retry_after", 0),
        (None, 0),
    ],
    ids=repr,
)
def test_when_to_come_back(data: Any, seconds: float) -> None:
    assert refusal_of_error({"code": -32005, "message": "", "data": data}).retry_after_s == seconds
