"""The publisher's epoch: a counter in the stream that every start moves forward by compare-and-set."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from drift_publisher.asking import IN_PROCESS, WRONG_SEQUENCE, ask, behind
from drift_publisher.errors import NatsUnavailable
from drift_publisher.fences import AT_ONCE
from drift_schemas import SEQUENCE_HEADER, TTL_HEADER, Topology

__all__ = ["Term", "claim_epoch", "rewrite_epoch"]

_TIMEOUT_S: Final = 5.0
_REPLICATED_AT_ONCE: Final = 32


class Term(NamedTuple):
    """One publisher's time as the leader.

    Attributes:
        epoch: Its number; every term has a higher one than those before.
        sequence: Where the epoch stands in the stream.
        fences: Headers that make the stream refuse a message once the epoch has moved on; one of them for each message
            that may be on its way at once.
    """

    epoch: int
    sequence: int
    fences: tuple[dict[str, str], ...]


class _Overtaken(NatsUnavailable):
    """Another publisher moved the epoch between our read and our write."""

    def __init__(self) -> None:
        super().__init__("another publisher has moved the epoch on")


@retry(
    retry=retry_if_exception_type(_Overtaken),
    stop=stop_after_attempt(20),
    wait=wait_random_exponential(multiplier=0.05, max=1.0),
    reraise=True,
)
async def claim_epoch(nats: Client, topology: Topology, *, above: int = 0) -> Term:
    """Writes the next epoch; two publishers never get the same one.

    Args:
        nats: A connection that may write to the stream.
        topology: Names of stream and subjects.
        above: The epoch must be larger than this, whatever the stream remembers.

    Raises:
        NatsUnavailable: the stream does not answer, or others move the epoch again and again.
    """
    found = await _last(nats, topology)
    sequence = int((found.headers or {}).get(SEQUENCE_HEADER, 0))
    return await _write(nats, topology, max(above, int(found.data or 0)) + 1, sequence)


async def rewrite_epoch(nats: Client, topology: Topology, term: Term) -> Term:
    """Writes the same epoch once more, so that the stream's size limit never reaches it.

    Raises:
        NatsUnavailable: the stream does not answer, the epoch has moved on, or it is gone; the text says which.
    """
    try:
        return await _write(nats, topology, term.epoch, term.sequence)
    except _Overtaken:
        if (await _last(nats, topology)).data:
            raise
        raise NatsUnavailable(f"the epoch is gone: the stream {topology.stream} was made anew or emptied") from None


async def _last(nats: Client, topology: Topology) -> Msg:
    """The epoch as the stream has it; without data where it has none."""
    try:
        return await ask(nats, topology.api.direct_get(topology.stream, topology.subjects.epoch), timeout_s=_TIMEOUT_S)
    except (NatsError, TimeoutError) as error:
        raise _no_answer(topology, error) from None


async def _write(nats: Client, topology: Topology, epoch: int, expected: int) -> Term:
    """Writes the epoch, and where the stream is replicated a fence for each message that may be on its way at once.

    A replicated stream refuses a message while another one behind the same subject is not yet decided about. So each
    takes a subject of its own, which a leader moves before it publishes: behind its own epoch, so that a former leader
    that wakes up in the middle moves none of them back.
    """
    subject = topology.subjects.epoch
    sequence = await _store(nats, topology, subject, epoch, behind(subject, expected))
    ours = behind(subject, sequence)
    if topology.replicas == 1:
        return Term(epoch, sequence, (ours,) * AT_ONCE)
    names = [f"{subject}.{number}" for number in range(_REPLICATED_AT_ONCE)]
    return Term(
        epoch, sequence, tuple([behind(name, await _store(nats, topology, name, epoch, ours)) for name in names])
    )


async def _store(nats: Client, topology: Topology, subject: str, epoch: int, expected: dict[str, str]) -> int:
    headers = {TTL_HEADER: "never", **expected}
    try:
        reply = await ask(nats, f"in.{subject}", str(epoch).encode(), timeout_s=_TIMEOUT_S, headers=headers)
    except (NatsError, TimeoutError) as error:
        raise _no_answer(topology, error) from None
    answer = json.loads(reply.data)
    failure = answer.get("error")
    if failure is None:
        return int(answer["seq"])
    if failure.get("err_code") in (WRONG_SEQUENCE, IN_PROCESS):
        raise _Overtaken
    raise NatsUnavailable(f"the stream {topology.stream} refuses the epoch: {failure.get('description')}")


def _no_answer(topology: Topology, error: Exception) -> NatsUnavailable:
    return NatsUnavailable(f"the stream {topology.stream} does not answer ({type(error).__name__})")
