"""What a refusal means: whether the same request may be answered later, or never, and how much of it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import orjson

from drift_publisher.redact import redact

__all__ = ["LONGEST_PAUSE_S", "Meaning", "Refusal", "refusal_of_error", "refusal_of_http"]

LONGEST_PAUSE_S: Final = 300.0
"""An endpoint that asks us to stay away for longer is asked again after this many seconds."""

_SHOWN: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_THROTTLED: Final = frozenset({_TOO_MANY_REQUESTS, -32029, -32429})


class Meaning(Enum):
    """What an endpoint's refusal says about the next try."""

    PASSING = "busy, behind or broken: the same request may be answered later, or by another endpoint"
    UNSERVED = "this endpoint does not serve the method"
    FORBIDDEN = "the endpoint does not accept the key, or its plan does not include this"
    TOO_LARGE = "the request names more than the plan allows at once"
    WRONG = "the request is not what the method takes"


class Refusal(NamedTuple):
    """One refusal.

    Attributes:
        meaning: What to do about it.
        said: The endpoint's words in one line, short and without secrets.
        code: The number of the JSON-RPC error, else the HTTP status; ``None`` where there is neither.
        retry_after_s: When to come back by the endpoint's own word, in seconds; 0 without one.
        is_throttled: It says that we ask too often, and nothing about what we ask.
    """

    meaning: Meaning
    said: str
    code: int | None = None
    retry_after_s: float = 0.0
    is_throttled: bool = False


_BY_CODE: Final[Mapping[int, Meaning]] = {
    -32700: Meaning.WRONG,  # parse error
    -32600: Meaning.WRONG,  # invalid request
    -32601: Meaning.UNSERVED,  # method not found
    -32602: Meaning.WRONG,  # invalid params
    -32010: Meaning.UNSERVED,  # the program is not in the node's secondary indexes
    -32011: Meaning.UNSERVED,  # the node keeps no transaction history
    -32012: Meaning.UNSERVED,  # scanning the accounts takes more than the node allows
    -32401: Meaning.FORBIDDEN,
    -32403: Meaning.FORBIDDEN,
    # Named, because HTTP 403 beside one of them still means "later":
    -32005: Meaning.PASSING,  # unhealthy or behind, or too many requests
    -32016: Meaning.PASSING,  # the slot that was asked for has not come yet
    -32029: Meaning.PASSING,  # too many requests
    -32429: Meaning.PASSING,  # too many requests
}
"""JSON-RPC errors whose number says what they mean. Any other number may pass, and may be a plan's limit."""

_BY_STATUS: Final[Mapping[int, Meaning]] = {
    301: Meaning.UNSERVED,  # moved: the setting names the old address
    308: Meaning.UNSERVED,
    400: Meaning.WRONG,
    401: Meaning.FORBIDDEN,
    402: Meaning.FORBIDDEN,
    403: Meaning.FORBIDDEN,
    404: Meaning.UNSERVED,
    405: Meaning.UNSERVED,
    410: Meaning.UNSERVED,
    413: Meaning.TOO_LARGE,
    414: Meaning.TOO_LARGE,
    415: Meaning.WRONG,
    422: Meaning.WRONG,
    451: Meaning.FORBIDDEN,
    501: Meaning.UNSERVED,
}
"""HTTP statuses that stay as they are; any other may pass."""

_NAMED_THINGS: Final = r"(?:inputs|accounts|addresses|pub ?keys|public keys|items|entries)"
_ABOUT_SIZE: Final = re.compile(
    rf"too many {_NAMED_THINGS}"
    rf"|\b{_NAMED_THINGS}\b.*\b(?:limit(?:ed)?|max(?:imum)?|at most|up to)\b"
    rf"|\b(?:limit(?:ed)?|max(?:imum)?|at most|up to|more than)\b.*\b{_NAMED_THINGS}\b"
    r"|\b(?:request|response|payload|body|entity)\b.*\btoo (?:large|big|long)\b",
    re.IGNORECASE,
)
_SECONDS: Final = ("retry_after", "retryAfter", "retry-after", "retry_after_seconds", "backoff_seconds")
_MILLISECONDS: Final = ("retry_after_ms", "retryAfterMs", "backoff_ms")
_TIMES: Final = ("try_again_in", "tryAgainIn")
_DURATION: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s)?\s*")
_UNSEEN: Final = re.compile(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*>?")


def refusal_of_error(error: object) -> Refusal:
    """The refusal in the ``error`` of a JSON-RPC answer, of whatever form that is."""
    code, message, data = _parts(error)
    meaning = _meaning(code, None, message)
    said = f"JSON-RPC error {'without a number' if code is None else code}: {_shown(message)}"
    return Refusal(meaning, said, code, _retry_after_s(data), code in _THROTTLED)


def refusal_of_http(status: int, body: bytes, retry_after_s: float = 0.0) -> Refusal:
    """The refusal in an HTTP answer that is not 200; its body may be JSON-RPC, other JSON, HTML, text or empty.

    Args:
        status: The HTTP status.
        body: What is known of the body.
        retry_after_s: What the ``Retry-After`` header asks for.
    """
    code, message, data = _parts_of_body(body)
    meaning = _meaning(code, status, message)
    numbered = "" if code is None or code == status else f", JSON-RPC error {code}"
    words = f": {_shown(message)}" if message else ""
    pause_s = max(retry_after_s, _retry_after_s(data))
    is_throttled = status == _TOO_MANY_REQUESTS or code in _THROTTLED
    number = status if code is None else code
    return Refusal(meaning, f"HTTP {status}{numbered}{words}", number, pause_s, is_throttled)


def _meaning(code: int | None, status: int | None, message: str) -> Meaning:
    if status == _TOO_MANY_REQUESTS:
        return Meaning.PASSING
    by_code = _BY_CODE.get(code, _BY_STATUS.get(code)) if code is not None else None
    by_status = _BY_STATUS.get(status, Meaning.PASSING) if status is not None else None
    if Meaning.TOO_LARGE in (by_code, by_status):
        return Meaning.TOO_LARGE
    if by_code is Meaning.PASSING:
        return Meaning.PASSING
    if _ABOUT_SIZE.search(message):
        return Meaning.TOO_LARGE
    if by_status is Meaning.FORBIDDEN:
        return Meaning.FORBIDDEN
    return by_code or by_status or Meaning.PASSING


def _parts(error: object) -> tuple[int | None, str, object]:
    """Number, text and data of a JSON-RPC error; what has another form is text."""
    if not isinstance(error, dict):
        return None, str(error), None
    code, message = _number(error.get("code")), error.get("message")
    text = str(error) if message is None and code is None else str(message or "")
    return code, text, error.get("data")


def _number(code: object) -> int | None:
    """The number of an error; some write it as text."""
    if isinstance(code, bool) or not isinstance(code, (int, float, str)):
        return None
    try:
        return int(code)
    except (ValueError, OverflowError):
        return None


def _parts_of_body(body: bytes) -> tuple[int | None, str, object]:
    try:
        answer: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, " ".join(_UNSEEN.sub(" ", body.decode(errors="replace")).split()), None
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return None, str(answer), None
    return _parts(answer["error"] if answer.get("error") else {"message": answer.get("message") or ""})


def _shown(message: str) -> str:
    return redact(" ".join(message.split()))[:_SHOWN]


def _retry_after_s(data: object) -> float:
    """Seconds after which the data of an error says to come back, at its top or one level below; 0 without a word."""
    if not isinstance(data, dict):
        return 0.0
    for one in (data, *(value for value in data.values() if isinstance(value, dict))):
        for names, per_second in ((_SECONDS, 1.0), (_MILLISECONDS, 1000.0), (_TIMES, 1.0)):
            for name in names:
                if found := _DURATION.fullmatch(str(one.get(name, ""))):
                    unit = 1000.0 if found[2] == "ms" else 1.0 if found[2] else per_second
                    return min(float(found[1]) / unit, LONGEST_PAUSE_S)
    return 0.0
