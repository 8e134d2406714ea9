"""The command's settings: a .env file, then DRIFT_BUS_* variables, then flags, the last one wins."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from drift_bus.errors import UsageProblem
from drift_bus.redaction import learn_secrets
from drift_schemas import InvalidPrefix, Topology
from drift_schemas.access import NatsSettings

__all__ = ["CommandSettings"]

_SCHEMES = {
    "nats_url": ("nats", "tls", "ws", "wss"),
    "rpc_url": ("https", "http"),
    "rpc_urls": ("https", "http"),
    "ws_url": ("wss", "ws"),
}


_MAY_NAME_BOTH = ("rpc_url", "rpc_urls")
"""Settings whose entries may be ``http-url|ws-url``."""


class CommandSettings(NatsSettings, BaseSettings):
    """What every command may be told."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFT_BUS_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    rpc_url: str | None = None
    """HTTP endpoint of the Solana RPC, or ``http-url|ws-url``; may hold an API key."""
    rpc_urls: str | None = None
    """More of them, separated by commas, to fail over to in this order."""
    ws_url: str | None = None
    """WebSocket endpoint of the first, where it is not the same host."""
    source: str | None = None
    """``websocket`` or ``polling``."""
    program: str | None = None
    """The on-chain program to follow, or ``auto``."""
    nats_url: str = "nats://127.0.0.1:4222"
    """The NATS server, or servers of one cluster separated by commas."""
    subject_prefix: str = "drift"
    """First token of every subject."""
    cluster: str | None = None
    """What the data is called: ``mainnet-beta``, ``devnet``, ``simulated``."""
    markets: str | None = None
    """Names, separated by commas; empty means all."""
    capture: str | None = None
    """File into which the publisher also writes what the node tells; ``%H`` and its like stand for the start's time."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much ``publish`` logs on stderr."""
    log_format: Literal["console", "json"] = "console"
    """How it logs: lines for people (``console``), or one JSON object a line (``json``)."""

    @classmethod
    def load(cls, **flags: str | None) -> Self:
        """Reads file and environment below the given flags, and checks URLs and prefix.

        Raises:
            UsageProblem: a value is wrong; the text names it and never shows a secret.
        """
        try:
            settings = cls(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = f"{first['loc'][0]}: " if first["loc"] else ""
            raise UsageProblem(f"{where}{first['msg'].removeprefix('Value error, ')}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageProblem(f"cannot read the .env file: {error}") from None
        for name, schemes in _SCHEMES.items():
            entries = [entry.strip() for entry in (getattr(settings, name) or "").split(",") if entry.strip()]
            for number, entry in enumerate(entries, 1):
                url, bar, ws_url = entry.partition("|") if name in _MAY_NAME_BOTH else (entry, "", "")
                learn_secrets(url)
                learn_secrets(ws_url)
                where = f"{_origin(name)}{f', entry {number}' if len(entries) > 1 else ''}"
                _check_url(where, url.strip(), schemes)
                if bar:
                    _check_url(where, ws_url.strip(), _SCHEMES["ws_url"])
        _ = settings.topology
        return settings

    @property
    def topology(self) -> Topology:
        """Stream and buckets under the prefix."""
        try:
            return Topology(self.subject_prefix, domain=self.nats_domain or None)
        except InvalidPrefix as error:
            raise UsageProblem(f"{_origin('subject_prefix')}: {error}") from None

    def check_program(self) -> None:
        """Refuses a program that nobody can follow, before anything is started for it.

        Raises:
            UsageProblem: there is no such program; the text lists those that there are.
        """
        if self.program is None:
            return
        from drift_publisher.profiles import AUTO, PROFILES

        if self.program not in {*PROFILES, AUTO}:
            choice = f"{', '.join(PROFILES)} or {AUTO}"
            raise UsageProblem(f"{_origin('program')}: no program {self.program!r}: choose {choice}")

    @property
    def has_endpoint(self) -> bool:
        """A Solana RPC is named."""
        return bool(self.rpc_url or self.rpc_urls)

    @property
    def nats_servers(self) -> list[str]:
        """The NATS servers, with their secrets."""
        return [url.strip() for url in self.nats_url.split(",")]

    @property
    def market_names(self) -> tuple[str, ...]:
        """The markets asked for, in their order; empty means all."""
        return tuple(name.strip() for name in (self.markets or "").split(",") if name.strip())


def _origin(name: str) -> str:
    flag = {"subject_prefix": "prefix"}.get(name, name).replace("_", "-")
    return f"--{flag} (DRIFT_BUS_{name.upper()})"


def _check_url(where: str, url: str, allowed: tuple[str, ...]) -> None:
    form = f"write {allowed[0]}://HOST" + (":4222" if "nats" in allowed else "/…")
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise UsageProblem(f"{where}: this is no URL: {form}")
    if scheme.lower() not in allowed:
        raise UsageProblem(f"{where}: {scheme}:// is not possible here ({', '.join(allowed)}): {form}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageProblem(f"{where}: wrong host or port: {error}") from None
    if not host or any(character.isspace() for character in url):
        raise UsageProblem(f"{where}: there is no host in it: {form}")
    if port == 0:
        raise UsageProblem(f"{where}: port 0 cannot be reached")
