"""msgpack on the wire: encode an event, decode a message, refuse what cannot be trusted.

Integers of 64 bits travel as msgpack integers, those of 128 bits as decimal strings (:mod:`drift_schemas.widths`). What
an earlier version stored holds the latter as integers, and as msgpack extension 1 beyond 64 bits: history keeps for a
year, so readers take these forms as well. Nothing writes them any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgpack
from pydantic import ValidationError

from drift_schemas.event_base import SCHEMA_VERSION
from drift_schemas.events import EVENT_TYPES, Event, MarketDataEvent, StatusEvent
from drift_schemas.subjects import Kind
from drift_schemas.widths import Width, integer_of

__all__ = [
    "CONTENT_TYPE",
    "MAX_MESSAGE_BYTES",
    "SCHEMA_HEADER",
    "TEXT_FIELDS",
    "MalformedMessage",
    "MessageError",
    "MessageTooLarge",
    "OutOfRange",
    "UnknownSchema",
    "decode_event",
    "decode_fields",
    "decode_status",
    "encode",
    "encode_fields",
    "schema_of",
    "unpack",
]

MAX_MESSAGE_BYTES: Final = 64 * 1024
CONTENT_TYPE: Final = "application/msgpack"
SCHEMA_HEADER: Final = "Drift-Schema"

_OLD_BIG_INT: Final = 1
_E = TypeVar("_E", bound=Event)

TEXT_FIELDS: Final[Mapping[str, Width]] = {
    name: width for model in EVENT_TYPES.values() for name, width in model.widths().items() if width.is_text
}
"""The fields of 128 bits, which travel as decimal strings; a name has one width in every kind."""


class MessageError(ValueError):
    """A message that is refused. Subclasses: MessageTooLarge, MalformedMessage, UnknownSchema, OutOfRange."""


class MessageTooLarge(MessageError):
    """The payload is over ``MAX_MESSAGE_BYTES``; it was not unpacked."""


class MalformedMessage(MessageError):
    """The payload is no msgpack map, or its fields have wrong types."""


class OutOfRange(MessageError):
    """An integer is larger than its field on the wire: the event is not written."""


class UnknownSchema(MessageError):
    """The message has a major version that this reader does not know: skip it and count it."""


def schema_of(kind: Kind | str) -> str:
    """The ``Drift-Schema`` header of a kind: ``funding/1``."""
    return f"{kind}/{SCHEMA_VERSION}"


def encode(event: Event) -> bytes:
    """Packs an event into a msgpack map; integers of 128 bits travel as decimal strings.

    Raises:
        MessageTooLarge: the packed event is over ``MAX_MESSAGE_BYTES``.
        OutOfRange: an integer does not fit its field.
    """
    return encode_fields(event.__dict__)


def encode_fields(fields: Mapping[str, Any]) -> bytes:
    """Packs the fields of an event of which no model was made, as :func:`encode` packs the event.

    For a writer whose fields are right by construction: names, order and types are not checked.
    """
    if not fields.keys().isdisjoint(TEXT_FIELDS):  # of a price, of which there are most, none
        fields = {**fields, **{name: _text(name, fields[name]) for name in TEXT_FIELDS if name in fields}}
    try:
        payload: bytes = msgpack.packb(fields)
    except OverflowError:
        wide = next(name for name, value in fields.items() if _is_beyond_64_bits(value))
        raise OutOfRange(f"{wide} = {fields[wide]} does not fit into 64 bits") from None
    if len(payload) > MAX_MESSAGE_BYTES:
        of = f"event of {fields['market']}" if "market" in fields else "heartbeat"
        raise MessageTooLarge(f"the {of} packs to {len(payload)} bytes, {MAX_MESSAGE_BYTES} is the limit")
    return payload


def decode_event(kind: Kind, payload: bytes, headers: Mapping[str, str] | None = None) -> MarketDataEvent:
    """Unpacks and checks one market event.

    Raises:
        MessageTooLarge, MalformedMessage, UnknownSchema: the message is refused, and why.
    """
    return _decode(EVENT_TYPES[kind], kind, payload, headers)


def decode_status(payload: bytes, headers: Mapping[str, str] | None = None) -> StatusEvent:
    """Unpacks and checks a heartbeat; raises as :func:`decode_event` does."""
    return _decode(StatusEvent, "status", payload, headers)


def _decode(model: type[_E], kind: str, payload: bytes, headers: Mapping[str, str] | None) -> _E:
    _check_schema(kind, (headers or {}).get(SCHEMA_HEADER))
    fields = unpack(payload)
    version = fields.get("schema_version")
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise UnknownSchema(f"{kind} event of schema version {version}, this reader knows {SCHEMA_VERSION}")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedMessage(f"{kind} event: field {where!r}: {first['msg']}") from None


def _check_schema(kind: str, header: str | None) -> None:
    if header is None or header == schema_of(kind):
        return
    name, _, major = header.partition("/")
    if name != kind:
        raise MalformedMessage(f"{SCHEMA_HEADER} says {header!r} on a {kind} subject")
    if major.partition(".")[0] != str(SCHEMA_VERSION):
        raise UnknownSchema(f"{SCHEMA_HEADER} says {header!r}, this reader knows {schema_of(kind)!r}")


def decode_fields(payload: bytes) -> dict[str, Any]:
    """Unpacks an event's fields without making a model of them: names and types are not checked.

    Raises:
        MessageTooLarge, MalformedMessage: it is no map, or an integer of 128 bits is none.
    """
    fields = unpack(payload)
    for name in TEXT_FIELDS:
        if type(text := fields.get(name)) is str:
            try:
                fields[name] = integer_of(text)
            except ValueError as error:
                raise MalformedMessage(f"field {name!r}: {error}") from None
    return fields


def unpack(payload: bytes) -> dict[str, Any]:
    """Unpacks a map without looking at its fields.

    Raises:
        MessageTooLarge, MalformedMessage: it is none, or too large to try.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"message of {len(payload)} bytes, {MAX_MESSAGE_BYTES} is the limit")
    try:
        fields = msgpack.unpackb(payload, use_list=False, ext_hook=_unpack_old_big_int, strict_map_key=True)
    except MalformedMessage:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"no msgpack: {type(error).__name__}: {error}") from None
    if not isinstance(fields, dict):
        raise MalformedMessage(f"a msgpack {type(fields).__name__} where a map belongs")
    return fields


def _text(name: str, value: int) -> str:
    width = TEXT_FIELDS[name]
    if not width.holds(value):
        raise OutOfRange(f"{name} = {value} does not fit into {width.format}")
    return str(value)


def _is_beyond_64_bits(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def _unpack_old_big_int(code: int, data: bytes) -> int:
    if code != _OLD_BIG_INT or not 1 <= len(data) <= 33:
        raise MalformedMessage(f"msgpack extension type {code} of {len(data)} bytes")
    return int.from_bytes(data, "big", signed=True)
