"""A writer that keeps the journal as the publisher does, and what tests read of streams and buckets."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nats.aio.client import Client

from drift_schemas import (
    MSG_ID_HEADER,
    SEQUENCE_HEADER,
    SUBJECT_HEADER,
    JetStreamApi,
    Kind,
    MarketDataEvent,
    Topology,
    confirmation_of,
    encode,
    encode_confirmations,
    market_token,
)
from drift_subscribers.history import StoredMessage
from drift_subscribers.history.index import StreamIndex
from drift_subscribers.history.inquiry import Inquiry
from tests.support.bus_writer import BusWriter
from tests.support.wait import wait_until

__all__ = ["bucket_of", "confirm", "expire", "journal", "settled_bucket", "stored", "stored_at"]


async def confirm(bus: BusWriter, *events: MarketDataEvent) -> list[int]:
    """Re-asserts events, and writes that into the journal; returns their sequences."""
    sequences = [await bus.reassert(event) for event in events]
    await journal(bus, events, sequences)
    return sequences


async def journal(bus: BusWriter, events: Sequence[MarketDataEvent], sequences: Sequence[int]) -> int:
    """Writes one message of the journal."""
    lines = [
        confirmation_of(event.kind, market_token(event.market), sequence, encode(event))
        for event, sequence in zip(events, sequences, strict=True)
    ]
    headers = {MSG_ID_HEADER: f"confirmed.{sequences[0]}"}
    return await bus.raw(bus.topology.subjects.confirmed, encode_confirmations(lines), headers)


async def expire(bus: BusWriter, *sequences: int) -> None:
    """Takes re-assertions out of the stream, as their TTL would."""
    for sequence in sequences:
        await bus.delete_message(sequence)


async def stored(client: Client, topology: Topology, stream: str | None = None) -> list[StoredMessage]:
    """Everything in a stream, one by one."""
    async with Inquiry(client, JetStreamApi(), patience_s=30) as inquiry:
        index = StreamIndex(inquiry, topology, stream)
        await index.open()
        found: list[StoredMessage] = []
        while message := await index.first_of([topology.subjects.everything], found[-1].sequence + 1 if found else 1):
            found.append(message)
        return found


async def stored_at(client: Client, topology: Topology, sequence: int) -> int:
    """When the message at a sequence was stored."""
    async with Inquiry(client, JetStreamApi(), patience_s=30) as inquiry:
        message = await StreamIndex(inquiry, topology).first_of([topology.subjects.everything], sequence)
        assert message is not None
        assert message.sequence == sequence
        return message.stored_at_ns


async def bucket_of(client: Client, topology: Topology, kind: Kind) -> dict[str, bytes]:
    """Keys and values of a bucket, read from its stream."""
    bucket = topology.bucket(kind)
    async with Inquiry(client, JetStreamApi(), patience_s=30) as inquiry:
        wish = json.dumps({"multi_last": [f"$KV.{bucket}.>"]}).encode()
        *found, _ = await inquiry.ask_all(topology.api.direct_get(topology.bucket_stream(kind)), wish)
    values: dict[str, bytes] = {}
    for message in found:
        headers = message.headers or {}
        assert SEQUENCE_HEADER in headers
        if message.data:
            values[headers[SUBJECT_HEADER].rpartition(".")[2]] = message.data
    return values


async def settled_bucket(client: Client, topology: Topology, kind: Kind, wanted: dict[str, bytes]) -> None:
    """Waits until a bucket, which follows its stream a little later, holds just this."""

    async def is_so() -> bool:
        return await bucket_of(client, topology, kind) == wanted

    await wait_until(is_so, 60, f"bucket {topology.bucket(kind)} holds {sorted(wanted)}", every_s=0.05)
