"""Accounts of a NATS server as data, and their text in the server's configuration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Account", "Import", "Service", "User", "render_accounts"]


@dataclass(frozen=True, slots=True)
class User:
    """One login of an account; ``None`` in place of subjects permits all of the account's.

    Attributes:
        name: What people call it; the server knows it by its key.
        public_key: Its public nkey.
        publish: Subjects that it may publish on.
        subscribe: Subjects that it may subscribe to.
    """

    name: str
    public_key: str
    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Requests that an account answers for others.

    Attributes:
        subject: Where it listens.
        streams: It may answer with several messages.
        alias: What an importing account calls it inside, for subjects that the server itself answers there too;
            clients use ``subject`` all the same, for the account maps it.
        other_name: What clients of an importing account may call it too; its leaf nodes have to.
    """

    subject: str
    streams: bool = False
    alias: str | None = None
    other_name: str | None = None

    @property
    def mappings(self) -> Iterator[tuple[str, str]]:
        """What an importing account maps: a subject as its clients say it, and what it is called inside."""
        if self.alias:
            yield self.subject, self.alias
        if self.other_name:
            yield self.other_name, self.alias or self.subject


@dataclass(frozen=True, slots=True)
class Import:
    """What an account takes from another: its messages on ``streams``, its answers by ``services``."""

    account: str
    streams: tuple[str, ...]
    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """A world of its own on the server: no subject of it is seen from another account, but by an import."""

    name: str
    users: tuple[User, ...]
    jetstream: bool = False
    imports: tuple[Import, ...] = ()


def render_accounts(accounts: Sequence[Account], *, system: str) -> str:
    """Returns the ``accounts`` block of a nats-server configuration; ``system`` names the system account.

    An account exports what others import from it, and to those only.
    """
    blocks = "\n".join(_block(account, accounts) for account in accounts)
    return f"system_account: {_quoted(system)}\n\naccounts {{\n{blocks}}}\n"


def _block(account: Account, accounts: Sequence[Account]) -> str:
    lines = [f"{_quoted(account.name)}: {{"]
    if account.jetstream:
        lines.append("  jetstream: enabled")
    lines += ["  users: [", *(f"    {line}" for user in account.users for line in _user(user)), "  ]"]
    if exports := _exports(account.name, accounts):
        lines += ["  exports: [", *(f"    {line}" for line in exports), "  ]"]
    if account.imports:
        lines += ["  imports: [", *(f"    {line}" for line in _imports(account)), "  ]"]
    if mappings := [pair for one in account.imports for service in one.services for pair in service.mappings]:
        lines += ["  mappings: {", *(f"    {_quoted(said)}: {_quoted(inside)}" for said, inside in mappings), "  }"]
    lines.append("}")
    return "".join(f"  {line}\n" for line in lines)


def _user(user: User) -> list[str]:
    sides = [(side, allowed) for side in ("publish", "subscribe") if (allowed := getattr(user, side)) is not None]
    if not sides:
        return [f"{{nkey: {user.public_key}}} # {user.name}"]
    lines = [f"{{nkey: {user.public_key}, permissions: {{ # {user.name}"]
    for side, subjects in sides:
        lines += [f"  {side}: {{allow: [", *(f"    {_quoted(subject)}" for subject in subjects), "  ]}"]
    return [*lines, "}}"]


def _exports(name: str, accounts: Sequence[Account]) -> list[str]:
    streams: dict[str, list[str]] = {}
    services: dict[Service, list[str]] = {}
    for other in accounts:
        for one in other.imports:
            if one.account == name:
                for stream in one.streams:
                    streams.setdefault(stream, []).append(other.name)
                for service in one.services:
                    services.setdefault(service, []).append(other.name)
    return [
        *(f"{{stream: {_quoted(subject)}, accounts: {_listed(who)}}}" for subject, who in streams.items()),
        *(
            f"{{service: {_quoted(service.subject)}, response_type: {'stream' if service.streams else 'singleton'}, "
            f"accounts: {_listed(who)}}}"
            for service, who in services.items()
        ),
    ]


def _imports(account: Account) -> list[str]:
    lines = []
    for one in account.imports:
        source = _quoted(one.account)
        lines += [f"{{stream: {{account: {source}, subject: {_quoted(subject)}}}}}" for subject in one.streams]
        for service in one.services:
            alias = f", to: {_quoted(service.alias)}" if service.alias else ""
            lines.append(f"{{service: {{account: {source}, subject: {_quoted(service.subject)}}}{alias}}}")
    return lines


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(text) for text in texts)}]"


def _quoted(text: str) -> str:
    return json.dumps(text)
