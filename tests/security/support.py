"""A real nats-server with the configuration that ``drift-bus auth init`` writes, and clients in every role."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from drift_bus.authority import Plan, Written, write_folder
from drift_bus.nats_server import LocalNatsServer
from drift_schemas import Topology
from drift_schemas.access import NatsAccess, close_quietly
from tests.support.bus_writer import BusWriter

__all__ = [
    "ENGINES",
    "PATIENT",
    "Guarded",
    "Login",
    "authority",
    "guarded_server",
    "refused_connection",
]

ENGINES = ("engine", "rival")
PATIENT: Any = {"connect_timeout_s": 60.0, "snapshot_timeout_s": 60.0}
"""Options of a feed on a loaded machine."""


def authority(folder: Path, **changed: Any) -> Written:
    """What ``auth init`` writes for two engines on this machine."""
    plan = Plan(
        topology=Topology(), engines=ENGINES, hosts=("localhost", "127.0.0.1"), listen=("127.0.0.1", 4222), days=30
    )
    return write_folder(folder, replace(plan, **changed))


@dataclass
class Login:
    """A raw client in one role, with what it heard and what it was refused."""

    client: Client
    errors: list[str] = field(default_factory=list)
    heard: list[Msg] = field(default_factory=list)

    async def hear(self, subject: str) -> None:
        """Subscribes, whether it may or not; what comes is in ``heard``."""

        async def keep(message: Msg) -> None:
            self.heard.append(message)

        await self.client.subscribe(subject, cb=keep)

    async def settled(self) -> None:
        """Returns when the server has dealt with all that was sent before, refusals told."""
        for _ in range(2):
            await self.client.flush(timeout=60)

    @property
    def refusals(self) -> int:
        """How often the server said that this is not permitted."""
        return sum("permissions violation" in error for error in self.errors)

    async def ask(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Calls the JetStream API; every role may, or the test's own mistake shows as a timeout."""
        reply = await self.client.request(subject, json.dumps(body or {}).encode(), timeout=60)
        answer: dict[str, Any] = json.loads(reply.data)
        return answer


@dataclass
class Guarded:
    """The server, and the folder with everybody's keys."""

    server: LocalNatsServer
    written: Written

    @property
    def url(self) -> str:
        """Where to connect."""
        return self.server.url

    def access(self, role: str) -> NatsAccess:
        """What the role's settings file says."""
        return NatsAccess.from_environment(self.environment(role))

    def environment(self, role: str) -> dict[str, Any]:
        """The role's settings, with the port that the server really has."""
        lines = self.written.settings[role].read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines)
        return {**settings, "DRIFT_BUS_NATS_URL": self.url}

    def settings(self, role: str) -> dict[str, Any]:
        """The same as arguments of ``PublisherSettings``."""
        access = self.access(role)
        return {
            "nats_nkey_seed_file": access.nkey_seed_file,
            "nats_tls_ca": access.tls_ca,
            "nats_tls_first": access.tls_first,
        }

    @asynccontextmanager
    async def login(self, role: str, **options: Any) -> AsyncIterator[Login]:
        """A raw connection in a role."""
        client = Client()
        login = Login(client)

        async def note(error: Exception) -> None:
            login.errors.append(str(error).lower())

        arguments = {**self.access(role).login().options_for(client), "error_cb": note, **options}
        await client.connect(self.url, **arguments)
        try:
            yield login
        finally:
            await close_quietly(client)

    @asynccontextmanager
    async def writer(self, role: str = "publisher") -> AsyncIterator[BusWriter]:
        """A stand-in for the publisher, with a role's credentials."""
        async with BusWriter(self.url, access=self.access(role)) as writer:
            yield writer

    async def streams(self) -> dict[str, Any]:
        """Configuration and state of every stream in the publisher's account, as its operator sees them."""
        async with self.login("operator") as operator:
            names = (await operator.ask("$JS.API.STREAM.NAMES"))["streams"] or []
            infos = [await operator.ask(f"$JS.API.STREAM.INFO.{name}") for name in names]
            return {info["config"]["name"]: (info["config"], _lasting(info)) for info in infos}


def _lasting(info: dict[str, Any]) -> dict[str, int]:
    """What changes by a write, a deletion or a consumer, and not by a bucket's TTL."""
    lasting = {"last_seq", "consumer_count"} | (set() if info["config"]["name"].startswith("KV_") else {"messages"})
    return {name: info["state"][name] for name in lasting}


@asynccontextmanager
async def guarded_server(written: Written) -> AsyncIterator[Guarded]:
    """Runs a server with the written configuration, on a free port."""
    async with LocalNatsServer(config_file=written.config) as server:
        yield Guarded(server, written)


async def refused_connection(url: str, **options: Any) -> None:
    """Tries to connect once; fails the test if the server lets us in, and if it is not there at all."""

    async def ignore(_: Exception) -> None:
        pass

    client = Client()
    try:
        async with asyncio.timeout(60):
            await client.connect(url, error_cb=ignore, allow_reconnect=False, connect_timeout=30, **options)
    except ConnectionRefusedError:
        raise AssertionError("there is no server") from None
    except (NatsError, OSError):
        return
    finally:
        await close_quietly(client)
    raise AssertionError("the server let us in")
