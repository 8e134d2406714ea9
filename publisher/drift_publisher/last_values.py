"""What the stream holds when a term begins: so that a new leader confirms it, and does not say it once more as news."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from drift_publisher.epoch import Term
from drift_publisher.market_names import MarketKey
from drift_publisher.projection import Origin
from drift_publisher.standing import Stored
from drift_schemas import KINDS, SEQUENCE_HEADER, SUBJECT_HEADER, MessageError, Topology, decode_fields

__all__ = ["last_contents"]

_log = logging.getLogger(__name__)
_PATIENCE_S: Final = 2.0
_AGAIN_S: Final = 0.05
_ORIGIN: Final = frozenset(Origin.__annotations__)


class _Incomplete(RuntimeError):
    """A replica answered that has not heard of our term yet, or the stream refused; the text says which."""


async def last_contents(
    nats: Client, topology: Topology, term: Term, *, program: str, cluster: str
) -> Mapping[str, Stored] | None:
    """The last content of every subject, by its ingress subject, as far as it is of this program and cluster.

    Read after the term's fence stands, so that nothing of a former leader can follow. Message ids alone would not do:
    the server knows them for two minutes, and a settled funding rate stands for an hour.

    Returns:
        ``None`` where the stream does not answer in time: then everything is published as after a first start.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = [await _last_of(nats, topology, kind, term.sequence) for kind in KINDS]
    except (NatsError, TimeoutError, _Incomplete) as error:
        _log.warning(
            "what the stream holds cannot be read (%s); every value is published anew", str(error) or "no answer"
        )
        return None
    return {
        f"in.{subject}": Stored(
            MarketKey(fields["market_type"], fields["market_index"]),
            {name: value for name, value in fields.items() if name not in _ORIGIN},
        )
        for of_kind in found
        for subject, fields in of_kind.items()
        if (fields.get("program"), fields.get("cluster")) == (program, cluster) and fields.keys() >= _ORIGIN
    }


async def _last_of(nats: Client, topology: Topology, kind: str, term_sequence: int) -> dict[str, dict[str, Any]]:
    epoch = topology.subjects.epoch
    while True:
        messages = await _multi_last(nats, topology, [f"{topology.prefix}.{kind}.*", epoch])
        if any(_subject(message) == epoch and _sequence(message) >= term_sequence for message in messages):
            return {_subject(message): fields for message in messages if (fields := _fields(message))}
        await asyncio.sleep(_AGAIN_S)  # a replica behind the leader: what it holds may be old


async def _multi_last(nats: Client, topology: Topology, subjects: list[str]) -> list[Msg]:
    messages: list[Msg] = []
    ended: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def take(message: Msg) -> None:
        headers = message.headers or {}
        if SUBJECT_HEADER in headers:
            messages.append(message)
        elif not ended.done():
            ended.set_result(headers)

    inbox = nats.new_inbox()
    subscription = await nats.subscribe(inbox, cb=take)
    try:
        wish: dict[str, Any] = {"multi_last": subjects}
        await nats.publish(topology.api.direct_get(topology.stream), json.dumps(wish).encode(), reply=inbox)
        end = await ended
    finally:
        if not nats.is_closed:
            await subscription.unsubscribe()
    if end.get("Status") != "204" or int(end.get("Nats-Num-Pending", "0")):
        raise _Incomplete(
            f"the stream {topology.stream} answers {end.get('Status')} {end.get('Description', '')}".rstrip()
        )
    return messages


def _fields(message: Msg) -> dict[str, Any] | None:
    try:
        return decode_fields(message.data) if message.data and not message.data.isdigit() else None
    except MessageError:
        return None


def _subject(message: Msg) -> str:
    return (message.headers or {})[SUBJECT_HEADER]


def _sequence(message: Msg) -> int:
    return int((message.headers or {}).get(SEQUENCE_HEADER, 0))
