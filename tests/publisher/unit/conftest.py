"""Accounts of each program, and a chain without a node behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drift_publisher.chain import Chain
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.lag import LagLimits
from drift_publisher.rpc import RpcClient

from .program_accounts import ProgramAccounts

KEY = "SECRETKEY12345"


@pytest.fixture(scope="module")
def own(program: str) -> ProgramAccounts:
    """Ordinary accounts of each program."""
    return ProgramAccounts(program)


@pytest.fixture
async def chain(own: ProgramAccounts) -> AsyncIterator[Chain]:
    """A chain that has run for a while, without having run."""
    urls = [(f"https://{name}.example/{KEY}", f"wss://{name}.example/{KEY}") for name in "ab"]
    pool = EndpointPool([Endpoint(*url) for url in urls])
    limits = LagLimits(150, 60.0)
    async with (
        RpcClient(pool) as rpc,
        Chain(
            own.profile, pool, rpc, markets=(), mode="websocket", poll_every_s=1.0, silence_s=5.0, quiet_s=30.0,
            limits=limits,
            on_update=lambda _: None,
        ) as chain,
    ):  # fmt: skip
        yield chain
