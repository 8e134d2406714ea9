"""Which subscription of a socket is which: requests matched to answers by id, never by order."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, NamedTuple

import orjson

from drift_publisher.source import Subscriptions

__all__ = ["Request", "SubscriptionRefused", "SubscriptionTable"]

_EARLY_NOTIFICATIONS: Final = 4096
_METHODS: Final = {"slot": "slotSubscribe", "program": "programSubscribe", "account": "accountSubscribe"}


class SubscriptionRefused(ConnectionError):
    """The node answered a subscription with an error."""


class Request(NamedTuple):
    """One subscription: the heartbeat, all accounts of a program that begin alike, or one account."""

    kind: Literal["slot", "program", "account"]
    target: str = ""
    discriminator: bytes = b""


class SubscriptionTable:
    """The subscriptions of one socket. ``len()`` counts the confirmed ones."""

    def __init__(self, commitment: str) -> None:
        self.all_confirmed = asyncio.Event()
        self._commitment = commitment
        self._next_id = 1
        self._waiting: dict[int, Request] = {}
        self._confirmed: dict[int, Request] = {}
        self._early: deque[dict[str, Any]] = deque(maxlen=_EARLY_NOTIFICATIONS)

    def __len__(self) -> int:
        return len(self._confirmed)

    def clear(self) -> None:
        """Forgets everything: the socket is a new one."""
        self._waiting.clear()
        self._confirmed.clear()
        self._early.clear()
        self.all_confirmed.clear()

    def missing(self, wanted: Subscriptions) -> list[Request]:
        """What is wanted and not yet asked for."""
        asked = {*self._waiting.values(), *self._confirmed.values()}
        return [request for request in _requests(wanted) if request not in asked]

    def superfluous(self, wanted: Subscriptions) -> list[int]:
        """Numbers of the subscriptions that are no longer wanted."""
        kept = set(_requests(wanted))
        return [number for number, request in self._confirmed.items() if request not in kept]

    def numbers_of(self, requests: Collection[Request]) -> list[int]:
        """Numbers of those among these subscriptions that are confirmed."""
        return [number for number, request in self._confirmed.items() if request in requests]

    def open(self, request: Request) -> str:
        """Notes the request and returns the message that makes it."""
        number = self._take_id()
        self._waiting[number] = request
        self.all_confirmed.clear()
        return _call(number, _METHODS[request.kind], self._params(request))

    def close(self, subscription: int) -> str:
        """Forgets a subscription and returns the message that ends it."""
        method = _METHODS[self._confirmed.pop(subscription).kind].replace("Subscribe", "Unsubscribe")
        return _call(self._take_id(), method, [subscription])

    def _take_id(self) -> int:
        number, self._next_id = self._next_id, self._next_id + 1
        return number

    def confirm(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """Takes an answer; returns the notifications that had come before it.

        Raises:
            SubscriptionRefused: the answer is an error.
        """
        number = answer.get("id")
        request = self._waiting.pop(number, None) if isinstance(number, int) else None
        if request is None:
            return []
        if "result" not in answer:
            error = answer.get("error")
            said = f"{error.get('code')} {error.get('message')}" if isinstance(error, dict) else str(error)
            raise SubscriptionRefused(f"{_METHODS[request.kind]} refused: {said}")
        number = answer["result"]
        if not isinstance(number, int):
            raise SubscriptionRefused(f"{_METHODS[request.kind]} answered with no number")
        self._confirmed[number] = request
        ready = [message for message in self._early if message["params"]["subscription"] == number]
        for message in ready:
            self._early.remove(message)
        if not self._waiting:
            self.all_confirmed.set()
            self._early.clear()
        return ready

    def request_of(self, subscription: int, message: dict[str, Any]) -> Request | None:
        """The request behind a notification; keeps ``message`` for later while its confirmation is on the way."""
        request = self._confirmed.get(subscription)
        if request is None and self._waiting:
            self._early.append(message)
        return request

    def _params(self, request: Request) -> list[Any]:
        options: dict[str, Any] = {"encoding": "base64", "commitment": self._commitment}
        if request.kind == "slot":
            return []
        if request.kind == "program":
            prefix = base64.b64encode(request.discriminator).decode()
            options["filters"] = [{"memcmp": {"offset": 0, "bytes": prefix, "encoding": "base64"}}]
        return [request.target, options]


def _call(number: int, method: str, params: list[Any]) -> str:
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()


def _requests(wanted: Subscriptions) -> Iterator[Request]:
    yield Request("slot")
    for program_id, discriminator in wanted.programs:
        yield Request("program", program_id, discriminator)
    for address in wanted.accounts:
        yield Request("account", address)
