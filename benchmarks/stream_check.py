"""What the stream holds beside what was acknowledged, and beside what an engine was given."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack
import nats
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from drift_schemas import MSG_ID_HEADER, REASSERTION_HEADER, Topology
from drift_schemas.access import close_quietly

__all__ = ["StreamCheck", "check_stream"]

_BATCH: Final = 500
_TOPOLOGY: Final = Topology()


class StreamCheck(NamedTuple):
    """What was found.

    Attributes:
        changes: Changes that the stream holds.
        acked: Different ids that were acknowledged as changes.
        acked_missing: Those that the stream does not hold.
        stored_twice: Ids that the stream holds more than once.
        unacked: Changes in the stream of which the publisher knows no acknowledgement.
        prices_due: Price changes that the engine had to see.
        prices_missing, prices_twice, prices_unknown: Those that it did not see, saw again, or that nobody stored.
        out_of_order: Markets whose prices it saw in another order than the stream's.
    """

    changes: int
    acked: int
    acked_missing: int
    stored_twice: int
    unacked: int
    prices_due: int
    prices_missing: int
    prices_twice: int
    prices_unknown: int
    out_of_order: int


async def _messages(nats_url: str) -> AsyncIterator[Msg]:
    """Everything in the stream, oldest first."""
    client = await nats.connect(nats_url)
    try:
        jetstream = client.jetstream()
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, mem_storage=True, num_replicas=1
        )
        pull = await jetstream.pull_subscribe(_TOPOLOGY.subjects.everything, stream=_TOPOLOGY.stream, config=config)
        left = (await pull.consumer_info()).num_pending
        while left:
            for message in await pull.fetch(min(_BATCH, left or 0), timeout=10):
                yield message
                left = message.metadata.num_pending
    finally:
        await close_quietly(client)


async def check_stream(nats_url: str, acked_ids: Path, received: Path, opened_ns: int) -> StreamCheck:
    """Reads the whole stream and compares.

    Args:
        nats_url: The server; nobody publishes any more.
        acked_ids: A line per acknowledged change: its message id.
        received: A line per price that the engine was given: ``published_at_ns`` and market.
        opened_ns: When the engine's stream was open; prices published before are not compared.
    """
    stored: Counter[str] = Counter()
    prices: dict[str, list[int]] = defaultdict(list)
    price_prefix = _TOPOLOGY.subjects.everything.removesuffix(">") + "price."
    async for message in _messages(nats_url):
        headers = message.headers or {}
        if REASSERTION_HEADER in headers or _TOPOLOGY.subjects.parse(message.subject) is None:
            continue
        stored[headers[MSG_ID_HEADER]] += 1
        if message.subject.startswith(price_prefix):
            event: dict[str, Any] = msgpack.unpackb(message.data, ext_hook=lambda code, data: None)
            if event["published_at_ns"] > opened_ns:
                prices[event["market"]].append(event["published_at_ns"])
    acked = set(acked_ids.read_text().split())
    seen: dict[str, list[int]] = defaultdict(list)
    for line in received.read_text().splitlines():
        moment, _, market = line.partition(" ")
        if int(moment) > opened_ns:
            seen[market].append(int(moment))
    due = {(market, moment) for market, moments in prices.items() for moment in moments}
    told = Counter((market, moment) for market, moments in seen.items() for moment in moments)
    return StreamCheck(
        stored.total(), len(acked), len(acked - stored.keys()), _more_than_once(stored.values()),
        len(stored.keys() - acked), len(due), len(due - told.keys()), _more_than_once(told.values()),
        len(told.keys() - due), sum(_order(prices[market], moments) for market, moments in seen.items()),
    )  # fmt: skip


def _more_than_once(counts: Iterable[int]) -> int:
    return sum(count > 1 for count in counts)


def _order(stored: list[int], seen: list[int]) -> bool:
    """Whether what both have comes in another order."""
    place = {moment: number for number, moment in enumerate(stored)}
    places = [place[moment] for moment in seen if moment in place]
    return places != sorted(places)
