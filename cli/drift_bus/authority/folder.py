"""The folder of ``drift-bus auth init``: server configuration, keys, certificates, and settings for each role."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drift_bus.authority.accounts import Account, render_accounts
from drift_bus.authority.certificates import issue_certificates
from drift_bus.authority.earlier import also_accepting, read_earlier
from drift_bus.authority.leaf import leaf_files, leaf_listener
from drift_bus.authority.plan import Plan
from drift_bus.authority.roles import FIXED_ROLES, SYSTEM_ACCOUNT, accounts_of, checked_engines
from drift_bus.errors import CommandError
from drift_schemas.access import KeyPair

__all__ = ["FolderRefused", "Plan", "Written", "write_folder"]

SERVER_CONFIG: Final = "nats-server.conf"
BOTH_CONFIG: Final = "nats-server.both.conf"
_MAX_PAYLOAD: Final = 256 * 1024
_MARK: Final = "# Written by drift-bus auth init"


class FolderRefused(CommandError):
    """The folder is there already, or cannot be written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        folder: The folder, absolute.
        config: The server's configuration.
        settings: By role, the file with its ``DRIFT_BUS_*`` settings, for ``drift-bus --env-file``.
        files: All files, with what each is for.
    """

    folder: Path
    config: Path
    settings: dict[str, Path]
    files: dict[Path, str]


def write_folder(folder: Path, plan: Plan, *, force: bool = False) -> Written:
    """Writes everything, or nothing: the folder appears whole, with mode 0700, its files with 0600.

    Args:
        folder: Where.
        plan: What.
        force: Replace a folder that this wrote before; its keys stop working with the new configuration.

    Raises:
        FolderRefused: it is there already, holds something else, or cannot be written.
        InvalidEngineName: an engine cannot be called so.
    """
    folder = folder.absolute()
    engines = checked_engines(plan.engines)
    keys = {role: KeyPair.generate() for role in (*FIXED_ROLES, *engines)}
    texts = _texts(folder, plan, engines, keys)
    _check_place(folder, force=force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, (text, _) in texts.items():
                _write_secret(fresh / name, text)
            _replace(folder, fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise FolderRefused(f"{folder} cannot be written: {error.strerror}") from None
    return Written(
        folder,
        folder / SERVER_CONFIG,
        {role: folder / f"{role}.env" for role in keys},
        {folder / name: purpose for name, (_, purpose) in texts.items()},
    )


def _texts(
    folder: Path, plan: Plan, engines: tuple[str, ...], keys: Mapping[str, KeyPair]
) -> dict[str, tuple[bytes, str]]:
    earlier = read_earlier(plan.accept) if plan.accept else None
    certificates = earlier.certificates if earlier else issue_certificates(plan.hosts, days=plan.days)
    named = "as it was" if earlier else f"for {', '.join(plan.hosts)}"
    accounts = accounts_of(plan.topology, engines, {role: pair.public for role, pair in keys.items()})
    texts: dict[str, tuple[bytes, str]] = {
        SERVER_CONFIG: (_server_config(folder, plan, accounts).encode(), "the server's configuration"),
        "ca.pem": (certificates.ca, "the CA that clients trust"),
        "server.pem": (certificates.server, f"the server's certificate, {named}"),
        "server-key.pem": (certificates.server_key, "its key; secret"),
    }
    if earlier:
        both = _server_config(folder, plan, also_accepting(accounts, earlier.public_keys)).encode()
        texts[BOTH_CONFIG] = (both, f"the same, which also accepts the keys of {plan.accept}")
    for role, pair in keys.items():
        texts[f"{role}.nk"] = (f"{pair.seed()}\n".encode(), f"the nkey seed of {role}; secret")
        texts[f"{role}.env"] = (
            _settings(plan.client_folder or folder, plan, role).encode(),
            f"the settings of {role}; no secret",
        )
    for role in ("publisher", *engines) if plan.leaf_listen else ():
        texts |= leaf_files(role, keys[role], plan, plan.client_folder or folder)
    return texts


def _server_config(folder: Path, plan: Plan, accounts: Sequence[Account]) -> str:
    there = plan.server_folder or folder
    host, port = plan.listen
    monitor = f"\nhttp: {json.dumps('{}:{}'.format(*plan.monitor))}" if plan.monitor else ""
    domain = f"\n  domain: {json.dumps(plan.topology.domain)}" if plan.topology.domain else ""
    return f"""{_MARK} for the prefix {plan.topology.prefix}. It holds public keys only.
# Start the server: nats-server -c {there / SERVER_CONFIG}

listen: {json.dumps(f"{host}:{port}")}{monitor}
max_payload: {_MAX_PAYLOAD}

jetstream {{
  store_dir: {json.dumps(str(_store(folder, plan)))}{domain}
}}

tls {{
  cert_file: {json.dumps(str(there / "server.pem"))}
  key_file: {json.dumps(str(there / "server-key.pem"))}
  handshake_first: "1s" # how long a client has to begin with TLS; one that does not gets the plain greeting first
}}
{leaf_listener(plan, there)}
# Nobody gets in without a key: there is no user that stands for strangers.
{render_accounts(accounts, system=SYSTEM_ACCOUNT)}"""


def _store(folder: Path, plan: Plan) -> Path:
    """Where it was, if keys are changed only: a server that runs does not move its store, and another is empty."""
    keeper = plan.accept.absolute() if plan.accept else folder
    return plan.store or (plan.server_folder or keeper) / "jetstream"


def _settings(folder: Path, plan: Plan, role: str) -> str:
    host = f"[{plan.hosts[0]}]" if ":" in plan.hosts[0] else plan.hosts[0]
    values = {
        "NATS_URL": f"tls://{host}:{plan.listen[1]}",
        "NATS_NKEY_SEED_FILE": folder / f"{role}.nk",
        "NATS_TLS_CA": folder / "ca.pem",
        "NATS_TLS_FIRST": "true",
        "SUBJECT_PREFIX": plan.topology.prefix,
    }
    return "".join(f"DRIFT_BUS_{name}={value}\n" for name, value in values.items())


def _check_place(folder: Path, *, force: bool) -> None:
    if any(character in str(folder) for character in "\n\r'\"\\$`#"):
        raise FolderRefused(f"{folder}: choose a path without quotes, $, # or line breaks; settings files name it")
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise FolderRefused(f"{folder} is there, and is no folder: choose another name")
    if not any(folder.iterdir()):
        return
    config = folder / SERVER_CONFIG
    if not (config.is_file() and config.read_text(errors="replace").startswith(_MARK)):
        raise FolderRefused(f"{folder} holds something else: choose a folder that does not exist yet")
    if not force:
        raise FolderRefused(
            f"{folder} holds keys already: choose another folder, or --force new ones, and the old stop working"
        )


def _write_secret(path: Path, text: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)


def _replace(folder: Path, fresh: Path) -> None:
    """Puts the fresh folder in place; what JetStream stored in an old one moves into it."""
    if folder.is_dir():
        store = folder / "jetstream"
        if store.is_dir():
            store.rename(fresh / "jetstream")
        old = folder.with_name(f"{fresh.name}-old")
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old)
    else:
        fresh.rename(folder)
