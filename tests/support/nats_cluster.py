"""Three nats-servers that are one cluster, to be killed one by one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import nats
from nats.errors import Error as NatsError

from drift_bus.nats_server import LocalNatsServer
from drift_schemas.access import close_quietly
from tests.support.wait import wait_until

__all__ = ["NatsCluster", "free_ports"]

_NODES: Final = 3
_ANSWER_S: Final = 2.0
_PATIENCE_S: Final = 90.0
_LOWEST_PORT: Final = 20_000


class NatsCluster:
    """A cluster on the loopback interface, for as long as the ``async with`` lasts.

    Attributes:
        nodes: Its servers by name.
    """

    def __init__(self) -> None:
        ports = free_ports(_NODES)
        routes = ", ".join(f"nats-route://127.0.0.1:{port}" for port in ports)
        self.nodes = {
            f"n{number}": LocalNatsServer(
                extra_config=f"server_name: n{number}\n"
                f"cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{routes}] }}"
            )
            for number, port in enumerate(ports)
        }

    @property
    def url(self) -> str:
        """All servers, separated by commas."""
        return ",".join(node.url for node in self.nodes.values())

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(node.start() for node in self.nodes.values()))
            await wait_until(self._has_leader, _PATIENCE_S, "the cluster has a leader", every_s=0.05)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes.values():
            await node.kill()
            await node.__aexit__(kind, error, trace)

    async def leader_of(self, stream: str) -> str:
        """Name of the node that leads a stream."""

        async def leader() -> str:
            info = await self._ask(f"STREAM.INFO.{stream}")
            return str(info.get("cluster", {}).get("leader") or "")

        return str(await wait_until(leader, _PATIENCE_S, f"{stream} has a leader", every_s=0.05))

    async def wait_until_whole(self, streams: Sequence[str]) -> None:
        """Waits until every copy of these streams is there and holds everything."""
        for stream in streams:
            await wait_until(partial(self._is_whole, stream), _PATIENCE_S, f"{stream} is whole", every_s=0.1)

    async def _is_whole(self, stream: str) -> bool:
        raft = (await self._ask(f"STREAM.INFO.{stream}")).get("cluster", {})
        copies = raft.get("replicas") or []
        return len(copies) == _NODES - 1 and all(copy["current"] and not copy.get("offline") for copy in copies)

    async def _has_leader(self) -> bool:
        return "error" not in await self._ask("INFO")

    async def _ask(self, action: str) -> dict[str, Any]:
        """The JetStream API's answer; an error where there is no answer."""
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            client = await nats.connect(
                [node.url for node in self.nodes.values() if node.running],
                error_cb=_ignore,
                allow_reconnect=False,
                connect_timeout=int(_ANSWER_S),
            )
            try:
                reply = await client.request(f"$JS.API.{action}", b"", timeout=_ANSWER_S)
                answer: dict[str, Any] = json.loads(reply.data)
                return answer
            finally:
                await close_quietly(client)
        return {"error": "no answer"}


def free_ports(count: int) -> list[int]:
    """Ports that stay free while their server is down.

    They lie below those that the system hands out, and begin elsewhere in each process that runs tests.
    """
    first = _LOWEST_PORT + os.getpid() % 1000 * 10
    free: list[int] = []
    for port in range(first, _LOWEST_PORT + 11_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            return free
    raise RuntimeError(f"no {count} free ports from {first} on")


async def _ignore(_: Exception) -> None:
    pass
