"""Publishing in order, many messages at once, each of which is stored only right behind the one before it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from types import TracebackType
from typing import Final, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from drift_schemas import MSG_ID_HEADER
from drift_subscribers.archive.errors import ImportInterrupted

__all__ = ["DUPLICATE_WINDOW_S", "FencedSender", "LineLost"]

DUPLICATE_WINDOW_S: Final = 0.1
"""How long the target stream remembers message ids; the shortest that a server takes."""

_IDS_LEAVE_S: Final = 1.0
_WINDOW: Final = 512
_SILENCE_S: Final = 5.0
_BEHIND_A_LOST_ONE: Final = frozenset({10071, 10164})
"""JetStream's error numbers for a message that does not come right behind the last one, or is not yet known to."""

_EXPECTED_HEADER: Final = "Nats-Expected-Last-Sequence"


class LineLost(Exception):
    """Messages or their acknowledgements are lost; what was on its way may be stored or not."""


class FencedSender:
    """Sends to one stream to which nobody else writes; a message that is lost makes the server refuse all later ones.

    Args:
        client: A connection; it stays the caller's.
        last_sequence: The stream's last sequence.
    """

    def __init__(self, client: Client, last_sequence: int) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._first = self._sent = self._acked = last_sequence
        self._failure: Exception | None = None
        self._moved = asyncio.Event()
        self._ids: OrderedDict[str, float] = OrderedDict()
        self._subscription: Subscription | None = None

    @property
    def acked(self) -> int:
        """Messages that are stored."""
        return self._acked - self._first

    async def __aenter__(self) -> Self:
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._subscription is not None and self._client.is_connected:
            await self._subscription.unsubscribe()

    async def send(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Sends one message once there is room for it.

        Raises:
            LineLost: messages or acknowledgements are lost.
            ImportInterrupted: the stream refused a message.
        """
        if message_id := headers.get(MSG_ID_HEADER):
            await self._wait_for_id(message_id)
        await self._wait_until_behind(_WINDOW - 1)
        reply = f"{self._inbox}.{self._sent + 1}"
        fenced = {**headers, _EXPECTED_HEADER: str(self._sent)}
        try:
            await self._client.publish(subject, payload, reply=reply, headers=fenced)
        except NatsError as error:
            raise LineLost(type(error).__name__) from None
        self._sent += 1

    async def drain(self) -> None:
        """Waits until everything is stored; raises as :meth:`send` does."""
        await self._wait_until_behind(0)

    async def _wait_until_behind(self, most: int) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            if self._sent - self._acked <= most:
                return
            self._moved.clear()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._moved.wait()
            except TimeoutError:
                raise LineLost(f"no acknowledgement for {_SILENCE_S:g} s") from None

    async def _wait_for_id(self, message_id: str) -> None:
        """An id that stood twice in the history, minutes apart, would be taken for a duplicate within the window."""
        now = time.monotonic()
        while self._ids and next(iter(self._ids.values())) < now - _IDS_LEAVE_S:
            self._ids.popitem(last=False)
        if message_id in self._ids:
            await self.drain()
            await asyncio.sleep(_IDS_LEAVE_S)
            self._ids.clear()
        self._ids[message_id] = now

    async def _on_ack(self, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        said = json.loads(message.data) if message.data else {}
        if (error := said.get("error")) and error.get("err_code") in _BEHIND_A_LOST_ONE:
            self._fail(LineLost("a message was lost on its way"))
        elif error:
            self._fail(ImportInterrupted(f"the stream did not store a message: {error.get('description')}"))
        elif "seq" not in said:
            self._fail(LineLost("no stream listens"))
        elif said.get("duplicate") or said["seq"] != number:
            self._fail(ImportInterrupted("the stream took a message for another one: somebody else writes to it"))
        else:
            self._acked = max(self._acked, number)
        self._moved.set()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
