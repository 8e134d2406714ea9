"""A chain without a node behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drift_publisher.chain import Chain
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.lag import LagLimits
from drift_publisher.profiles import DRIFT_V2
from drift_publisher.rpc import RpcClient

KEY = "SECRETKEY12345"


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    """A chain that has run for a while, without having run."""
    urls = [(f"https://{name}.example/{KEY}", f"wss://{name}.example/{KEY}") for name in "ab"]
    pool = EndpointPool([Endpoint(*url) for url in urls])
    limits = LagLimits(150, 60.0)
    async with (
        RpcClient(pool) as rpc,
        Chain(
            DRIFT_V2, pool, rpc, markets=(), mode="websocket", poll_every_s=1.0, silence_s=5.0, quiet_s=30.0,
            limits=limits,
            on_update=lambda _: None,
        ) as chain,
    ):  # fmt: skip
        yield chain
