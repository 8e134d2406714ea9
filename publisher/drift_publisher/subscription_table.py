"""Which subscription of a socket is which: requests matched to answers by id, never by order."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, Final, Literal, NamedTuple

import orjson

from drift_publisher.refusals import Meaning, Refusal, refusal_of_error
from drift_publisher.source import Subscriptions

__all__ = ["HEARTBEAT", "Refused", "Request", "SubscriptionRefused", "SubscriptionTable", "requests_of"]

_EARLY_NOTIFICATIONS: Final = 4096
_METHODS: Final = {"slot": "slotSubscribe", "program": "programSubscribe", "account": "accountSubscribe"}


_ABOUT_NUMBERS: Final = re.compile(r"\b(?:too many|limit|max|maximum|exceed\w*)\b", re.IGNORECASE)
_LASTING: Final = (Meaning.UNSERVED, Meaning.FORBIDDEN, Meaning.WRONG)


class SubscriptionRefused(ConnectionError):
    """The node answered a subscription with an error that will not pass."""


class Request(NamedTuple):
    """One subscription: the heartbeat, all accounts of a program that begin alike, or one account."""

    kind: Literal["slot", "program", "account"]
    target: str = ""
    discriminator: bytes = b""


HEARTBEAT: Final = Request("slot")
"""Every socket has it beside what else it carries."""


class Refused(NamedTuple):
    """A subscription that the node did not take now."""

    request: Request
    refusal: Refusal


def requests_of(wanted: Subscriptions) -> list[Request]:
    """The subscriptions that deliver what is wanted, without the heartbeat."""
    programs = [Request("program", program_id, discriminator) for program_id, discriminator in wanted.programs]
    return [*programs, *(Request("account", address) for address in wanted.accounts)]


class SubscriptionTable:
    """The subscriptions of one socket. ``len()`` counts the confirmed ones.

    Attributes:
        all_answered: Set while every request that was sent has its answer.
        answers: Answers so far.
    """

    def __init__(self, commitment: str) -> None:
        self.all_answered = asyncio.Event()
        self.all_answered.set()
        self.answers = 0
        self._commitment = commitment
        self._next_id = 1
        self._waiting: dict[int, Request] = {}
        self._confirmed: dict[int, Request] = {}
        self._refused: list[Refused] = []
        self._early: deque[dict[str, Any]] = deque(maxlen=_EARLY_NOTIFICATIONS)

    def __len__(self) -> int:
        return len(self._confirmed)

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._waiting)

    def missing(self, wanted: Iterable[Request]) -> list[Request]:
        """What is wanted and not yet asked for, the heartbeat first."""
        asked = {*self._waiting.values(), *self._confirmed.values()}
        return [request for request in (HEARTBEAT, *wanted) if request not in asked]

    def superfluous(self, wanted: Iterable[Request]) -> list[int]:
        """Numbers of the subscriptions that are no longer wanted."""
        kept = {HEARTBEAT, *wanted}
        return [number for number, request in self._confirmed.items() if request not in kept]

    def take_refused(self) -> list[Refused]:
        """Those that were refused and may be taken later; each is told once."""
        refused, self._refused = self._refused, []
        return refused

    def numbers_of(self, requests: Collection[Request]) -> list[int]:
        """Numbers of those among these subscriptions that are confirmed."""
        return [number for number, request in self._confirmed.items() if request in requests]

    def open(self, request: Request) -> str:
        """Notes the request and returns the message that makes it."""
        number = self._take_id()
        self._waiting[number] = request
        self.all_answered.clear()
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

        A refusal that may pass is kept for :meth:`take_refused`; the other subscriptions stay.

        Raises:
            SubscriptionRefused: the node refuses it for good, or answers with no number.
        """
        number = answer.get("id")
        request = self._waiting.pop(number, None) if isinstance(number, int) else None
        if request is None:
            return []
        self.answers += 1
        if "result" not in answer:
            refusal = refusal_of_error(answer.get("error"))
            if refusal.meaning in _LASTING and not _ABOUT_NUMBERS.search(refusal.said):
                raise SubscriptionRefused(f"{_METHODS[request.kind]} refused: {refusal.said}")
            self._refused.append(Refused(request, refusal))
            return self._answered([])
        number = answer["result"]
        if not isinstance(number, int):
            raise SubscriptionRefused(f"{_METHODS[request.kind]} answered with no number")
        self._confirmed[number] = request
        ready = [message for message in self._early if message["params"]["subscription"] == number]
        for message in ready:
            self._early.remove(message)
        return self._answered(ready)

    def _answered(self, ready: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self._waiting:
            self.all_answered.set()
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
