"""Market names and the subject tokens that carry them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["InvalidMarketName", "market_from_token", "market_token"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_-]")
_ESCAPED: Final = re.compile(r"_x([0-9A-F]{2})")


class InvalidMarketName(ValueError):
    """A market name that cannot be a subject token; ``name`` holds it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"market name {name!r} cannot go on the bus: {why}")
        self.name = name


def market_token(name: str) -> str:
    """Maps an on-chain market name to its subject token, reversibly.

    ``SOL-PERP`` stays as it is. A byte outside ``[A-Za-z0-9_-]`` becomes ``_xHH`` (upper-case hex), and so
    does an underscore in front of an ``x``, which keeps the mapping one to one.

    Raises:
        InvalidMarketName: the name is empty, or longer than 64 characters once mapped.
    """
    name = name.rstrip()
    try:
        raw = name.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidMarketName(name, "it is no Unicode text") from None
    token = "".join(
        chr(byte)
        if _PLAIN.match(bytes([byte])) and not (byte == ord("_") and raw[i + 1 : i + 2] == b"x")
        else f"_x{byte:02X}"
        for i, byte in enumerate(raw)
    )
    if not token:
        raise InvalidMarketName(name, "it is empty")
    if len(token) > 64:
        raise InvalidMarketName(name, f"its token has {len(token)} characters, 64 is the limit")
    return token


def market_from_token(token: str) -> str:
    """Returns the on-chain name behind ``token``.

    Raises:
        InvalidMarketName: ``token`` is none that :func:`market_token` makes.
    """
    if not _TOKEN.fullmatch(token):
        raise InvalidMarketName(token, "a token has 1 to 64 characters of A-Z a-z 0-9 _ -")
    try:
        raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), token).encode("latin-1")
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidMarketName(token, "its escapes are no UTF-8") from None
    if market_token(name) != token:
        raise InvalidMarketName(token, "it is not in its canonical form")
    return name
