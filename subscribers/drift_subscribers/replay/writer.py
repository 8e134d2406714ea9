"""Writing a replay's stream: in order, once, as its only writer, over restarts of the server."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from drift_subscribers.history import HistoryInterrupted
from drift_subscribers.replay.errors import ReplayTaken
from drift_subscribers.replay.target import ReplayTarget

__all__ = ["OnlyWriter"]

_EXPECTED: Final = "Nats-Expected-Last-Sequence"
_WINDOW: Final = 512
_LOOK_S: Final = 0.5
_SILENCE_S: Final = 2.0


class _Written(NamedTuple):
    sequence: int
    subject: str
    headers: dict[str, str]
    payload: bytes


class OnlyWriter:
    """Stores messages at the sequences 1, 2, 3 and so on; each names the one that must be before it.

    So what is sent again after an outage cannot be stored twice or out of order, and a foreign message in the stream
    is an error, not a muddle. At most 512 messages are on their way.

    Args:
        client: A connection that reconnects.
        target: The stream, just made.
        patience_s: How long a server that does not acknowledge is waited for.
    """

    def __init__(self, client: Client, target: ReplayTarget, *, patience_s: float) -> None:
        self._client = client
        self._target = target
        self._patience_s = patience_s
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._sequence = 0
        self._outstanding: dict[int, _Written] = {}
        self._acked = asyncio.Event()
        self._refused = ""
        self._moved_at = time.monotonic()

    @property
    def sequence(self) -> int:
        """How many messages were handed over."""
        return self._sequence

    async def __aenter__(self) -> Self:
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._subscription is not None and self._client.is_connected:
            await self._subscription.unsubscribe()

    async def write(self, subject: str, headers: dict[str, str], payload: bytes) -> None:
        """Hands over one message; waits while too many are on their way.

        Raises:
            ReplayTaken: somebody else wrote to the stream, or removed it.
            HistoryInterrupted: the server does not acknowledge.
        """
        if len(self._outstanding) >= _WINDOW:
            await self._settle(_WINDOW // 2)
        expected = str(self._sequence)
        self._sequence += 1
        written = _Written(self._sequence, subject, {**headers, _EXPECTED: expected}, payload)
        if not self._outstanding:
            self._moved_at = time.monotonic()
        self._outstanding[written.sequence] = written
        await self._send(written)

    async def drain(self) -> None:
        """Waits until everything is stored; raises as :meth:`write` does."""
        await self._settle(0)

    async def _settle(self, at_most: int) -> None:
        while len(self._outstanding) > at_most:
            self._acked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._acked.wait()
            now = time.monotonic()
            if self._refused or (self._outstanding and now - self._moved_at > _SILENCE_S):
                if now - self._moved_at > self._patience_s:
                    raise HistoryInterrupted(
                        f"the stream {self._target.topology.stream} does not store the replay, for "
                        f"{self._patience_s:g} s: {self._refused or 'no answer'}"
                    )
                await self._send_again()

    async def _send_again(self) -> None:
        """Asks how far the stream is, makes sure that it is with our messages, and goes on from there."""
        refused, self._refused = self._refused, ""
        awaited = list(self._outstanding.values())
        stored = await self._target.last_sequence()
        if awaited and stored < awaited[0].sequence - 1:
            raise self._taken(stored, refused)
        for written in awaited:
            if written.sequence <= stored:
                found = await self._target.message_at(written.sequence)
                if found is None or found.data != written.payload:
                    raise self._taken(stored, refused)
                self._outstanding.pop(written.sequence, None)
                self._moved_at = time.monotonic()
        if self._outstanding:
            await asyncio.sleep(_LOOK_S)
            for written in list(self._outstanding.values()):
                await self._send(written)

    def _taken(self, stored: int, refused: str) -> ReplayTaken:
        stream = self._target.topology.stream
        return ReplayTaken(
            f"the stream {stream} is at sequence {stored}, which is not what this replay stored: somebody else writes "
            f"to it, or has replaced or removed it ({refused or 'no answer'})"
        )

    async def _send(self, written: _Written) -> None:
        reply = f"{self._inbox}.{written.sequence}"
        with suppress(NatsError):
            await self._client.publish(written.subject, written.payload, reply=reply, headers=written.headers)

    async def _on_ack(self, reply: Msg) -> None:
        number = int(reply.subject.rpartition(".")[2])
        status = (reply.headers or {}).get("Status")
        answer: dict[str, Any] = {} if status else json.loads(reply.data)
        if answer.get("seq") == number:
            self._outstanding.pop(number, None)
            self._moved_at = time.monotonic()
        elif number in self._outstanding:
            self._refused = str(status or answer.get("error", {}).get("description") or answer)
        self._acked.set()
