"""What ``drift-bus auth init`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drift_schemas import Topology

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted.

    Attributes:
        topology: The bus that the server will carry.
        engines: Names of the engines; each gets an account and a key of its own.
        hosts: Names and addresses of the server, for its certificate; clients are told the first.
        listen: Host and port on which the server listens.
        days: How long the certificate is good.
        leaf_listen: Host and port on which the server takes leaf nodes; ``None``: it takes none.
        server_folder: Where the server finds this folder, if not where we write it, as in a container.
        client_folder: Where a role's program finds its key and the CA, if not where we write them.
        store: Where JetStream stores, if not in this folder.
        monitor: Host and port of the server's health and figures, which ask for no login; ``None``: nowhere.
        accept: An earlier folder: its certificate is kept, and a second configuration also accepts its keys.
    """

    topology: Topology
    engines: tuple[str, ...]
    hosts: tuple[str, ...]
    listen: tuple[str, int]
    days: int
    leaf_listen: tuple[str, int] | None = None
    server_folder: Path | None = None
    client_folder: Path | None = None
    store: Path | None = None
    monitor: tuple[str, int] | None = None
    accept: Path | None = None
