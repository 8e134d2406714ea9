"""The records of a capture: a header, then accounts and slots in the order of their arrival, then an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgpack

from drift_schemas.capture.errors import NotACapture

__all__ = [
    "CaptureEnd",
    "CaptureHeader",
    "CaptureRecord",
    "CapturedAccount",
    "CapturedSlot",
    "pack_account",
    "pack_end",
    "pack_header",
    "pack_slot",
    "unpack_header",
    "unpack_records",
]

_FORMAT: Final = "drift-bus capture"
_VERSION: Final = 1
_SLOT, _ACCOUNT, _END = range(3)


class CaptureHeader(NamedTuple):
    """What a capture is of. It never holds a URL or a key.

    Attributes:
        program: The program's name, as events say it: ``drift-v2``.
        program_id: Its address, base58.
        cluster: As events say it: ``mainnet-beta``, ``devnet``, ``simulated``.
        genesis: The node's genesis hash, base58; ``None`` where it did not tell.
        commitment: Solana commitment of everything that was read and subscribed.
        source: ``websocket`` or ``polling``.
        software: What wrote the file, with its version.
        started_at_ns: Unix nanoseconds.
        subscriptions: What was subscribed at the start, a line each.
    """

    program: str
    program_id: str
    cluster: str
    genesis: str | None
    commitment: str
    source: str
    software: str
    started_at_ns: int
    subscriptions: tuple[str, ...]


class CapturedAccount(NamedTuple):
    """One report about an account.

    Attributes:
        address: Base58.
        owner: Program that owns it, base58; empty where the account does not exist.
        slot: Slot of the context in which the node reported it.
        data: The account's bytes as received, ``None`` where it does not exist.
        received_ns: When the report arrived, Unix nanoseconds.
        was_read: It answers a request over HTTP; otherwise it is a notification.
    """

    address: str
    owner: str
    slot: int
    data: bytes | None
    received_ns: int
    was_read: bool


class CapturedSlot(NamedTuple):
    """One slot notification: the slot, and when it arrived in Unix nanoseconds."""

    slot: int
    received_ns: int


class CaptureEnd(NamedTuple):
    """The capture was closed on purpose, at this time in Unix nanoseconds."""

    ended_at_ns: int


CaptureRecord = CapturedAccount | CapturedSlot

_FIELD_TYPES: Final[dict[int, tuple[type[CaptureRecord | CaptureEnd], tuple[Any, ...]]]] = {
    _SLOT: (CapturedSlot, (int, int)),
    _ACCOUNT: (CapturedAccount, (str, str, int, bytes | None, int, bool)),
    _END: (CaptureEnd, (int,)),
}
_pack = msgpack.Packer(use_bin_type=True).pack


def pack_header(header: CaptureHeader) -> bytes:
    """The header as bytes."""
    packed: bytes = _pack({"format": _FORMAT, "version": _VERSION, **header._asdict()})
    return packed


def pack_account(address: str, owner: str, slot: int, data: bytes | None, received_ns: int, was_read: bool) -> bytes:
    """One account record as bytes; arguments as :class:`CapturedAccount` has them."""
    packed: bytes = _pack((_ACCOUNT, address, owner, slot, data, received_ns, was_read))
    return packed


def pack_slot(slot: int, received_ns: int) -> bytes:
    """One slot record as bytes."""
    packed: bytes = _pack((_SLOT, slot, received_ns))
    return packed


def pack_end(ended_at_ns: int) -> bytes:
    """The last record as bytes."""
    packed: bytes = _pack((_END, ended_at_ns))
    return packed


def unpack_header(payload: bytes) -> CaptureHeader:
    """Reads the header.

    Raises:
        NotACapture: it is none, or of a version that is not known here.
        ValueError: a field is missing or of the wrong type.
    """
    fields = msgpack.unpackb(payload)
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise NotACapture("this is no capture of drift-bus")
    if fields.get("version") != _VERSION:
        raise NotACapture(
            f"capture format {fields.get('version')} is not known here (only {_VERSION}): update drift-bus"
        )
    try:
        header = CaptureHeader(*(fields[name] for name in CaptureHeader._fields))
        header = header._replace(subscriptions=tuple(header.subscriptions))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the header lacks {error}") from None
    return header


def unpack_records(payload: bytes, count: int) -> Iterator[CaptureRecord | CaptureEnd]:
    """Reads the ``count`` records of one frame; kinds that a later version may add are passed over.

    Raises:
        ValueError: the bytes are no records.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(payload) or 1)
    unpacker.feed(payload)
    seen = 0
    for record in unpacker:
        seen += 1
        if not isinstance(record, list) or not record:
            raise ValueError(f"a record that is no list: {type(record).__name__}")
        known = _FIELD_TYPES.get(record[0])
        if known is None:
            continue
        make, types = known
        values = record[1:]
        if len(values) != len(types) or not all(map(isinstance, values, types)):
            raise ValueError(f"a record of kind {record[0]} with other fields than it has")
        yield make(*values)
    if seen != count:
        raise ValueError(f"{seen} records where {count} were written")
