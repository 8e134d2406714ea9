"""Credentials and certificates, from their files to the options of nats-py."""

from __future__ import annotations

import logging
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from drift_schemas.access.errors import AccessError
from drift_schemas.access.nkey import KeyPair, looks_like_seed
from drift_schemas.jetstream_api import InvalidDomain, JetStreamApi

__all__ = ["NatsAccess", "NatsLogin"]

_log = logging.getLogger(__name__)
_asyncio_log = logging.getLogger("asyncio")
_BLOCK: Final = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+(\S+)\s+-{3,}END \1-{3,}")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class NatsAccess:
    """Who we are at a NATS server, and whom we trust: names of files, never their content; and where its JetStream is.

    Attributes:
        creds: A ``.creds`` file, which holds a JWT and a seed: for servers in operator mode.
        nkey_seed_file: A file that holds an nkey seed: what ``drift-bus auth init`` writes.
        tls_ca: Certificates (PEM) of the CAs that we trust instead of the system's.
        tls_cert: Our own certificate (PEM), where the server asks for one.
        tls_key: Its key (PEM, not encrypted).
        tls_first: Speak TLS from the first byte, and never to a server that answers without it. Without this a
            server, or whoever poses as it, may choose to go on in plain text.
        inbox_prefix: Where answers come, if the server permits only that.
        domain: The JetStream domain that holds the bus, where we are connected to a leaf node.
    """

    creds: str | None = None
    nkey_seed_file: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_first: bool = False
    inbox_prefix: str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and looks_like_seed(value):
                raise AccessError(
                    f"{_variable(field.name)} holds a secret itself: write that into a file that only you can read "
                    "(chmod 600), and name the file"
                )
        if self.creds and self.nkey_seed_file:
            raise AccessError("one login at a time: DRIFT_BUS_NATS_CREDS or DRIFT_BUS_NATS_NKEY_SEED_FILE")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise AccessError("DRIFT_BUS_NATS_TLS_CERT and DRIFT_BUS_NATS_TLS_KEY belong together")
        try:
            JetStreamApi(self.domain)
        except InvalidDomain as error:
            raise AccessError(f"DRIFT_BUS_NATS_DOMAIN: {error}") from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> NatsAccess:
        """Reads ``DRIFT_BUS_NATS_CREDS``, ``…_NKEY_SEED_FILE``, ``…_TLS_CA`` and so on; empty counts as not given.

        Raises:
            AccessError: what they say contradicts itself.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            text = environment.get(_variable(field.name), "").strip()
            if field.name == "tls_first":
                if text.lower() not in _TRUE | _FALSE:
                    raise AccessError(f"{_variable(field.name)}: write true or false")
                given[field.name] = text.lower() in _TRUE
            elif text:
                given[field.name] = text
        return cls(**given)

    def login(self) -> NatsLogin:
        """Reads the files.

        Raises:
            AccessError: one cannot be read or used, and why.
        """
        options: dict[str, Any] = {}
        key: KeyPair | None = None
        if self.creds:
            jwt, key = _read_creds(self.creds)
            options["user_jwt_cb"] = lambda: bytearray(jwt.encode())
        elif self.nkey_seed_file:
            key = _key_pair("nkey_seed_file", self.nkey_seed_file, _secret_text("nkey_seed_file", self.nkey_seed_file))
        if key is not None:
            options["signature_cb"] = key.sign
        if self.tls_ca or self.tls_cert or self.tls_first:
            options["tls"] = self._tls_context()
            options["tls_handshake_first"] = self.tls_first
        if self.inbox_prefix:
            options["inbox_prefix"] = self.inbox_prefix
        return NatsLogin(options, key.public if key is not None and not self.creds else None)

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("tls_ca", self.tls_ca, error) from None
        if self.tls_cert and self.tls_key:
            try:  # an empty password: an encrypted key is an error, not a question on the terminal
                context.load_cert_chain(self.tls_cert, self.tls_key, password="")
            except (OSError, ssl.SSLError) as error:
                raise _unusable("tls_cert", f"{self.tls_cert} with {self.tls_key}", error) from None
        return context


class NatsLogin:
    """Credentials and certificates that were read; they serve any number of connections."""

    def __init__(self, options: Mapping[str, Any], public_key: str | None) -> None:
        self._options = options
        self._public_key = public_key

    @property
    def uses_tls(self) -> bool:
        """CA, certificate or TLS from the first byte are set."""
        return "tls" in self._options

    def options_for(self, client: Any) -> dict[str, Any]:
        """Returns the arguments for the ``connect`` of ``client``, a nats-py client that is not connected yet.

        nats-py takes a signature by callback, but learns the public key only through the package ``nkeys``, of which
        there is no wheel; so the public key is set where nats-py keeps it.
        """
        client._public_nkey = self._public_key
        if self.uses_tls:
            _asyncio_log.addFilter(_tells_something)
        return dict(self._options)


def _tells_something(record: logging.LogRecord) -> bool:
    """Keeps out what asyncio says of every TLS connection that nats-py made and the other side closes."""
    return "eof_received() has no effect when using ssl" not in str(record.msg)


def _variable(field: str) -> str:
    return f"DRIFT_BUS_NATS_{field.upper()}"


def _unusable(field: str, path: str | None, error: OSError) -> AccessError:
    why = error.strerror if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError) else None
    return AccessError(f"{_variable(field)}: {path} cannot be used: {why or type(error).__name__}")


def _secret_text(field: str, path: str) -> str:
    try:
        with Path(path).open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(64 * 1024)
    except OSError as error:
        raise _unusable(field, path, error) from None
    except UnicodeDecodeError:
        raise AccessError(f"{_variable(field)}: {path} is no text") from None
    if mode & stat.S_IRWXO:
        _log.warning("%s: every user of this machine can read %s: chmod 600 it", _variable(field), path)
    return text


def _read_creds(path: str) -> tuple[str, KeyPair]:
    found = dict(_BLOCK.findall(_secret_text("creds", path)))
    jwt, seed = found.get("NATS USER JWT"), found.get("USER NKEY SEED")
    if jwt is None or seed is None:
        raise AccessError(f"DRIFT_BUS_NATS_CREDS: {path} is no creds file: it holds no user JWT with its seed")
    return jwt, _key_pair("creds", path, seed)


def _key_pair(field: str, path: str, seed: str) -> KeyPair:
    try:
        return KeyPair.from_seed(seed)
    except AccessError as error:
        raise AccessError(f"{_variable(field)}: {path}: {error}") from None
