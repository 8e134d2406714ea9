"""A hub and a leaf node of it: two real nats-servers, and the link between them, which a test can cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drift_bus.authority import Plan, write_folder
from drift_bus.nats_server import LocalNatsServer
from drift_schemas import Topology
from drift_schemas.access import NatsAccess
from tests.support.bus_writer import BusWriter
from tests.support.line import Line
from tests.support.nats_cluster import free_ports

__all__ = ["DOMAIN", "HUBS", "LeafSite", "leaf_site"]

DOMAIN: Final = "hub"
"""What engines at a leaf node give as the domain."""

HUBS: Final = {
    "no domain": 'mappings { "$JS.hub.API.>": "$JS.API.>" }\n',
    "domain": "jetstream { domain: hub }\n",
    "accounts": "",
}
"""How a hub makes its JetStream reachable; ``accounts``: as ``auth init`` writes it, with TLS and a role's login."""


@dataclass(frozen=True)
class LeafSite:
    """Both servers.

    Attributes:
        hub: Where the streams are.
        leaf: Where the engines are; it asks for no login.
        link: Between the two.
        access: The publisher's login at the hub.
    """

    hub: LocalNatsServer
    leaf: LocalNatsServer
    link: Line
    access: NatsAccess

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[BusWriter]:
        """A stand-in for the publisher, at the hub."""
        async with BusWriter(self.hub.url, access=self.access) as bus:
            yield bus


@asynccontextmanager
async def leaf_site(
    folder: Path, hub: str, *, jetstream: bool = False, role: str = "engine"
) -> AsyncIterator[LeafSite]:
    """Runs a hub of a kind, and a leaf node of it, with a JetStream of its own or without."""
    (port,), access, leaf_config = free_ports(1), NatsAccess(), folder / "leaf.conf"
    own = f"jetstream {{ store_dir: {json.dumps(str(folder / 'leaf-store'))}, domain: leaf }}\n" if jetstream else ""
    async with Line(f"nats://127.0.0.1:{port}") as link:
        there = link.url.rpartition(":")[2]
        if hub == "accounts":
            hosts = ("localhost", "127.0.0.1")
            plan = Plan(Topology(domain=DOMAIN), ("engine",), hosts, ("127.0.0.1", 4222), 30, ("127.0.0.1", port))
            written = write_folder(folder / "auth", plan)
            remote = (written.folder / f"{role}.leaf.conf").read_text().replace(f":{port}", f":{there}")
            settings = dict(line.split("=", 1) for line in written.settings["publisher"].read_text().splitlines())
            access = NatsAccess.from_environment(settings)
            hub_server = LocalNatsServer(config_file=written.config)
        else:
            remote = f'leafnodes {{ remotes: [{{ urls: ["nats-leaf://127.0.0.1:{there}"] }}] }}\n'
            hub_server = LocalNatsServer(extra_config=f"{HUBS[hub]}leafnodes {{ listen: 127.0.0.1:{port} }}\n")
        leaf_config.write_text(own + remote)
        async with hub_server, LocalNatsServer(config_file=leaf_config) as leaf:
            yield LeafSite(hub_server, leaf, link, access)
