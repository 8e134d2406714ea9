"""Asking the JetStream API and the stream itself, with patience over a restart of the server."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from drift_subscribers.history.errors import HistoryInterrupted, NoHistory

__all__ = ["Inquiry", "JetStreamRefusal"]

_TRY_S: Final = 2.0
_PAUSE_S: Final = 0.2
_WAITING_MESSAGES: Final = 65_536
_WAITING_BYTES: Final = 256 * 1024 * 1024
_STREAM_NOT_FOUND: Final = 10059


class JetStreamRefusal(Exception):
    """The JetStream API answered with an error; ``code`` is its ``err_code``."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


class Inquiry:
    """One inbox for questions and their answers, and for the messages of a pull consumer.

    Not nats-py's own ``request``: on Python 3.11 that can swallow a cancellation which meets the answer.

    Args:
        client: A connection, which stays the caller's.
        patience_s: How long a question is asked again while nobody answers.
        on_delivery: Called with each message that a consumer delivers to :attr:`data_inbox`, and with each status.
    """

    def __init__(
        self, client: Client, *, patience_s: float, on_delivery: Callable[[Msg], None] = lambda _: None
    ) -> None:
        self.client = client
        self.patience_s = patience_s
        self._on_delivery = on_delivery
        self._inbox = client.new_inbox()
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Msg]] = {}
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

    @property
    def data_inbox(self) -> str:
        """Where a consumer is told to deliver."""
        return f"{self._inbox}.data"

    async def api(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """Calls ``$JS.API.<action>`` and returns its answer.

        Raises:
            JetStreamRefusal: the answer is an error.
            HistoryInterrupted: nobody answered within the patience.
        """
        reply = await self.ask(f"$JS.API.{action}", json.dumps(body).encode())
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
                raise NoHistory(
                    f"there is no stream {stream} on this server: has a publisher run here with this prefix?"
                ) from None
            raise HistoryInterrupted(f"JetStream: {stream}: {refusal}") from None

    async def next_stored(self, stream: str, sequence: int, subject: str) -> Msg | None:
        """The first message at or after ``sequence`` on ``subject`` (wildcards allowed); ``None`` without one.

        Raises:
            HistoryInterrupted: nobody answered within the patience.
        """
        wish = json.dumps({"seq": max(1, sequence), "next_by_subj": subject}).encode()
        message = await self.ask(f"$JS.API.DIRECT.GET.{stream}", wish)
        return None if "Status" in (message.headers or {}) else message

    async def ask(self, subject: str, wish: bytes) -> Msg:
        """Publishes a question until it is answered.

        Raises:
            HistoryInterrupted: nobody answered within the patience.
        """
        deadline, why = time.monotonic() + self.patience_s, "no answer"
        while True:
            try:
                message = await self._ask_once(subject, wish)
                if (message.headers or {}).get("Status") != "503":
                    return message
                why = "JetStream is not there: start the server with -js"
            except TimeoutError:
                why = "no answer"
            except NatsError as error:
                why = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                raise HistoryInterrupted(f"NATS: {subject}: {why}, for {self.patience_s:g} s")
            await asyncio.sleep(_PAUSE_S)

    async def _ask_once(self, subject: str, wish: bytes) -> Msg:
        number = str(next(self._numbers))
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            await self.client.publish(subject, wish, reply=f"{self._inbox}.{number}")
            done, _ = await asyncio.wait({answer}, timeout=_TRY_S)
        finally:
            del self._answers[number]
        if not done:
            raise TimeoutError
        return answer.result()

    async def _on_message(self, message: Msg) -> None:
        if message.reply.startswith("$JS.ACK.") or message.subject == self.data_inbox:
            self._on_delivery(message)
            return
        answer = self._answers.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message)
