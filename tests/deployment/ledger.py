"""What was acknowledged, what is stored, what an engine saw: to be compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Self

import pytest
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from drift_publisher.bus import Bus
from drift_schemas import KINDS, MSG_ID_HEADER, REASSERTION_HEADER, Kind, MarketDataEvent, Topology
from drift_schemas.codec import unpack
from drift_subscribers import DriftFeed, EventStream, Lossless
from tests.support.connecting import nats_client

__all__ = ["Acknowledged", "Witness", "repeated", "stored_changes", "stored_epochs", "stored_sequences"]


class Acknowledged(list[str]):
    """Ids of the changes that the stream acknowledged to any publisher of this process, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        original = Bus._stored

        def stored(bus: Bus, lane: Any, message: Any, ack: Any, sent_at: float) -> None:
            if REASSERTION_HEADER not in message.headers and ".ctl." not in message.subject:
                self.append(message.headers[MSG_ID_HEADER])
            original(bus, lane, message, ack, sent_at)

        monkeypatch.setattr(Bus, "_stored", stored)


class Witness:
    """Reads the lossless stream of one kind for as long as the ``async with`` lasts, and remembers every sequence."""

    def __init__(self, feed: DriftFeed, kind: Kind) -> None:
        self.seen: list[int] = []
        self._stream: EventStream[MarketDataEvent] = feed.stream(kind, policy=Lossless())
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read(), name="witness")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.close()
        assert self._reading is not None
        await self._reading

    async def _read(self) -> None:
        async for _ in self._stream:
            self.seen.append(self._stream.sequence)


async def stored_changes(url: str, topology: Topology, *, kinds: tuple[Kind, ...] = KINDS) -> dict[int, str]:
    """Message ids of the changes in the stream, by sequence, read by bare nats-py."""
    return {
        message.metadata.sequence.stream: headers[MSG_ID_HEADER]
        for message in await _stored(url, topology, kinds)
        if REASSERTION_HEADER not in (headers := message.headers or {})
    }


async def stored_epochs(url: str, topology: Topology) -> list[int]:
    """Epochs of all events in the stream, in its order."""
    return [int(unpack(message.data)["epoch"]) for message in await _stored(url, topology, KINDS)]


async def _stored(url: str, topology: Topology, kinds: tuple[Kind, ...]) -> list[Msg]:
    async with nats_client(url) as client:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.ALL,
            mem_storage=True,
            num_replicas=1,
            filter_subjects=[topology.subjects.of_kind(kind) for kind in kinds],
        )
        pull = await client.jetstream(timeout=30).pull_subscribe("", stream=topology.stream, config=config)
        found: list[Msg] = []
        left = (await pull.consumer_info()).num_pending or 0
        while left:
            found += await pull.fetch(min(left, 500), timeout=30)
            left = found[-1].metadata.num_pending
        return found


async def stored_sequences(url: str, topology: Topology) -> set[int]:
    """Sequences of everything in the stream."""
    async with nats_client(url) as client:
        pull = await client.jetstream(timeout=30).pull_subscribe(
            topology.subjects.everything,
            stream=topology.stream,
            config=ConsumerConfig(
                ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True, num_replicas=1
            ),
        )
        found: set[int] = set()
        left = (await pull.consumer_info()).num_pending or 0
        while left:
            for message in await pull.fetch(min(left, 500), timeout=30):
                left = message.metadata.num_pending
                found.add(message.metadata.sequence.stream)
        return found


def repeated(values: list[Any]) -> list[Any]:
    """Those that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
