"""Where a replay's events come from: a connection, and a selection as people give it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypedDict

from nats.aio.client import Client

from drift_schemas import KINDS, Kind, Topology
from drift_schemas.access import NatsAccess
from drift_subscribers.connection import Connection
from drift_subscribers.history import BadMoment, Selection, Span, find_span, parse_moment
from drift_subscribers.statistics import Counters

__all__ = ["Moment", "ReplayOptions", "Server", "Source"]

Moment = int | str | datetime
"""Nanoseconds since the epoch, a text for ``parse_moment``, or a datetime with a time zone."""

Server = str | Sequence[str] | Client
"""A NATS URL, several of one cluster, or an open client, which stays the caller's."""

_PING_INTERVAL_S: Final = 2.0


class ReplayOptions(TypedDict, total=False):
    """What is replayed, and how it is read; every key may be left out."""

    since: Moment | None
    """Stored at this moment or later: nanoseconds, a text such as ``-2h``, or a datetime with a zone."""
    until: Moment | None
    """Stored before this moment; by default what is stored when the replay is opened."""
    first_sequence: int | None
    """This sequence of the stream or later."""
    last_sequence: int | None
    """This sequence or earlier."""
    kinds: Iterable[Kind] | None
    """These kinds only."""
    markets: Iterable[str] | None
    """These markets only, by name."""
    prefix: str
    """The subject prefix of the bus that is replayed; by default ``drift``."""
    stream: str | None
    """Another stream than the prefix's, with the same subjects, such as a longer kept copy."""
    connect_timeout_s: float
    """Patience for the connection; by default 5 s."""
    patience_s: float
    """Patience with a server that goes away in the middle; by default 30 s."""
    inbox_prefix: str
    """As for ``DriftFeed``."""
    nats_options: Mapping[str, Any] | None
    """As for ``DriftFeed``."""
    access: NatsAccess | None
    """As for ``DriftFeed``."""
    domain: str | None
    """As for ``DriftFeed``."""
    clock: Callable[[], float]
    """Monotonic seconds, by which a replay is paced."""


class Source:
    """A selection of one bus's history, and the way to it.

    Raises:
        BadMoment, BadSelection, InvalidPrefix, InvalidMarketName: the options make none.
    """

    def __init__(self, server: Server, options: ReplayOptions) -> None:
        kinds, markets = options.get("kinds"), options.get("markets")
        self.selection = Selection(
            since_ns=_moment_ns(options.get("since")),
            until_ns=_moment_ns(options.get("until")),
            first_sequence=options.get("first_sequence"),
            last_sequence=options.get("last_sequence"),
            kinds=KINDS if kinds is None else tuple(dict.fromkeys(kinds)),
            markets=() if markets is None else tuple(dict.fromkeys(markets)),
        )
        access = options.get("access")
        domain = options.get("domain") or (access.domain if access else None)
        self.topology = Topology(options.get("prefix", "drift"), domain=domain)
        self.stream = options.get("stream")
        self.patience_s = options.get("patience_s", 30.0)
        self._server = server
        self._options = options

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A client that reconnects for ever; closed at the end unless it was given.

        Raises:
            CannotConnect: nobody answered in time.
        """
        if isinstance(self._server, Client):
            yield self._server
            return
        connection = Connection(
            self._server,
            connect_timeout_s=self._options.get("connect_timeout_s", 5.0),
            ping_interval_s=_PING_INTERVAL_S,
            inbox_prefix=self._options.get("inbox_prefix", "_INBOX"),
            options=self._options.get("nats_options") or {},
            access=self._options.get("access"),
            counters=Counters(),
        )
        await connection.open()
        try:
            yield connection.client
        finally:
            await connection.close()

    async def span(self, client: Client) -> Span:
        """The sequences that the selection means now; raises as ``find_span`` does."""
        return await find_span(client, self.topology, self.selection, stream=self.stream, patience_s=self.patience_s)


def _moment_ns(moment: Moment | None) -> int | None:
    if moment is None or isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        return parse_moment(moment)
    if moment.tzinfo is None:
        raise BadMoment(f"{moment!r}: a datetime needs a time zone")
    return parse_moment(moment.isoformat())
