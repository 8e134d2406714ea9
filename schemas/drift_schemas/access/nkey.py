"""nkeys: the Ed25519 key pairs by which NATS knows its users, as text that NATS tools read.

A seed begins with ``SU`` for a user, the public key with ``U``; both are base32 with a checksum. PyNaCl does the
cryptography. It is imported when a key is used, so that whoever connects without one does not need it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final, Self

from drift_schemas.access.errors import AccessError

__all__ = ["InvalidSeed", "KeyPair", "hide_seeds", "looks_like_seed"]

_SEED: Final = 18 << 3
_USER: Final = 20 << 3
_SEED_TEXT: Final = re.compile(r"(?<![A-Z0-9])S[A-Z][A-Z2-7]{56}(?![A-Z0-9])")


class InvalidSeed(AccessError):
    """A text that is no user's nkey seed; the message never shows it."""


class KeyPair:
    """A user's key pair. Nothing that prints shows its seed.

    Attributes:
        public: The public key as NATS writes it: ``U`` and 55 more characters.
    """

    def __init__(self, raw_seed: bytes) -> None:
        self._signing = _signing_key(raw_seed)
        self.public = _encode(bytes([_USER]) + bytes(self._signing.verify_key))

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"

    @classmethod
    def generate(cls) -> Self:
        """Makes a new pair from the system's randomness."""
        from secrets import token_bytes

        return cls(token_bytes(32))

    @classmethod
    def from_seed(cls, text: str) -> Self:
        """Reads a seed.

        Raises:
            InvalidSeed: it is none, or not a user's.
        """
        text = text.strip()
        if not _SEED_TEXT.fullmatch(text):
            raise InvalidSeed("this is no nkey seed: one has 58 characters and begins with SU")
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
        body, checksum = raw[:-2], raw[-2:]
        if binascii.crc_hqx(body, 0).to_bytes(2, "little") != checksum:
            raise InvalidSeed("this nkey seed has a wrong checksum: a character is wrong or missing")
        if (body[0] & 0b11111000, (body[0] & 0b111) << 5 | body[1] >> 3) != (_SEED, _USER):
            raise InvalidSeed("this nkey seed is not a user's: one begins with SU")
        return cls(body[2:])

    def seed(self) -> str:
        """The secret, to be written to its file and nowhere else."""
        head = bytes([_SEED | _USER >> 5, (_USER & 0b11111) << 3])
        return _encode(head + bytes(self._signing))

    def sign(self, nonce: str) -> bytes:
        """Signs what the server asked to be signed; base64, as NATS wants it."""
        return base64.b64encode(self._signing.sign(nonce.encode()).signature)


def looks_like_seed(text: str) -> bool:
    """There is an nkey seed in it."""
    return _SEED_TEXT.search(text) is not None


def hide_seeds(text: str) -> str:
    """Returns ``text`` with every nkey seed in it replaced by ``S…``."""
    return _SEED_TEXT.sub("S…", text)


def _encode(body: bytes) -> str:
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


def _signing_key(raw_seed: bytes) -> Any:
    try:
        from nacl.signing import SigningKey
    except ImportError:
        raise AccessError("nkeys and creds need PyNaCl: pip install 'drift-bus[auth]'") from None
    return SigningKey(raw_seed)
