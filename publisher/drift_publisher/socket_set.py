"""The sockets of one session: together they carry the union of what is wanted, over as few of them as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from drift_publisher.endpoints import Endpoint
from drift_publisher.socket_line import SocketLine
from drift_publisher.socket_opening import SocketLost
from drift_publisher.source import SourceStatus, Subscriptions
from drift_publisher.subscription_limit import share_out
from drift_publisher.subscription_table import requests_of

__all__ = ["SocketSet"]

_MOST_SOCKETS: Final = 20


class SocketSet:
    """Opens and closes sockets as what is wanted grows and shrinks. The loss of one ends the session.

    Args:
        endpoint: Where to; it knows how many subscriptions a socket may have.
        status: Told how many sockets and subscriptions there are.
        new_line: Makes a socket that is not open yet.
        changed: Set when a socket has made its subscriptions.
        tasks: In which the sockets run.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        status: SourceStatus,
        new_line: Callable[[], SocketLine],
        changed: asyncio.Event,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._endpoint = endpoint
        self._status = status
        self._new_line = new_line
        self._changed = changed
        self._tasks = tasks
        self._running: dict[SocketLine, asyncio.Task[None]] = {}

    def __str__(self) -> str:
        lines, most = len(self._running), self._endpoint.limit.most
        over = "one socket" if lines == 1 else f"{lines} sockets, for one takes {most}"
        return f"{self._status.subscriptions} subscriptions on {over}"

    def carry(self, wanted: Subscriptions) -> None:
        """Shares out what is to be carried from now on.

        Raises:
            SocketLost: it takes more sockets than is reasonable.
        """
        most = self._endpoint.limit.most
        shares = share_out(requests_of(wanted), [line.carried for line in self._running], most)
        if len(shares) > _MOST_SOCKETS:
            raise SocketLost(
                f"{len(shares)} sockets of {most} subscriptions each would be needed, {_MOST_SOCKETS} are the most: "
                "follow fewer markets (DRIFT_BUS_MARKETS), or name an endpoint that allows more"
            )
        for line in list(self._running)[len(shares) :]:
            self._running.pop(line).cancel()
        for _ in range(len(shares) - len(self._running)):
            line = self._new_line()
            self._running[line] = self._tasks.create_task(self._run(line), name="websocket-line")
        for line, share in zip(self._running, shares, strict=True):
            line.carry(share)

    async def made(self) -> None:
        """Returns once every socket has every subscription that it is to carry."""
        while waiting := [line for line in self._running if not line.made.is_set()]:
            await waiting[0].made.wait()

    async def pass_with(self, addresses: Sequence[str]) -> None:
        """Has the node behind each socket prove itself, and reads these accounts once."""
        for line in list(self._running):
            await line.node.pass_with(addresses)
            addresses = ()

    async def _run(self, line: SocketLine) -> None:
        try:
            await line.run(lambda: self._note(line))
        finally:
            self._note(line)

    def _note(self, line: SocketLine) -> None:
        self._status.sockets = sum(one.is_open for one in self._running)
        self._status.subscriptions = sum(len(one) for one in self._running if one.is_open)
        if line.made.is_set():
            self._changed.set()
