"""What a node takes for a JSON-RPC request, and how it answers what is none.

Agave answers by jsonrpc-core 18, whose rules these are (``core/src/types/request.rs``, ``core/src/io.rs``):

- Only JSON that is an object, or a list of objects, is a request at all; an id is null, a string or a whole number from
  0 on. Anything else is one "Parse error" for the whole body, a list with one bad member included.
- An object with an unknown member, with another ``jsonrpc`` than "2.0" or without a method is an "Invalid request".
- Without ``jsonrpc`` the version is refused, and the answer has no ``jsonrpc`` either.
- Without an ``id`` it is a notification: there is no answer. An empty list and a list of notifications have none too:
  over HTTP the body is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from .errors import RpcError, invalid_request, parse_error, unsupported_version

__all__ = ["Call", "Refusal", "answer", "read_calls"]

_OF_CALL: Final = {"jsonrpc", "method", "params", "id"}
_OF_NOTIFICATION: Final = _OF_CALL - {"id"}
_LARGEST_ID: Final = 2**64 - 1


class Call(NamedTuple):
    """A call that may be made."""

    method: str
    params: Any
    id: int | str | None


class Refusal(NamedTuple):
    """A call that is answered with an error before anybody looks at its method."""

    error: RpcError
    id: int | str | None
    has_version: bool = True


class _Notification(NamedTuple):
    method: str


_Read = Call | Refusal | _Notification


def read_calls(text: str | bytes) -> tuple[list[Call | Refusal], bool]:
    """Return what is to be answered, in order, and whether that is a batch.

    Raises:
        RpcError: The text is no request at all.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise parse_error() from error
    is_batch = isinstance(value, list)
    read = [_read(entry) for entry in value] if is_batch else [_read(value)]
    return [entry for entry in read if not isinstance(entry, _Notification)], is_batch


def answer(call: Call | Refusal, make: Callable[[Call], Any], count: Callable[[int], None]) -> bytes:
    """Make a call, or refuse it, and write its answer.

    Args:
        call: What :func:`read_calls` returned.
        make: Returns the result, as JSON where it is bytes, or raises an ``RpcError``.
        count: Told the code of an error.
    """
    version = b'"jsonrpc":"2.0",'
    try:
        if isinstance(call, Refusal):
            version = version if call.has_version else b""
            raise call.error
        result = make(call)
        body = b'"result":' + (result if isinstance(result, bytes) else orjson.dumps(result))
    except RpcError as error:
        count(error.code)
        body = b'"error":' + orjson.dumps(error.body())
    return b'{%b%b,"id":%b}' % (version, body, orjson.dumps(call.id))


def _read(value: Any) -> _Read:
    if not isinstance(value, dict):
        raise parse_error()
    number, method, version = value.get("id"), value.get("method"), value.get("jsonrpc")
    is_id = number is None or isinstance(number, str) or (type(number) is int and 0 <= number <= _LARGEST_ID)
    is_whole = version in {None, "2.0"} and isinstance(value.get("params"), list | dict | None)
    if is_whole and isinstance(method, str):
        if "id" not in value and value.keys() <= _OF_NOTIFICATION:
            return _Notification(method)
        if "id" in value and is_id and value.keys() <= _OF_CALL:
            if version is None:
                return Refusal(unsupported_version(), number, has_version=False)
            return Call(method, value.get("params"), number)
    if not is_id:
        raise parse_error()
    return Refusal(invalid_request(), number)
