"""How a Solana node writes accounts as JSON, and how its filters choose among them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import zstandard

from .errors import RpcError, invalid_params, invalid_request

__all__ = [
    "AccountForm",
    "Filter",
    "account_json",
    "base58_decode",
    "base58_encode",
    "parse_filters",
    "parse_form",
]

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_ENCODINGS: Final = {"base58", "base64", "base64+zstd", "jsonParsed", "binary"}
_MAX_BASE58: Final = 128
_MAX_FILTERS: Final = 4
_RENT_EPOCH: Final = b"18446744073709551615"
_COMPRESSOR: Final = zstandard.ZstdCompressor()

Filter = Callable[[bytes | bytearray], bool]


@dataclass(frozen=True)
class AccountForm:
    """The form a client wants accounts in: encoding and an optional slice (offset, length)."""

    encoding: str
    data_slice: tuple[int, int] | None = None


def base58_encode(data: bytes) -> str:
    """Encode bytes as Bitcoin-style base58."""
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return _ALPHABET[0] * (len(data) - len(data.lstrip(b"\0"))) + digits


def base58_decode(text: str) -> bytes:
    """Decode base58.

    Raises:
        ValueError: A letter is not of the alphabet.
    """
    number = 0
    for letter in text:
        if letter not in _DIGITS:
            raise ValueError(f"not base58: {letter!r}")
        number = number * 58 + _DIGITS[letter]
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def parse_form(options: dict[str, Any], default: str = "binary") -> AccountForm:
    """Read ``encoding`` and ``dataSlice`` from a request's options.

    Raises:
        RpcError: One of them is malformed.
    """
    encoding = options.get("encoding") or default
    if not isinstance(encoding, str) or encoding not in _ENCODINGS:
        raise invalid_params(f"unknown variant `{encoding}`, expected one of `binary`, `base64`, `base58`")
    piece = options.get("dataSlice")
    if piece is None:
        return AccountForm(encoding)
    try:
        return AccountForm(encoding, (int(piece["offset"]), int(piece["length"])))
    except (KeyError, TypeError, ValueError) as error:
        raise invalid_params("invalid dataSlice") from error


def account_json(data: bytes | bytearray, owner: str, lamports: int, form: AccountForm) -> bytes:
    """Write one account as the JSON object that every account answer carries.

    Raises:
        RpcError: The data is too large for base58.
    """
    size = len(data)
    if form.data_slice is not None:
        offset, length = form.data_slice
        data = data[offset : offset + length]
    if form.encoding in {"base58", "binary"}:
        if len(data) > _MAX_BASE58:
            raise invalid_request(
                "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding."
            )
        text = base58_encode(bytes(data)).encode()
        encoded = b'"%b"' % text if form.encoding == "binary" else b'["%b","base58"]' % text
    elif form.encoding == "base64+zstd":
        encoded = b'["%b","base64+zstd"]' % base64.b64encode(_COMPRESSOR.compress(bytes(data)))
    else:
        encoded = b'["%b","base64"]' % base64.b64encode(data)
    return (
        b'{"data":%b,"executable":false,"lamports":%d,"owner":"%b","rentEpoch":%b,"space":%d}'
        % (encoded, lamports, owner.encode(), _RENT_EPOCH, size)
    )  # fmt: skip


def parse_filters(options: dict[str, Any]) -> list[Filter]:
    """Read ``filters`` (memcmp, dataSize) from a request's options.

    Raises:
        RpcError: A filter is malformed, or there are more than four.
    """
    filters = options.get("filters") or []
    if not isinstance(filters, list):
        raise invalid_params("filters must be an array")
    if len(filters) > _MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {_MAX_FILTERS}")
    return [_parse_filter(entry) for entry in filters]


def _parse_filter(entry: Any) -> Filter:
    try:
        if "dataSize" in entry:
            size = int(entry["dataSize"])
            return lambda data: len(data) == size
        if "memcmp" in entry:
            return _parse_memcmp(entry["memcmp"])
    except RpcError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise invalid_params(f"invalid filter {orjson.dumps(entry, default=str).decode()}") from error
    raise invalid_params("unknown filter")


def _parse_memcmp(memcmp: dict[str, Any]) -> Filter:
    offset, given, encoding = int(memcmp["offset"]), memcmp["bytes"], memcmp.get("encoding", "base58")
    if isinstance(given, list):
        wanted = bytes(given)
    elif encoding == "base64":
        wanted = base64.b64decode(given, validate=True)
    elif encoding in {"base58", "binary"}:
        wanted = base58_decode(given)
    else:
        raise invalid_params(f"unknown memcmp encoding {encoding}")
    if len(wanted) > _MAX_BASE58:
        raise invalid_params("encoded binary data should be less than 128 bytes")
    return lambda data: data[offset : offset + len(wanted)] == wanted
