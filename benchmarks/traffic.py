"""What a run carried: each notification, the messages that it makes, and when an engine first saw its content."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import orjson

from benchmarks.recording import filled_store
from drift_publisher.bus import Bus
from drift_publisher.lanes import Message
from drift_publisher.projector import Projector
from drift_publisher.source import AccountUpdate
from drift_publisher.store import AccountStore, Touched
from drift_schemas import Topology

__all__ = [
    "Journey",
    "Key",
    "MessageBasket",
    "Notification",
    "contents_sent",
    "journeys",
    "keys_shown",
    "keys_told",
    "new_projector",
    "read_departures",
]

_PRICE_OF_ORACLE: Final = ("oracle_price", "oracle_confidence", "oracle_slot")
_PRICE_OF_MARKET: Final = ("mark_twap", "mark_twap_5min", "oracle_twap", "oracle_twap_5min")
_TIMES: Final = ("observed_at_ns", "published_at_ns")
_FUNDING: Final = ("mark_twap", "oracle_twap", "funding_rate_ts", "funding_rate")

Key = tuple[str, str, *tuple[Any, ...]]


class MessageBasket:
    """Stands where the bus stands and keeps what it is given; nothing is sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def submit(self, message: Message) -> None:
        """Keeps the message."""
        self.messages.append(message)


def new_projector(store: AccountStore, bus: MessageBasket | Bus) -> Projector:
    """The publisher's projector over this store and bus."""
    return Projector(store, cast(Bus, bus), Topology(), cluster="simulated", epoch=1, chain_slot=lambda: 0)


@dataclass
class Notification:
    """One account notification: when it left the node, what shows its content, how large its messages are."""

    sent_ns: int
    keys: list[Key] = field(default_factory=list)
    messages: list[tuple[str, int]] = field(default_factory=list)


def read_departures(path: Path) -> list[Notification]:
    """Reads what the node wrote, and works out with the publisher's own store what each notification tells."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    store = filled_store([AccountUpdate(row[1], row[2], 0, b64decode(row[3]), 1) for row in rows if row[0] == 0])
    basket = MessageBasket()
    projector = new_projector(store, basket)
    projector.publish_all()
    notifications = []
    for sent_ns, address, owner, data in rows:
        if sent_ns == 0:
            continue
        basket.messages.clear()
        touched = store.apply(AccountUpdate(address, owner, 1, b64decode(data), sent_ns))
        projector.publish(touched)
        sizes = [(message.subject, len(message.payload)) for message in basket.messages]
        notifications.append(Notification(sent_ns, list(keys_told(store, touched)), sizes))
    return notifications


def contents_sent(departures: Path, begin_ns: int, end_ns: int) -> dict[tuple[str, str], int]:
    """When each content, by address and digest of its bytes, left the node first, of what left it in the window."""
    sent: dict[tuple[str, str], int] = {}
    for line in departures.read_bytes().splitlines():
        sent_ns, address, _, data = orjson.loads(line)
        if begin_ns <= sent_ns < end_ns:
            sent.setdefault((address, hashlib.blake2b(b64decode(data), digest_size=16).hexdigest()), sent_ns)
    return sent


def keys_told(store: AccountStore, touched: Touched) -> Iterator[Key]:
    """What shows the content of an update: of the oracle's, of the market's averages, of its funding."""
    for key in touched.by_oracle:
        market = store.market(key)
        oracle = market and store.oracle(market)
        if market is not None and oracle is not None:
            yield ("oracle", market.name, oracle.price, oracle.confidence, oracle.slot)
    for key in touched.markets:
        perp = store.perp_markets.get(key.market_index) if key.type == "perp" else None
        market = perp or store.market(key)
        if market is None:
            continue
        marks = (None, None) if perp is None else (perp.last_mark_price_twap, perp.last_mark_price_twap_5min)
        yield ("twap", market.name, *marks, market.last_oracle_price_twap, market.last_oracle_price_twap_5min)
        if perp is not None:
            settled = (perp.last_funding_rate_ts, perp.last_funding_rate)
            yield ("funding", perp.name, perp.last_mark_price_twap, perp.last_oracle_price_twap, *settled)


class Journey(NamedTuple):
    """Seconds from one notification's departure to an engine that sees its content, and the stretches of the way."""

    total: float
    to_publisher: float
    projecting: float
    to_engine: float


def journeys(notifications: list[Notification], arrivals: Path, begin_ns: int, end_ns: int) -> list[Journey]:
    """From each notification sent in the window to the first event that shows its content, per kind of event."""
    departed: dict[Key, int] = {}
    for notification in notifications:
        for key in notification.keys:
            departed.setdefault(key, notification.sent_ns)
    found = []
    for line in arrivals.read_bytes().splitlines():
        arrived_ns, wall_ahead_ns, kind, event = orjson.loads(line)
        for key in keys_shown(kind, event):
            sent_ns = departed.pop(key, 0)
            if begin_ns <= sent_ns < end_ns:
                received_ns, published_ns = (event[name] - wall_ahead_ns for name in _TIMES)
                moments = (sent_ns, received_ns, published_ns, arrived_ns)
                stretches = ((later - earlier) / 1e9 for earlier, later in pairwise(moments))
                found.append(Journey((arrived_ns - sent_ns) / 1e9, *stretches))
    return found


def keys_shown(kind: str, event: Mapping[str, Any]) -> Iterator[Key]:
    """The same, as an event shows it."""
    name = event["market"]
    if kind == "price":
        yield ("oracle", name, *(event[field] for field in _PRICE_OF_ORACLE))
        yield ("twap", name, *(event[field] for field in _PRICE_OF_MARKET))
    elif kind == "funding":
        yield ("funding", name, *(event[field] for field in _FUNDING))
