"""Asking the JetStream API and the stream itself, with patience over a restart of the server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from drift_schemas import JetStreamApi
from drift_subscribers.history.errors import HistoryInterrupted, NoHistory

__all__ = ["Inquiry", "JetStreamRefusal"]

_TRY_S: Final = 2.0
_PAUSE_S: Final = 0.2
_WAITING_MESSAGES: Final = 65_536
_WAITING_BYTES: Final = 256 * 1024 * 1024
_STREAM_NOT_FOUND: Final = 10059
_NOBODY: Final = "503"


class JetStreamRefusal(Exception):
    """The JetStream API answered with an error; ``code`` is its ``err_code``."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(slots=True)
class _Answer:
    until_status: bool
    messages: list[Msg] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Inquiry:
    """One inbox for questions and their answers.

    Not nats-py's own ``request``: on Python 3.11 that can swallow a cancellation which meets the answer.

    Args:
        client: A connection, which stays the caller's.
        api: Where JetStream listens.
        patience_s: How long a question is asked again while nobody answers.
    """

    def __init__(self, client: Client, api: JetStreamApi, *, patience_s: float) -> None:
        self.client = client
        self.where = api
        self.patience_s = patience_s
        self._inbox = client.new_inbox()
        self._numbers = itertools.count(1)
        self._answers: dict[str, _Answer] = {}
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self.client.subscribe(
            f"{self._inbox}.*",
            cb=self._on_message,
            pending_msgs_limit=_WAITING_MESSAGES,
            pending_bytes_limit=_WAITING_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._subscription is not None and self.client.is_connected:
            await self._subscription.unsubscribe()

    async def api(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """Calls JetStream and returns its answer.

        Raises:
            JetStreamRefusal: the answer is an error.
            HistoryInterrupted: nobody answered within the patience.
        """
        reply = await self.ask(self.where.subject(action), json.dumps(body).encode())
        answer: dict[str, Any] = json.loads(reply.data)
        if error := answer.get("error"):
            raise JetStreamRefusal(int(error.get("err_code", 0)), str(error.get("description", "unknown error")))
        return answer

    async def stream_info(self, stream: str) -> dict[str, Any]:
        """The stream's ``created``, ``config`` and ``state``.

        Raises:
            NoHistory: there is no such stream.
            HistoryInterrupted: nobody answered within the patience.
        """
        try:
            return await self.api(f"STREAM.INFO.{stream}", {})
        except JetStreamRefusal as refusal:
            if refusal.code == _STREAM_NOT_FOUND:
                raise NoHistory(self.where.no_stream(stream)) from None
            raise HistoryInterrupted(f"JetStream: {stream}: {refusal}") from None

    async def ask(self, subject: str, wish: bytes) -> Msg:
        """Publishes a question until it is answered, by one message.

        Raises:
            HistoryInterrupted: nobody answered within the patience.
        """
        return (await self._ask(subject, wish, until_status=False))[0]

    async def ask_all(self, subject: str, wish: bytes) -> list[Msg]:
        """The same, for answers of several messages; the last one is the status that ends them.

        Raises:
            HistoryInterrupted: nobody answered within the patience.
        """
        return await self._ask(subject, wish, until_status=True)

    async def _ask(self, subject: str, wish: bytes, *, until_status: bool) -> list[Msg]:
        deadline, why = time.monotonic() + self.patience_s, "no answer"
        while True:
            try:
                answer = await self._ask_once(subject, wish, until_status=until_status)
                if (answer[-1].headers or {}).get("Status") != _NOBODY:
                    return answer
                why = self._why_nobody(subject)
            except TimeoutError:
                why = "no answer"
            except NatsError as error:
                why = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                raise HistoryInterrupted(f"NATS: {subject}: {why}, for {self.patience_s:g} s")
            await asyncio.sleep(_PAUSE_S)

    def _why_nobody(self, subject: str) -> str:
        """Nobody answers for a stream that is not there, either; what asks the API itself is answered by JetStream."""
        return "nobody answers" if ".DIRECT.GET." in subject else self.where.silence

    async def _ask_once(self, subject: str, wish: bytes, *, until_status: bool) -> list[Msg]:
        number = str(next(self._numbers))
        answer = self._answers[number] = _Answer(until_status)
        try:
            await self.client.publish(subject, wish, reply=f"{self._inbox}.{number}")
            while not answer.done.is_set():
                before = len(answer.messages)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TRY_S):
                        await answer.done.wait()
                if not answer.done.is_set() and len(answer.messages) == before:
                    raise TimeoutError
        finally:
            del self._answers[number]
        return answer.messages

    async def _on_message(self, message: Msg) -> None:
        answer = self._answers.get(message.subject.rpartition(".")[2])
        if answer is not None:
            answer.messages.append(message)
            if not answer.until_status or "Status" in (message.headers or {}):
                answer.done.set()
