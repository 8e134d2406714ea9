"""Whether a node lags: it must keep up with other endpoints, with its own HTTP side, and with the clock."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Final, NamedTuple

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.rpc import RpcClient

__all__ = ["CLOCK_SYSVAR", "LagLimits", "lag_of"]

CLOCK_SYSVAR: Final = "SysvarC1ock11111111111111111111111111111111"
_UNIX_TIMESTAMP_AT: Final = 32


class LagLimits(NamedTuple):
    """How far a node may be behind: in slots behind the best endpoint, in seconds behind the wall clock."""

    slots: int
    seconds: float


async def lag_of(rpc: RpcClient, pool: EndpointPool, endpoint: Endpoint, slot: int, limits: LagLimits) -> str:
    """Says in one line how the node lags; an empty string where it keeps up or nothing can be told.

    Args:
        rpc: Asks every endpoint for its slot, once each, and the one in use for the chain's clock.
        pool: The endpoints.
        endpoint: The one to judge.
        slot: Its newest slot as its WebSocket told.
        limits: How far it may be behind.
    """
    slots = await asyncio.gather(*(rpc.slot(one) for one in pool.endpoints))
    best = max((found for found in slots if found is not None), default=slot)
    if best - slot > limits.slots:
        return f"the node of {endpoint.name} is {best - slot} slots behind"
    [clock] = await rpc.accounts([CLOCK_SYSVAR])
    if clock.data is None or len(clock.data) < _UNIX_TIMESTAMP_AT + 8:
        return ""
    behind_s = time.time() - struct.unpack_from("<q", clock.data, _UNIX_TIMESTAMP_AT)[0]
    if behind_s > limits.seconds:
        return f"the chain's clock at {endpoint.name} is {behind_s:.0f} s behind"
    return ""
