"""Our WebSocket source on a real socket to a node that replays a recording."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, cast

from benchmarks.processes import Worker, running
from benchmarks.recording import Recording
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.interests import subscriptions_to
from drift_publisher.lag import CLOCK_SYSVAR, LagLimits
from drift_publisher.proof import NodeJudge
from drift_publisher.rpc import RpcClient
from drift_publisher.source import AccountUpdate, SourceStatus
from drift_publisher.store import AccountStore
from drift_publisher.websocket import WebSocketSource

__all__ = ["replaying_source"]

_PATIENCE_S: Final = 60.0


class _NoHttp:
    """Stands where the RPC client stands: the source's reads over HTTP answer from the recording."""

    commitment = "confirmed"

    def __init__(self, recording: Recording) -> None:
        self._accounts = {update.address: update for update in recording.accounts}

    async def accounts(self, addresses: list[str]) -> list[AccountUpdate]:
        """The accounts as they were before the first notification."""
        clock = AccountUpdate(CLOCK_SYSVAR, "", 0, struct.pack("<QqQQq", 0, 0, 0, 0, int(time.time())), 0)
        known = {**self._accounts, CLOCK_SYSVAR: clock}
        return [known.get(address, AccountUpdate(address, "", 0, None, 0)) for address in addresses]

    async def slot(self, endpoint: Endpoint) -> None:
        """No other side to compare slots with."""


@contextlib.asynccontextmanager
async def replaying_source(
    recording: Recording, store: AccountStore, deliver: Callable[[AccountUpdate], None]
) -> AsyncIterator[tuple[Worker, Callable[[], None]]]:
    """Our source on a real socket to a replaying node, subscribed and live; yields the node and ``begin``.

    The node sends as many notifications as it is told to; from ``begin()`` on they are delivered.
    """
    started = False

    def late(update: AccountUpdate) -> None:
        if started:
            deliver(update)

    def begin() -> None:
        nonlocal started
        started = True

    with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as folder:
        file = Path(folder) / "recording"
        recording.save(file)
        async with running("benchmarks.replay", str(file)) as replay:
            rpc = cast(RpcClient, _NoHttp(recording))
            pool = EndpointPool([Endpoint("http://127.0.0.1:9", (await replay.hear())["ws_url"])])
            status = SourceStatus(silence_s=_PATIENCE_S)
            judge = NodeJudge(rpc, pool, LagLimits(slots=10**9, seconds=1e9), status)
            source = WebSocketSource(pool, judge, status, list)
            source.follow(subscriptions_to(store))
            task = asyncio.create_task(source.run(late), name="source")
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    while source.status.state != "live":
                        await asyncio.sleep(0.01)
                yield replay, begin
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
