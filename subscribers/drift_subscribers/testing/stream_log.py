"""A stream in memory: stores events as the server would, and answers the direct gets that a feed asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_schemas import (
    LAST_SEQUENCE_HEADER,
    REASSERTION_HEADER,
    SCHEMA_HEADER,
    SEQUENCE_HEADER,
    STREAM_HEADER,
    SUBJECT_HEADER,
    TIME_STAMP_HEADER,
    MarketDataEvent,
    Topology,
    bucket_ttl_s,
    encode,
    schema_of,
)
from drift_subscribers.connection import Connection
from drift_subscribers.direct import Batch, DirectReader
from drift_subscribers.server_clock import parse_time_stamp

__all__ = ["LogReader", "StreamLog"]


class StreamLog:
    """Messages in the order in which they were stored, under their public subjects.

    Args:
        topology: Names of stream and subjects.
        wall_ns: The server's wall clock, in nanoseconds since the Unix epoch.
    """

    def __init__(self, topology: Topology, wall_ns: Callable[[], int]) -> None:
        self._topology = topology
        self._wall_ns = wall_ns
        self._client = Client()
        self._stored: list[tuple[Msg, int, int | None]] = []
        self._last: dict[str, int] = {}

    @property
    def last_sequence(self) -> int:
        """Sequence of the message stored last; 0 before."""
        return len(self._stored)

    def append(self, event: MarketDataEvent, *, reassertion: bool = False) -> Msg:
        """Stores an event; returns the message that subscribers get.

        Raises:
            InvalidMarketName: the market's name cannot be a subject token.
        """
        subject = self._topology.subjects.public(event.kind, event.market)
        stamp_ns = self._wall_ns()
        headers = {
            SCHEMA_HEADER: schema_of(event.kind),
            STREAM_HEADER: self._topology.stream,
            SUBJECT_HEADER: subject,
            SEQUENCE_HEADER: str(self.last_sequence + 1),
            LAST_SEQUENCE_HEADER: str(self._last.get(subject, 0)),
            TIME_STAMP_HEADER: _rfc3339(stamp_ns),
        }
        expires_ns = None
        if reassertion:
            headers[REASSERTION_HEADER] = "1"
            expires_ns = stamp_ns + bucket_ttl_s(event.kind) * 10**9
        message = Msg(self._client, subject=subject, data=encode(event), headers=headers)
        self._stored.append((message, stamp_ns, expires_ns))
        self._last[subject] = self.last_sequence
        return message

    def messages(self, *, since_ns: int = 0) -> list[Msg]:
        """What is stored now: everything but re-assertions whose time is over."""
        now = self._wall_ns()
        return [
            message
            for message, stamp_ns, expires_ns in self._stored
            if stamp_ns >= since_ns and (expires_ns is None or expires_ns > now)
        ]

    def last_messages(self) -> list[Msg]:
        """The last message on each subject, in the stream's order."""
        last = {message.subject: message for message in self.messages()}
        return sorted(last.values(), key=sequence_of)


class LogReader(DirectReader):
    """Reads a log as a ``DirectReader`` reads the server's stream."""

    def __init__(self, log: StreamLog, connection: Connection, topology: Topology) -> None:
        super().__init__(connection, topology, timeout_s=1.0)
        self._log = log

    async def _read(self, wish: dict[str, Any]) -> Batch:
        since_ns = parse_time_stamp(wish["start_time"]) if "start_time" in wish else 0
        found = [
            message
            for message in self._log.messages(since_ns=since_ns)
            if sequence_of(message) >= wish.get("seq", 1) and _matches(message.subject, wish["next_by_subj"])
        ]
        batch = wish["batch"]
        return Batch(found[:batch], pending=max(0, len(found) - batch))


def sequence_of(message: Msg) -> int:
    """A message's place in the stream."""
    return int((message.headers or {})[SEQUENCE_HEADER])


def _matches(subject: str, pattern: str) -> bool:
    head, _, last = pattern.rpartition(".")
    if last == ">":
        return subject.startswith(f"{head}.")
    return subject == pattern or (last == "*" and subject.rpartition(".")[0] == head)


def _rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
