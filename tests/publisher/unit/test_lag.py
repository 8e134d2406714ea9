"""A node lags behind other endpoints, or behind the clock; what nobody can tell is no lag."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

import pytest

from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.lag import CLOCK_SYSVAR, LagLimits, lag_of
from drift_publisher.rpc import RpcClient
from drift_publisher.source import AccountUpdate

LIMITS = LagLimits(slots=150, seconds=60)


def clock_bytes(unix_s: float) -> bytes:
    """The chain's clock account: slot, epoch start, epoch, leader epoch, time."""
    return struct.pack("<QqQQq", 1000, 0, 0, 0, int(unix_s))


class Nodes(RpcClient):
    """Endpoints that tell these slots, and this clock."""

    def __init__(self, *slots: int | None, clock: bytes | None = None) -> None:
        self.pool = EndpointPool([Endpoint(f"http://node{number}", "ws://x") for number in range(len(slots))])
        super().__init__(self.pool)
        self._slots = dict(zip(self.pool.endpoints, slots, strict=True))
        self._clock = clock_bytes(time.time()) if clock is None else clock

    async def slot(self, endpoint: Endpoint) -> int | None:
        return self._slots[endpoint]

    async def accounts(self, addresses: Sequence[str]) -> list[AccountUpdate]:
        assert list(addresses) == [CLOCK_SYSVAR]
        return [AccountUpdate(CLOCK_SYSVAR, "Sysvar", 1000, self._clock or None, 0)]

    async def lag(self, slot: int) -> str:
        return await lag_of(self, self.pool, self.pool.current, slot, LIMITS)


@pytest.mark.parametrize(("others", "says"), [(1150, ""), (1151, "151 slots behind"), (999, ""), (None, "")])
async def test_slots_behind_the_best_endpoint(others: int | None, says: str) -> None:
    lag = await Nodes(1000, others).lag(1000)
    assert says in lag
    assert bool(says) == bool(lag)


async def test_a_socket_behind_its_own_http_side_lags() -> None:
    assert "http://node0 is 4000 slots behind" in await Nodes(5000).lag(1000)


async def test_nobody_tells_a_slot() -> None:
    assert await Nodes(None, None).lag(1000) == ""


@pytest.mark.parametrize(("behind_s", "lags"), [(0, False), (50, False), (70, True), (-3600, False)])
async def test_seconds_behind_the_clock(behind_s: float, lags: bool) -> None:
    lag = await Nodes(1000, clock=clock_bytes(time.time() - behind_s)).lag(1000)
    assert ("s behind" in lag) == lags


@pytest.mark.parametrize("clock", [b"", b"short"])
async def test_a_chain_without_a_clock_is_not_said_to_lag(clock: bytes) -> None:
    assert await Nodes(1000, clock=clock).lag(1000) == ""
