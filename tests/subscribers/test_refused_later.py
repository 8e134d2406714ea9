"""A login that is refused when a lost line comes back: no task is left behind, and an open feed comes back."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from drift_schemas.access import end
from drift_subscribers import DriftFeed, SnapshotIncomplete
from drift_subscribers.connection import Connection
from drift_subscribers.statistics import Counters
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
        assert peer.refusals
        left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
        assert left == []


async def test_a_line_whose_client_ends_half_way_is_opened_again() -> None:
    """The same of an open feed: nats-py fails at the lost socket before it tells that it is closed."""

    async def hear(_: Msg) -> None:
        pass

    async with serving(Peer()) as peer:
        line = Connection(
            peer.url, connect_timeout_s=30, ping_interval_s=2, inbox_prefix="_INBOX", options={}, counters=Counters()
        )
        await line.open()
        await line.subscribe("some.subject", hear, messages=10, size=1000)
        running = asyncio.create_task(line.run())
        try:
            first = line.client
            await wait_until(lambda: peer.subscriptions == 1, what="it has subscribed")
            peer.refuses = True
            peer.writers[0].transport.abort()
            await wait_until(lambda: not line.connected, what="the loss is noticed", every_s=0)
            await first.publish("some.subject", b"waits for the line")
            await wait_until(lambda: peer.refusals, what="the login is refused")
            peer.refuses = False
            await wait_until(lambda: line.connected and line.client is not first, what="another client takes over")
            await wait_until(lambda: peer.subscriptions >= 2, what="with the same subscriptions")
        finally:
            await end(running)
            await line.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
