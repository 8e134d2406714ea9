"""The publisher's epoch: a counter in the stream that every start moves forward by compare-and-set."""

from __future__ import annotations

import json
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from drift_publisher.errors import NatsUnavailable
from drift_schemas import SEQUENCE_HEADER, TTL_HEADER, Topology

__all__ = ["claim_epoch"]

_TIMEOUT_S: Final = 5.0
_WRONG_SEQUENCE: Final = 10071


class _Overtaken(RuntimeError):
    """Another publisher moved the epoch between our read and our write."""


@retry(
    retry=retry_if_exception_type(_Overtaken),
    stop=stop_after_attempt(20),
    wait=wait_random_exponential(multiplier=0.05, max=1.0),
    reraise=True,
)
async def claim_epoch(nats: Client, topology: Topology, *, above: int = 0) -> int:
    """Writes the next epoch and returns it; two publishers never get the same one.

    Args:
        nats: A connection that may write to the stream.
        topology: Names of stream and subjects.
        above: The epoch must be larger than this, whatever the stream remembers.

    Raises:
        NatsUnavailable: the stream does not answer.
    """
    subject = topology.subjects.epoch
    try:
        found = await nats.request(f"$JS.API.DIRECT.GET.{topology.stream}.{subject}", b"", timeout=_TIMEOUT_S)
        headers = found.headers or {}
        sequence, epoch = int(headers.get(SEQUENCE_HEADER, 0)), max(above, int(found.data or 0)) + 1
        reply = await nats.request(
            f"in.{subject}",
            str(epoch).encode(),
            timeout=_TIMEOUT_S,
            headers={
                TTL_HEADER: "never",
                "Nats-Expected-Last-Subject-Sequence": str(sequence),
                "Nats-Expected-Last-Subject-Sequence-Subject": subject,
            },
        )
    except NatsError as error:
        raise NatsUnavailable(f"the stream {topology.stream} does not answer ({type(error).__name__})") from None
    failure = json.loads(reply.data).get("error")
    if failure is None:
        return epoch
    if failure.get("err_code") == _WRONG_SEQUENCE:
        raise _Overtaken
    raise NatsUnavailable(f"the stream {topology.stream} refuses the epoch: {failure.get('description')}")
