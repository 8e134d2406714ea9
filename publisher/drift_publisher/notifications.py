"""What a node's messages say: JSON-RPC taken apart, accounts decoded."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import Any

import orjson

from drift_publisher.socket_opening import SocketLost
from drift_publisher.source import AccountUpdate
from drift_publisher.subscription_table import Request

__all__ = ["account_in", "message_in"]


def message_in(raw: str | bytes) -> dict[str, Any]:
    """The JSON-RPC message in a frame.

    Raises:
        SocketLost: it is none.
    """
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise SocketLost("the server sent something that is no JSON") from None
    if not isinstance(message, dict):
        raise SocketLost("the server sent something that is no JSON-RPC message")
    return message


def account_in(request: Request, result: dict[str, Any]) -> AccountUpdate:
    """The account that a notification tells of.

    Args:
        request: The subscription that it came by.
        result: What it says.

    Raises:
        LookupError, TypeError, ValueError: it has another form.
    """
    value = result["value"]
    address = value["pubkey"] if request.kind == "program" else request.target
    account = value["account"] if request.kind == "program" else value
    data = None if account is None else b64decode(account["data"][0])
    if account is not None and account["lamports"] == 0:
        data = None
    owner = "" if account is None else account["owner"]
    return AccountUpdate(str(address), str(owner), int(result["context"]["slot"]), data, time.time_ns())
