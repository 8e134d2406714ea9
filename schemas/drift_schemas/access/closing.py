"""The end of a NATS connection, however the server went before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from drift_schemas.access.cancelling import end

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["close_quietly", "is_dead"]

_CLOSE_S: Final = 2.0
_ENDING_S: Final = 0.2
_ENDING_TRIES: Final = 5


async def close_quietly(client: Client, *, timeout_s: float = _CLOSE_S) -> None:
    """Closes for good, in about ``timeout_s`` at most, and leaves no socket open and no task running; it never raises.

    nats-py's own ``close()`` has no bound: it waits for the end of a socket whose TLS handshake failed, of which nobody
    tells it; it waits for a frozen server to take what is pending; and it loses one cancellation while it waits for a
    reconnect to end. So it runs in a task of its own, which is cancelled until it has ended.

    It ends the subscriptions last, so one that is cancelled, or that fails at a socket which is gone, leaves their
    tasks running; and it does nothing where nats-py closes by itself already, for a refused login. So they are ended
    here, whatever ``close()`` came to.

    Args:
        client: A client in any state; one that never connected, or is closed already, is fine.
        timeout_s: How long nats-py may take to say goodbye.
    """
    tasks = _tasks_of(client)  # close() forgets them
    closing = asyncio.create_task(client.close(), name="closing a NATS connection")
    try:
        await asyncio.wait([closing], timeout=timeout_s)
    finally:
        try:
            await end(closing)
        finally:
            try:
                await _end_tasks(client, tasks)
            finally:
                _drop(client)
                await asyncio.sleep(0)  # asyncio closes the socket of a dropped transport in its next turn


def is_dead(client: Client) -> bool:
    """Nobody will connect again: it is closed, or its reconnecting ended half-way, of which nats-py tells nobody."""
    reconnection: asyncio.Task[None] | None = client._reconnection_task
    return client.is_closed or (client.is_reconnecting and reconnection is not None and reconnection.done())


def _tasks_of(client: Client) -> set[asyncio.Task[Any]]:
    """What nats-py runs for this client, except for whoever closes it from one of these."""
    own = [getattr(client, f"_{name}_task", None) for name in ("reading", "ping_interval", "flusher", "reconnection")]
    subscriptions: dict[int, Any] = getattr(client, "_subs", {})
    own += [getattr(subscription, "_wait_for_msgs_task", None) for subscription in list(subscriptions.values())]
    return {task for task in own if task is not None and not task.done()} - {asyncio.current_task()}


async def _end_tasks(client: Client, tasks: set[asyncio.Task[Any]]) -> None:
    """Cancels what runs until it has ended, a few times: not for ever, where a caller's own handler refuses to."""
    for _ in range(_ENDING_TRIES):
        tasks |= _tasks_of(client)  # a reconnect that just got its connection has begun new ones
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=_ENDING_S)


def _drop(client: Client) -> None:
    """Ends what ``close()`` left of the socket when it was cancelled, or when it has been closing before."""
    transport: Any = getattr(client, "_transport", None)
    for name in ("_io_writer", "_bare_io_writer"):
        if (writer := getattr(transport, name, None)) is not None:
            writer.transport.abort()
