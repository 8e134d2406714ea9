"""msgpack on the wire: encode an event, decode a message, refuse what cannot be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgpack
from pydantic import ValidationError

from drift_schemas.event_base import SCHEMA_VERSION
from drift_schemas.events import EVENT_TYPES, Event, MarketDataEvent, StatusEvent
from drift_schemas.subjects import Kind

__all__ = [
    "CONTENT_TYPE",
    "MAX_MESSAGE_BYTES",
    "SCHEMA_HEADER",
    "MalformedMessage",
    "MessageError",
    "MessageTooLarge",
    "UnknownSchema",
    "decode_event",
    "decode_status",
    "encode",
    "encode_fields",
    "schema_of",
    "unpack",
]

MAX_MESSAGE_BYTES: Final = 64 * 1024
CONTENT_TYPE: Final = "application/msgpack"
SCHEMA_HEADER: Final = "Drift-Schema"

_BIG_INT: Final = 1
_E = TypeVar("_E", bound=Event)


class MessageError(ValueError):
    """A message that a reader refuses. Subclasses: MessageTooLarge, MalformedMessage, UnknownSchema."""


class MessageTooLarge(MessageError):
    """The payload is over ``MAX_MESSAGE_BYTES``; it was not unpacked."""


class MalformedMessage(MessageError):
    """The payload is no msgpack map, or its fields have wrong types."""


class UnknownSchema(MessageError):
    """The message has a major version that this reader does not know: skip it and count it."""


def schema_of(kind: Kind | str) -> str:
    """The ``Drift-Schema`` header of a kind: ``funding/1``."""
    return f"{kind}/{SCHEMA_VERSION}"


def encode(event: Event) -> bytes:
    """Packs an event into a msgpack map; integers beyond 64 bits travel as extension type 1.

    Raises:
        MessageTooLarge: the packed event is over ``MAX_MESSAGE_BYTES``.
    """
    return encode_fields(event.__dict__)


def encode_fields(fields: Mapping[str, Any]) -> bytes:
    """Packs the fields of an event of which no model was made, as :func:`encode` packs the event.

    For a writer whose fields are right by construction: names, order and types are not checked.
    """
    payload: bytes = msgpack.packb(fields, default=_pack_big_int)
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


def unpack(payload: bytes) -> dict[str, Any]:
    """Unpacks a map without looking at its fields.

    Raises:
        MessageTooLarge, MalformedMessage: it is none, or too large to try.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"message of {len(payload)} bytes, {MAX_MESSAGE_BYTES} is the limit")
    try:
        fields = msgpack.unpackb(payload, use_list=False, ext_hook=_unpack_big_int, strict_map_key=True)
    except MalformedMessage:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"no msgpack: {type(error).__name__}: {error}") from None
    if not isinstance(fields, dict):
        raise MalformedMessage(f"a msgpack {type(fields).__name__} where a map belongs")
    return fields


def _pack_big_int(value: object) -> msgpack.ExtType:
    if not isinstance(value, int):
        raise TypeError(f"cannot pack a {type(value).__name__}")
    return msgpack.ExtType(_BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _unpack_big_int(code: int, data: bytes) -> int:
    if code != _BIG_INT or not 1 <= len(data) <= 33:
        raise MalformedMessage(f"msgpack extension type {code} of {len(data)} bytes")
    return int.from_bytes(data, "big", signed=True)
