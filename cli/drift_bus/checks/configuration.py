"""The settings: whether they can be read, belong together, and give nothing away."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from drift_bus.checks.finding import Finding, failed, failed_by, ok, skipped, warning
from drift_bus.errors import CommandError
from drift_bus.settings import CommandSettings

if TYPE_CHECKING:
    from drift_publisher import PublisherSettings

__all__ = ["examine_configuration", "publisher_settings"]

_PREFIX: Final = "DRIFT_BUS_"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_FILES: Final = ("nats_creds", "nats_nkey_seed_file", "nats_tls_key")


def examine_configuration(settings: CommandSettings, flags: dict[str, str | None]) -> Iterator[Finding]:
    """Yields a finding each for the publisher's settings, names, secrets and files."""
    yield _publisher(flags)
    yield _names(settings)
    yield _plain_text(settings)
    yield _files(settings)


def publisher_settings(flags: dict[str, str | None]) -> PublisherSettings:
    """The settings that a publisher would run with here.

    Raises:
        CommandError: it would not start with them, or is not installed.
    """
    try:
        from drift_publisher import PublisherSettings, SettingsError
    except ImportError as error:
        missing = f"no publisher is installed here ({error.name})"
        raise CommandError(f"{missing}: pip install 'drift-bus[publisher]'") from None
    try:
        return PublisherSettings(**flags)
    except SettingsError as error:
        raise CommandError(str(error)) from None


def _publisher(flags: dict[str, str | None]) -> Finding:
    check = "settings"
    settings = CommandSettings.load(**flags)
    if not settings.has_endpoint:
        return skipped(check, "no RPC URL is set: enough for an engine, not for a publisher", "set DRIFT_BUS_RPC_URL")
    try:
        publisher = publisher_settings(flags)
    except CommandError as error:
        return failed_by(check, error)
    markets = ", ".join(publisher.markets) or "all markets"
    return ok(check, f"valid: {len(publisher.endpoint_urls())} RPC endpoint(s), {publisher.source}, {markets}")


def _names(settings: CommandSettings) -> Finding:
    check = "setting names"
    known = _known_names(settings)
    given = {name.upper().removeprefix(_PREFIX) for name in (*os.environ, *_in_env_file()) if _is_ours(name)}
    unknown = sorted(given - known)
    if not unknown:
        return ok(check, f"{len(given)} DRIFT_BUS_* set, all known")
    guesses = (difflib.get_close_matches(name, known, 1) for name in unknown)
    said = ", ".join(
        f"{_PREFIX}{name}" + (f" (meant {_PREFIX}{guess[0]}?)" if guess else "")
        for name, guess in zip(unknown, guesses, strict=True)
    )
    return warning(check, f"nothing knows {said}", "correct the name, or remove it")


def _known_names(settings: CommandSettings) -> set[str]:
    names = set(type(settings).model_fields)
    try:
        from drift_publisher import PublisherSettings

        names |= set(PublisherSettings.model_fields)
    except ImportError:
        pass
    return {name.upper() for name in names}


def _is_ours(name: str) -> bool:
    return name.upper().startswith(_PREFIX)


def _in_env_file() -> Iterable[str]:
    try:
        lines = Path(".env").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    named = (line.removeprefix("export ").partition("=") for line in map(str.strip, lines))
    return (name.strip() for name, equals, _ in named if equals and not name.startswith("#"))


def _plain_text(settings: CommandSettings) -> Finding:
    """Keys and prices that anybody on the way can read or change."""
    check = "plain text"
    rpc = [url for url in (settings.rpc_url, settings.rpc_urls, settings.ws_url) if url]
    every = [url.strip() for urls in rpc for url in urls.replace("|", ",").split(",")]
    bare = [url for url in every if urlsplit(url).scheme in ("http", "ws")]
    far = [host for url in bare if (host := urlsplit(url).hostname) not in _LOOPBACK]
    if far:
        return warning(
            check, f"the key in the URL goes to {', '.join(map(str, far))} unencrypted", "use https:// and wss://"
        )
    servers = [url for url in map(urlsplit, settings.nats_servers) if url.scheme not in ("tls", "wss")]
    open_hosts = [str(url.hostname) for url in servers if url.hostname not in _LOOPBACK]
    if open_hosts and not (settings.nats_tls_ca or settings.nats_tls_first):
        what = f"NATS at {', '.join(open_hosts)} is not asked for TLS: it may go unencrypted"
        remedy = "set DRIFT_BUS_NATS_TLS_CA and DRIFT_BUS_NATS_TLS_FIRST, or stay in a private network"
        return warning(check, what, remedy)
    return ok(check, "nothing leaves this machine unencrypted")


def _files(settings: CommandSettings) -> Finding:
    check = "credential files"
    named = {name: path for name in _FILES if (path := getattr(settings, name))}
    if not named:
        return skipped(check, "none is set: the server must let anybody in")
    for name, path in named.items():
        variable = f"{_PREFIX}{name.upper()}"
        try:
            mode = Path(path).stat().st_mode
        except OSError as error:
            return failed(check, f"{variable}: {path}: {error.strerror}", "name a file that is there and may be read")
        if not os.access(path, os.R_OK):
            return failed(check, f"{variable}: {path} may not be read", "chown it to this user")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            return warning(check, f"{variable}: others can read {path}", f"chmod 600 {path}")
    return ok(check, f"{len(named)} file(s), readable by this user alone")
