"""A feed that cannot be opened leaves nothing behind: no task and no connection."""

from __future__ import annotations

import asyncio

import pytest

from drift_subscribers import DriftFeed, SnapshotIncomplete
from tests.support.peer import Peer, serving
from tests.support.wait import wait_until


async def test_a_login_that_is_refused_while_the_snapshot_is_read() -> None:
    """As after a reload with other users: nats-py closes the client by itself then, and its own end may fail."""
    async with serving(Peer()) as peer:

        async def refuse_soon() -> None:
            await wait_until(lambda: peer.subscriptions >= 6)
            peer.refuses = True
            peer.writers[0].transport.abort()

        refusing = asyncio.create_task(refuse_soon())
        with pytest.raises(SnapshotIncomplete):
            await DriftFeed(peer.url, snapshot_timeout_s=2).__aenter__()
        await refusing
        assert len(peer.writers) > 1, "it was refused"
        left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
        assert left == []
