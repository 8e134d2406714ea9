"""The roles of the bus, and what each may do; everything follows from the topology.

The publisher's account holds the streams. An engine sees it only through what its own account imports: the public
subjects, and requests that read. So nothing that an engine sends is ever seen in the publisher's account but those
requests, and a reply goes where the engine asked for it inside its own account: the trick of naming a market's subject,
or an ingress subject, as the reply of a request ends there. Each engine has an account of its own, lest one trick
another. No role but operator may make a consumer on the publisher's streams, for a consumer delivers wherever its
maker says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from drift_bus.authority.accounts import Account, Import, Service, User
from drift_bus.errors import UsageProblem
from drift_schemas import JetStreamApi, Topology

__all__ = ["FIXED_ROLES", "SYSTEM_ACCOUNT", "InvalidEngineName", "accounts_of", "checked_engines"]

FIXED_ROLES: Final = ("publisher", "operator", "replay", "system")
"""The users beside the engines."""

SYSTEM_ACCOUNT: Final = "SYSTEM"
_PUBLISHER_ACCOUNT: Final = "PUBLISHER"
_REPLAY_ACCOUNT: Final = "REPLAY"
_RESERVED: Final = frozenset({*FIXED_ROLES, "ca", "server"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_API: Final = JetStreamApi()
_INBOX: Final = "_INBOX.>"
_REPLAYS: Final = "replay.>"


class InvalidEngineName(UsageProblem):
    """A name that an engine's account and files cannot have."""


def checked_engines(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names, each once.

    Raises:
        InvalidEngineName: one is impossible, or a role of the bus has it.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidEngineName(f"an engine cannot be called {name!r}: use 1 to 32 of a-z 0-9 _ -")
        if name in _RESERVED:
            raise InvalidEngineName(f"an engine cannot be called {name!r}: that is a role of the bus itself")
    return tuple(dict.fromkeys(names))


def accounts_of(topology: Topology, engines: Sequence[str], public_keys: Mapping[str, str]) -> list[Account]:
    """Returns all accounts of a server that carries one bus.

    Args:
        topology: Names of subjects, streams and buckets.
        engines: Names of the engines.
        public_keys: The public nkey of each role and engine.
    """
    publishes, hears = _of_publisher(topology), (topology.subjects.everything, _INBOX)
    publisher = User("publisher", public_keys["publisher"], publishes, hears)
    reads = Import(_PUBLISHER_ACCOUNT, (topology.subjects.everything,), _reading(topology))
    return [
        Account(_PUBLISHER_ACCOUNT, (publisher, User("operator", public_keys["operator"])), jetstream=True),
        *(Account(name.upper(), (_engine(topology, name, public_keys[name]),), imports=(reads,)) for name in engines),
        Account(_REPLAY_ACCOUNT, (_replayer(topology, public_keys["replay"]),), jetstream=True, imports=(reads,)),
        Account(SYSTEM_ACCOUNT, (User("system", public_keys["system"]),)),
    ]


def _streams(topology: Topology) -> list[str]:
    return [config["name"] for config in topology.configs()]


def _of_publisher(topology: Topology) -> tuple[str, ...]:
    """Feeds the streams, makes and adjusts them; deletes and purges nothing, and never writes a public subject."""
    ingress = [subject for config in topology.configs() for subject in config.get("subjects", ())]
    verbs = ("INFO", "CREATE", "UPDATE")
    actions = ["INFO", *(f"STREAM.{verb}.{name}" for name in _streams(topology) for verb in verbs)]
    actions += [f"DIRECT.GET.{name}{tail}" for name in _streams(topology) for tail in ("", ".>")]
    asks = [api.subject(action) for api in dict.fromkeys((_API, topology.api)) for action in actions]
    beats = (topology.subjects.status, topology.subjects.standbys)
    return (*ingress, *beats, *asks)


def _reading(topology: Topology) -> tuple[Service, ...]:
    """Requests that read: what is stored, and what a stream is like.

    Stream info gets an alias because every account has the server's own JetStream answer on ``$JS.API.>``. With a
    domain each has its name in the domain, too: a leaf node that logs in as an engine passes on no other.
    """

    def service(action: str, *, streams: bool = False, alias: str | None = None) -> Service:
        other_name = topology.api.subject(action) if topology.domain else None
        return Service(_API.subject(action), streams=streams, alias=alias, other_name=other_name)

    services: list[Service] = []
    for name in _streams(topology):
        services += [
            service(f"STREAM.INFO.{name}", alias=f"drift-bus.info.{name}"),
            service(f"DIRECT.GET.{name}", streams=True),
            service(f"DIRECT.GET.{name}.>", streams=True),
        ]
    return tuple(services)


def _requests(topology: Topology) -> tuple[str, ...]:
    return tuple(
        subject
        for service in _reading(topology)
        for subject in (service.subject, service.alias, service.other_name)
        if subject is not None
    )


def _engine(topology: Topology, name: str, public_key: str) -> User:
    return User(name, public_key, _requests(topology), (topology.subjects.everything, _INBOX))


def _replayer(topology: Topology, public_key: str) -> User:
    """Reads the bus as an engine does; replays onto streams of its own, in its own account."""
    return User(
        "replay",
        public_key,
        (*_requests(topology), f"in.{_REPLAYS}", _REPLAYS, _API.subject(">")),
        (topology.subjects.everything, _REPLAYS, _INBOX),
    )
