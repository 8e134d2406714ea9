"""The publisher's journal: which unchanged values it confirmed, for re-assertions leave the history by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from drift_schemas.codec import MalformedMessage, UnknownSchema, unpack
from drift_schemas.subjects import KINDS, Kind

__all__ = ["Confirmation", "confirmation_of", "decode_confirmations", "encode_confirmations", "refreshed"]

_VERSION: Final = 1
_FIELDS: Final = 6
_REFRESHED: Final = ("epoch", "slot", "observed_at_ns", "published_at_ns")


class Confirmation(NamedTuple):
    """One re-assertion that the stream acknowledged, and the fields in which it differs from what it confirms.

    Attributes:
        kind: The kind of the value.
        token: The market's subject token.
        sequence: Where the stream stored the re-assertion.
        epoch: The publisher's epoch.
        slot: Slot of the newest account behind the value.
        observed_at_ns: When that account's notification reached the publisher.
        published_at_ns: When the re-assertion was handed to NATS.
    """

    kind: Kind
    token: str
    sequence: int
    epoch: int
    slot: int
    observed_at_ns: int
    published_at_ns: int


def confirmation_of(kind: Kind, token: str, sequence: int, payload: bytes) -> Confirmation:
    """What the journal tells of a re-assertion: where it was stored, and what is new in its payload.

    Raises:
        MessageTooLarge, MalformedMessage: ``payload`` is no event.
    """
    fields = unpack(payload)
    numbers: list[Any] = [fields.get(name) for name in _REFRESHED]
    if not _are_integers(numbers):
        raise MalformedMessage(f"{kind}.{token}: an event without {', '.join(_REFRESHED)}")
    return Confirmation(kind, token, sequence, *numbers)


def encode_confirmations(confirmations: Sequence[Confirmation]) -> bytes:
    """Packs confirmations of one epoch into one message; numbers travel as differences, about 30 bytes each.

    Raises:
        ValueError: there is none, or they are of several epochs.
    """
    if len({one.epoch for one in confirmations}) != 1:
        raise ValueError("a journal message tells of one epoch")
    base = confirmations[0]
    entries = [
        (
            KINDS.index(one.kind),
            one.token,
            one.sequence - base.sequence,
            one.slot - base.slot,
            one.published_at_ns - base.published_at_ns,
            one.published_at_ns - one.observed_at_ns,
        )
        for one in confirmations
    ]
    fields = {
        "schema_version": _VERSION,
        "epoch": base.epoch,
        "sequence": base.sequence,
        "slot": base.slot,
        "published_at_ns": base.published_at_ns,
        "confirmed": entries,
    }
    payload: bytes = msgpack.packb(fields)
    return payload


def decode_confirmations(payload: bytes) -> list[Confirmation]:
    """Unpacks and checks one journal message.

    Raises:
        MessageTooLarge, MalformedMessage, UnknownSchema: the message is refused, and why.
    """
    fields = unpack(payload)
    if fields.get("schema_version") != _VERSION:
        raise UnknownSchema(f"journal of schema version {fields.get('schema_version')}, this reader knows {_VERSION}")
    names = ("epoch", "sequence", "slot", "published_at_ns")
    base: list[Any] = [fields.get(name) for name in names]
    entries = fields.get("confirmed")
    if not _are_integers(base) or not isinstance(entries, tuple):
        raise MalformedMessage("journal: a field is missing or has a wrong type")
    return [_decoded(entry, *base) for entry in entries]


def refreshed(payload: bytes, confirmation: Confirmation) -> bytes:
    """The payload of the re-assertion, byte for byte, from that of the value which it confirms.

    Raises:
        MalformedMessage: ``payload`` is no event.
    """
    try:
        fields = msgpack.unpackb(payload, use_list=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"no msgpack: {type(error).__name__}: {error}") from None
    if not isinstance(fields, dict):
        raise MalformedMessage(f"a msgpack {type(fields).__name__} where a map belongs")
    for name in _REFRESHED:
        fields[name] = getattr(confirmation, name)
    packed: bytes = msgpack.packb(fields)
    return packed


def _decoded(entry: Any, epoch: int, sequence: int, slot: int, published_at_ns: int) -> Confirmation:
    if not isinstance(entry, tuple) or len(entry) < _FIELDS:
        raise MalformedMessage("journal: an entry is no list of six")
    kind, token, *numbers = entry[:_FIELDS]
    if not _are_integers([kind, *numbers]) or not isinstance(token, str) or not 0 <= kind < len(KINDS):
        raise MalformedMessage("journal: an entry has a field of a wrong type")
    published_at_ns += numbers[2]
    return Confirmation(
        KINDS[kind], token, sequence + numbers[0], epoch, slot + numbers[1], published_at_ns - numbers[3],
        published_at_ns,
    )  # fmt: skip


def _are_integers(values: Sequence[Any]) -> bool:
    return all(type(value) is int for value in values)
