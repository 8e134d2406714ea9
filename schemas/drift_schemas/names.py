"""Market names and the subject tokens that carry them."""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["InvalidMarketName", "indexed_name", "market_from_token", "market_token", "parse_indexed_name"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_-]")
_ESCAPED: Final = re.compile(r"_x([0-9A-F]{2})")
_INDEXED: Final = re.compile(r"_([ps])(0|[1-9][0-9]{0,4})$")


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


def indexed_name(name: str, market_type: Literal["perp", "spot"], market_index: int) -> str:
    """The name on the bus of a market that cannot have its own, because another has it or several claim it.

    >>> indexed_name("SOL-PERP", "perp", 81), indexed_name("SOL", "spot", 3)
    ('SOL-PERP_p81', 'SOL_s3')

    No other market ever has it: it ends in the market's own type and index, and a market that is called like that on
    the chain gets its own ending behind it. Where both do not fit a subject token, the ending alone is the name.
    """
    ending = f"_{market_type[0]}{market_index}"
    try:
        market_token(name + ending)
    except InvalidMarketName:
        return ending
    return name + ending


def parse_indexed_name(name: str) -> tuple[Literal["perp", "spot"], int] | None:
    """Type and index of a market in a name of :func:`indexed_name`; ``None`` for any other name."""
    found = _INDEXED.search(name)
    if found is None:
        return None
    return ("perp" if found[1] == "p" else "spot"), int(found[2])
