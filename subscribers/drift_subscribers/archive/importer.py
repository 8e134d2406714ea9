"""Import: a history becomes a stream again, in the old order, with the old times and ids."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_schemas import (
    CONTENT_TYPE,
    MSG_ID_HEADER,
    SCHEMA_HEADER,
    STORED_AT_HEADER,
    STORED_SEQUENCE_HEADER,
    TTL_HEADER,
    OutOfRange,
    Topology,
    encode,
    schema_of,
)
from drift_subscribers.archive.errors import ImportInterrupted, ImportRefused
from drift_subscribers.archive.events import ArchivedEvent
from drift_subscribers.archive.fenced import FencedSender, LineLost
from drift_subscribers.archive.sources import ImportSource
from drift_subscribers.archive.target import Place, Target
from drift_subscribers.history.span import PATIENCE_S

__all__ = ["LISTEN_S", "ImportProgress", "ImportResult", "import_history"]

LISTEN_S: Final = 2.5
_TELL_EVERY: Final = 1000
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is: events sent in this run, of how many that it has to send at most."""

    rows: int
    total: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What a run of an import did.

    Attributes:
        stream: The stream that holds it now.
        new_rows: Events that this run stored; 0: there was nothing to do.
        rows: Events of the history that the stream holds.
        finished: Everything that the history holds is in the stream.
    """

    stream: str
    new_rows: int
    rows: int
    finished: bool


async def import_history(
    client: Client,
    topology: Topology,
    source: ImportSource,
    *,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[ImportProgress], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
    listen_s: float = LISTEN_S,
) -> ImportResult:
    """Stores a history's events in a stream of its own under ``topology``'s prefix.

    The stream keeps the order, has no limits, and republishes nothing, so that nobody takes it for live. Each message
    carries its first place and time (``Drift-Stored-Sequence``, ``Drift-Stored-At``) and its id. The same call again
    goes on where the last one stopped. A publisher that is started on the prefix later takes the stream over, with its
    limits and buckets, and writes behind the imported events.

    Args:
        client: A connection that reconnects; it stays the caller's.
        topology: Names of stream and subjects; only the prefix counts.
        source: The history, such as an :class:`ExportSource`, maybe of an export that is not finished.
        stop: Once set, the import returns early.
        on_progress: Called every thousand events.
        patience_s: How long a server that does not answer is waited for.
        listen_s: How long to listen for a live publisher, which tells of itself once a second.

    Raises:
        DamagedExport: a part is missing, truncated or altered; nothing was written then.
        ImportRefused: a publisher is live under the prefix, or the stream is there already and is not this import's.
        ImportInterrupted: the server did not store a message, or stayed away; the same call goes on.
        MissingExtra: Parquet without pyarrow.
    """
    stop = stop or asyncio.Event()
    async with _nobody_publishes(client, topology, listen_s):
        await asyncio.to_thread(source.check)
    target = Target(client, topology, source, patience_s=patience_s)
    await target.ensure()
    place = await target.place()
    sending = _Sending(client, topology, source, stop, on_progress)
    begin, silent_since, finished = place, time.monotonic(), None
    while finished is None:
        try:
            finished = await sending.send_after(place)
        except LineLost as lost:
            await asyncio.sleep(_PAUSE_S)
            before, place = place, await target.place()
            if place != before:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > patience_s:
                raise ImportInterrupted(f"{lost}, for {patience_s:g} s; the same call goes on from there") from None
    rows = (await target.place()).events
    return ImportResult(topology.stream, rows - begin.events, rows, finished)


class _Sending:
    """Sends what is behind a place, then the newest epoch, so that a later publisher begins above it."""

    def __init__(
        self,
        client: Client,
        topology: Topology,
        source: ImportSource,
        stop: asyncio.Event,
        on_progress: Callable[[ImportProgress], None],
    ) -> None:
        self._client = client
        self._subjects = topology.subjects
        self._source = source
        self._stop = stop
        self._on_progress = on_progress

    async def send_after(self, place: Place) -> bool:
        """Sends; returns whether it reached the end.

        Raises:
            LineLost: messages or acknowledgements are lost; look where the target stands, and send again behind that.
            ImportInterrupted: the stream refused a message.
        """
        total = max(0, self._source.rows - place.events)
        epoch, last, rows = place.epoch, place.imported, 0
        async with FencedSender(self._client, place.last_sequence) as sender:
            for archived in self._source.events(place.imported):
                await self._send(sender, archived)
                epoch, last, rows = max(epoch, archived.event.epoch), archived.sequence, rows + 1
                if rows % _TELL_EVERY == 0:
                    self._on_progress(ImportProgress(rows, total))
                if self._stop.is_set():
                    await sender.drain()
                    return False
            if rows:
                headers = {TTL_HEADER: "never", STORED_SEQUENCE_HEADER: str(last)}
                await sender.send(f"in.{self._subjects.epoch}", str(epoch).encode(), headers)
            await sender.drain()
        self._on_progress(ImportProgress(rows, rows))
        return True

    async def _send(self, sender: FencedSender, archived: ArchivedEvent) -> None:
        event = archived.event
        headers = {
            "Content-Type": CONTENT_TYPE,
            SCHEMA_HEADER: schema_of(event.kind),
            STORED_AT_HEADER: str(archived.stream_time_ns),
            STORED_SEQUENCE_HEADER: str(archived.sequence),
        }
        if archived.message_id is not None:
            headers[MSG_ID_HEADER] = archived.message_id
        try:
            payload = encode(event)
        except OutOfRange as error:  # of a time when the wire had no limits
            raise ImportInterrupted(f"the event at sequence {archived.sequence} cannot be stored: {error}") from None
        await sender.send(self._subjects.ingress(event.kind, event.market), payload, headers)


@contextlib.asynccontextmanager
async def _nobody_publishes(client: Client, topology: Topology, listen_s: float) -> AsyncIterator[None]:
    """Listens for a heartbeat meanwhile, and for ``listen_s`` at least.

    Raises:
        ImportRefused: there was one.
    """
    heard, end = asyncio.Event(), time.monotonic() + listen_s

    async def on_heartbeat(_: Msg) -> None:
        heard.set()

    subscription = await client.subscribe(topology.subjects.status, cb=on_heartbeat)
    try:
        yield
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                await heard.wait()
    finally:
        await subscription.unsubscribe()
    if heard.is_set():
        raise ImportRefused(
            f"a publisher is live under the prefix {topology.prefix!r}: import under another one (--prefix), "
            "and let engines read it there"
        )
