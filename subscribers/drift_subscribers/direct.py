"""Reading the stream itself: batched direct gets, which need no consumer and change nothing on the server."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from drift_schemas import SEQUENCE_HEADER, SUBJECT_HEADER, Topology
from drift_subscribers.connection import Connection
from drift_subscribers.server_clock import parse_time_stamp, stored_at_ns

__all__ = ["Batch", "DirectReader", "JetStreamSilent", "ReadFailed", "ReadInterrupted", "TooManySubjects"]

_END_OF_BATCH: Final = "204"
_NOT_FOUND: Final = "404"
_TOO_MANY: Final = "413"
_NO_STREAM: Final = "503"
_STREAM_NOT_FOUND: Final = 10059
_MAX_SUBJECTS: Final = 256
_TIME_TIMEOUT_S: Final = 0.5
_PENDING_MESSAGES: Final = 8192
_PENDING_BYTES: Final = 64 * 1024 * 1024


class ReadFailed(Exception):
    """The server did not answer a read, or answered that it cannot."""


class ReadInterrupted(ReadFailed):
    """The connection was lost while a read was under way."""


class JetStreamSilent(ReadFailed):
    """Nobody answers the API: there is no JetStream, or no way to it."""


class TooManySubjects(ReadFailed):
    """The filters match more subjects than the server answers in one go."""


@dataclass(slots=True)
class Batch:
    """Messages of one read, in the stream's order; the header ``Nats-Subject`` tells where each was stored.

    Attributes:
        messages: What was found.
        pending: How many more match after these.
        up_to: The stream's last sequence when a last-values read was made; 0 otherwise or when it is empty.
        absent: There is no such stream, as far as the server tells.
        why_absent: What is known about that, and what to do.
    """

    messages: list[Msg] = field(default_factory=list)
    pending: int = 0
    up_to: int = 0
    absent: bool = False
    why_absent: str = ""


@dataclass(slots=True)
class _Request:
    batch: Batch
    done: asyncio.Future[ReadFailed | None]
    plain: bool
    progress: int = 0


class DirectReader:
    """Asks for stored messages over one connection; answers come on one inbox, told apart by number."""

    def __init__(self, connection: Connection, topology: Topology, *, timeout_s: float) -> None:
        self._connection = connection
        self._topology = topology
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._requests: dict[str, _Request] = {}
        self._inbox = ""

    async def open(self) -> None:
        """Subscribes to the inbox."""
        self._inbox = self._connection.client.new_inbox()
        await self._connection.subscribe(
            f"{self._inbox}.*", self._answer, messages=_PENDING_MESSAGES, size=_PENDING_BYTES
        )

    def fail_all(self) -> None:
        """Fails the reads under way: the connection they wait on is gone."""
        for request in self._requests.values():
            if not request.done.done():
                request.done.set_result(ReadInterrupted("the connection was lost"))

    async def last_values(self, subjects: Sequence[str]) -> Batch:
        """The last message on each subject that the filters match, as of one sequence, ``up_to``.

        Raises:
            ReadFailed: no answer in time.
            JetStreamSilent: there is no JetStream that could answer.
            TooManySubjects: one filter alone matches more than the server answers (1,024).
        """
        merged = Batch()
        for chunk in _chunks(subjects):
            try:
                batch = await self._last_values(chunk)
            except TooManySubjects:
                if len(chunk) == 1:
                    raise
                batch = Batch()
                for subject in chunk:
                    _merge(batch, await self._last_values([subject]))
            _merge(merged, batch)
        if merged.absent:
            merged.why_absent = await self._why_absent()
        return merged

    async def following(self, subject: str, sequence: int, *, limit: int) -> Batch:
        """Up to ``limit`` messages on ``subject`` (wildcards allowed) from ``sequence`` on.

        Raises:
            ReadFailed: no answer in time, or there is no such stream now.
        """
        batch = await self._read({"seq": max(1, sequence), "next_by_subj": subject, "batch": limit})
        if batch.absent:  # not the same as nothing found: whoever asks would take it for the end
            raise ReadFailed(f"nobody answers for the stream {self._topology.stream}")
        return batch

    async def since(self, subject: str, moment: str) -> int:
        """Sequence of the first message on ``subject`` stored at or after an RFC 3339 moment; 0 without one.

        Raises:
            ReadFailed: no answer in time, or there is no such stream now.
        """
        batch = await self._read({"start_time": moment, "next_by_subj": subject, "batch": 1})
        if batch.absent:
            raise ReadFailed(f"nobody answers for the stream {self._topology.stream}")
        return int((batch.messages[0].headers or {})[SEQUENCE_HEADER]) if batch.messages else 0

    async def stamp_at(self, sequence: int) -> int | None:
        """Time stamp (ns) of the message at ``sequence``; ``None`` when it is not there.

        Raises:
            ReadFailed: no answer in time.
        """
        batch = await self.following(self._topology.subjects.everything, sequence, limit=1)
        for message in batch.messages:
            headers = message.headers or {}
            if headers.get(SEQUENCE_HEADER) == str(sequence):
                return stored_at_ns(headers)
        return None

    async def server_time_ns(self, stream: str) -> int | None:
        """The server's wall clock, by a stream's info; ``None`` where that stream does not exist.

        Raises:
            ReadFailed: no answer, which is how a missing permission shows.
        """
        try:
            return parse_time_stamp((await self._info(stream))["ts"])
        except (KeyError, TypeError, ValueError):
            return None

    async def _why_absent(self) -> str:
        """Tells a stream that is not there from a JetStream that is not there: the same silence answers for both.

        A login that may not ask for stream info leaves it open; then the stream counts as absent.

        Raises:
            JetStreamSilent: there is no JetStream that could have it.
            ReadFailed: it is there, and does not answer now.
        """
        stream = self._topology.stream
        try:
            info = await self._info(stream)
        except (JetStreamSilent, ReadInterrupted):
            raise
        except ReadFailed:
            return f"nobody answers for the stream {stream} under {self._topology.api.prefix}"
        error = info.get("error")
        if error is None:
            raise ReadFailed(f"the stream {stream} is there, but does not answer direct gets now")
        if error.get("err_code") != _STREAM_NOT_FOUND:
            raise ReadFailed(f"JetStream: {stream}: {error.get('description', 'unknown error')}")
        return self._topology.api.no_stream(stream)

    async def _info(self, stream: str) -> dict[str, Any]:
        """A stream's info, or the error in its place."""
        subject = self._topology.api.subject(f"STREAM.INFO.{stream}")
        answer = await self._ask(subject, b"", plain=True, timeout_s=_TIME_TIMEOUT_S)
        message = answer.messages[0]
        if (message.headers or {}).get("Status") == _NO_STREAM:
            raise JetStreamSilent(self._topology.api.silence)
        try:
            info = json.loads(message.data)
        except ValueError:
            info = None
        return info if isinstance(info, dict) else {}

    async def _last_values(self, subjects: Sequence[str]) -> Batch:
        wish: dict[str, Any] = {"multi_last": list(subjects)}
        whole = await self._read(wish)
        while whole.pending and whole.messages:
            last = int((whole.messages[-1].headers or {})[SEQUENCE_HEADER])
            more = await self._read({**wish, "seq": last + 1, "up_to_seq": whole.up_to})
            whole.messages += more.messages
            whole.pending = more.pending if more.messages else 0
        return whole

    async def _read(self, wish: dict[str, Any]) -> Batch:
        subject = self._topology.api.direct_get(self._topology.stream)
        return await self._ask(subject, json.dumps(wish).encode(), plain=False, timeout_s=self._timeout_s)

    async def _ask(self, subject: str, wish: bytes, *, plain: bool, timeout_s: float) -> Batch:
        """Sends a request and waits for the end of its answer.

        Not the client's own ``request``: that can swallow a cancellation which meets the answer, and then a task
        that was to end goes on.
        """
        number = str(next(self._numbers))
        request = _Request(Batch(), asyncio.get_running_loop().create_future(), plain)
        self._requests[number] = request
        try:
            await self._connection.client.publish(subject, wish, reply=f"{self._inbox}.{number}")
            await self._finished(request, timeout_s)
        except NatsError as error:
            raise ReadFailed(f"{type(error).__name__}: {error}") from None
        finally:
            del self._requests[number]
        return request.batch

    async def _finished(self, request: _Request, timeout_s: float) -> None:
        """Waits for the end of the batch; gives up when nothing came for the timeout."""
        while True:
            before = request.progress
            done, _ = await asyncio.wait({request.done}, timeout=timeout_s)
            if done:
                failed = request.done.result()
                if failed is not None:
                    raise failed
                return
            if request.progress == before:
                raise ReadFailed(f"no answer from the stream {self._topology.stream} in {timeout_s:g} s")

    async def _answer(self, message: Msg) -> None:
        request = self._requests.get(message.subject.rpartition(".")[2])
        if request is None or request.done.done():
            return
        request.progress += 1
        headers = message.headers or {}
        if request.plain or (SUBJECT_HEADER in headers and SEQUENCE_HEADER in headers):
            request.batch.messages.append(message)
            if request.plain:
                request.done.set_result(None)
            return
        status = headers.get("Status", "")
        if status == _END_OF_BATCH:
            request.batch.pending = _number(headers.get("Nats-Num-Pending"))
            request.batch.up_to = _number(headers.get("Nats-UpTo-Sequence"))
        elif status == _NO_STREAM:
            request.batch.absent = True
        elif status == _TOO_MANY:
            request.done.set_result(TooManySubjects("the stream has too many subjects for one read"))
            return
        elif status != _NOT_FOUND:
            why = f"status {status or 'unknown'} {headers.get('Description', '')}"
            request.done.set_result(ReadFailed(why))
            return
        request.done.set_result(None)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _chunks(subjects: Sequence[str]) -> list[Sequence[str]]:
    return [subjects[at : at + _MAX_SUBJECTS] for at in range(0, len(subjects), _MAX_SUBJECTS)]


def _merge(into: Batch, batch: Batch) -> None:
    """Adds a batch read later; what arrived before the first read is what the whole is sure of."""
    known = [up_to for up_to in (into.up_to, batch.up_to) if up_to]
    into.messages += batch.messages
    into.pending += batch.pending
    into.up_to = min(known, default=0)
    into.absent = into.absent or batch.absent
