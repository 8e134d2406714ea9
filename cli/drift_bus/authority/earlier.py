"""An earlier folder of ``drift-bus auth init``, whose keys a server goes on accepting while programs get new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from drift_bus.authority.accounts import Account
from drift_bus.authority.certificates import Certificates
from drift_bus.errors import CommandError
from drift_schemas.access import AccessError, KeyPair

__all__ = ["Earlier", "EarlierUnusable", "also_accepting", "read_earlier"]

_TLS_FILES: Final = ("ca.pem", "server.pem", "server-key.pem")


class EarlierUnusable(CommandError):
    """The folder whose keys are to be accepted is none, or not whole."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What stays in force.

    Attributes:
        public_keys: By role.
        certificates: They are kept, for a new CA would be a stranger to every program.
    """

    public_keys: Mapping[str, str]
    certificates: Certificates


def read_earlier(folder: Path) -> Earlier:
    """Reads a folder that ``auth init`` wrote.

    Raises:
        EarlierUnusable: it is not there, or something is missing in it; the text names the file.
    """
    keys: dict[str, str] = {}
    try:
        for path in sorted(folder.glob("*.nk")):
            keys[path.stem] = KeyPair.from_seed(path.read_text(encoding="ascii").strip()).public
        ca, server, server_key = ((folder / name).read_bytes() for name in _TLS_FILES)
    except OSError as error:
        raise EarlierUnusable(f"{error.filename} cannot be read: {error.strerror}") from None
    except (AccessError, UnicodeDecodeError):
        raise EarlierUnusable(f"{folder}: a .nk file in it holds no nkey seed") from None
    if not keys:
        raise EarlierUnusable(f"{folder} holds no keys: name a folder that auth init wrote")
    return Earlier(keys, Certificates(ca=ca, server=server, server_key=server_key))


def also_accepting(accounts: Sequence[Account], public_keys: Mapping[str, str]) -> list[Account]:
    """The accounts, in which each user has a second key; a role that is no more gets none."""
    return [
        replace(
            account,
            users=(
                *account.users,
                *(
                    replace(user, name=f"{user.name}, its earlier key", public_key=public_keys[user.name])
                    for user in account.users
                    if user.name in public_keys
                ),
            ),
        )
        for account in accounts
    ]
