"""Finding places in a stream: by sequence, by time, and the last values before a place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from nats.aio.msg import Msg

from drift_schemas import SEQUENCE_HEADER, SUBJECT_HEADER, Topology
from drift_subscribers.history.errors import HistoryInterrupted
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.history.selection import StoredMessage
from drift_subscribers.server_clock import stored_at_ns

__all__ = ["StreamIndex"]

_TOO_MANY: Final = "413"


class StreamIndex:
    """One stream, asked by single requests that change nothing on the server.

    Args:
        inquiry: Asks.
        topology: Names of stream and subjects.
        stream: Another stream than the topology's, with the same subjects.
    """

    def __init__(self, inquiry: Inquiry, topology: Topology, stream: str | None = None) -> None:
        self.stream = stream or topology.stream
        self._direct_get = topology.api.direct_get(self.stream)
        self._inquiry = inquiry
        self._names = topology.subjects
        self.created = ""
        """When the stream was made, as the server says it."""
        self.newest = 0
        """Its last sequence when :meth:`open` was called."""

    async def open(self) -> None:
        """Asks what the stream holds.

        Raises:
            NoHistory: there is no such stream.
            HistoryInterrupted: the server does not answer.
        """
        info = await self._inquiry.stream_info(self.stream)
        self.created, self.newest = str(info["created"]), int(info["state"]["last_seq"])

    async def first_of(self, subjects: Sequence[str], sequence: int) -> StoredMessage | None:
        """The first message at or after ``sequence`` on any of the subjects; ``None`` without one."""
        found = [await self._next(sequence, subject) for subject in subjects]
        return min((message for message in found if message is not None), default=None)

    async def first_at(self, moment_ns: int) -> int:
        """Sequence of the first message stored at that moment or later; ``newest + 1`` without one.

        The stream's times must not fall. An epoch is passed over: in a history that has travelled, it alone is dated
        by the stream that holds it.
        """
        low, high, found = 1, self.newest, self.newest + 1
        while low <= high:
            middle = (low + high) // 2
            message = await self._next(middle, self._names.everything)
            while message is not None and message.subject == self._names.epoch:
                message = await self._next(message.sequence + 1, self._names.everything)
            if message is None or message.sequence > high:
                high = middle - 1
            elif message.stored_at_ns >= moment_ns:
                found, high = message.sequence, middle - 1
            else:
                low = message.sequence + 1
        return found

    async def last_values(self, subjects: Sequence[str], up_to: int) -> list[StoredMessage]:
        """The last message on each subject that the filters match, among those up to the sequence ``up_to``.

        Raises:
            HistoryInterrupted: the server does not answer, or one filter matches more than 1,024 subjects.
        """
        values: list[StoredMessage] = []
        for subject in subjects if up_to else ():
            sequence, pending = 1, True
            while pending:
                wish: dict[str, Any] = {"multi_last": [subject], "up_to_seq": up_to, "seq": sequence}
                *found, end = await self._inquiry.ask_all(self._direct_get, json.dumps(wish).encode())
                if (end.headers or {}).get("Status") == _TOO_MANY:
                    raise HistoryInterrupted(f"{subject} matches more subjects than NATS answers at once")
                values += [self._stored(message) for message in found]
                pending = bool(found) and (end.headers or {}).get("Nats-Num-Pending", "0") != "0"
                sequence = values[-1].sequence + 1 if found else sequence
        return values

    async def _next(self, sequence: int, subject: str) -> StoredMessage | None:
        wish = json.dumps({"seq": max(1, sequence), "next_by_subj": subject}).encode()
        message = await self._inquiry.ask(self._direct_get, wish)
        return None if "Status" in (message.headers or {}) else self._stored(message)

    def _stored(self, message: Msg) -> StoredMessage:
        headers = message.headers or {}
        subject = headers[SUBJECT_HEADER]
        kind, token = self._names.parse(subject) or (None, "")
        return StoredMessage(
            int(headers[SEQUENCE_HEADER]), stored_at_ns(headers), subject, kind, token, headers, message.data
        )
