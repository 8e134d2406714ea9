"""The codec: what goes in comes out, and nothing that comes in can hurt."""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_schemas import (
    EVENT_TYPES,
    KINDS,
    MAX_MESSAGE_BYTES,
    SCHEMA_HEADER,
    Event,
    MalformedMessage,
    MessageError,
    MessageTooLarge,
    OutOfRange,
    UnknownSchema,
    decode_event,
    decode_fields,
    decode_status,
    encode,
    schema_of,
)
from drift_schemas.codec import TEXT_FIELDS
from drift_schemas.widths import INT128
from tests.schemas.strategies import MODELS, events, integers
from tests.support.bus_writer import price_event, sample, status_event

ALL = tuple(MODELS)


def decode(kind: str, payload: bytes, headers: dict[str, str] | None = None) -> Event:
    if kind == "status":
        return decode_status(payload, headers)
    assert kind in KINDS
    return decode_event(kind, payload, headers)


def example(kind: str) -> Event:
    return status_event() if kind == "status" else sample(kind, "SOL-PERP")  # type: ignore[arg-type]


def packed(kind: str, **changed: Any) -> bytes:
    payload: bytes = msgpack.packb({**msgpack.unpackb(encode(example(kind))), **changed})
    return payload


@pytest.mark.parametrize("kind", ALL)
@given(data=st.data())
def test_every_event_survives_the_wire(kind: str, data: st.DataObject) -> None:
    event = data.draw(events(kind))
    assert decode(kind, encode(event), {SCHEMA_HEADER: schema_of(kind)}) == event


@given(kind=st.sampled_from(ALL), data=st.data())
def test_the_form_of_a_field_never_depends_on_its_value(kind: str, data: st.DataObject) -> None:
    event = data.draw(events(kind))
    raw = msgpack.unpackb(encode(event))  # without a hook: an extension type would show
    for name, width in MODELS[kind].widths().items():
        value = getattr(event, name)
        assert raw[name] == (str(value) if width.is_text and value is not None else value)
    assert {type(value) for value in raw.values()} <= {int, str, bool, list, dict, type(None)}


@given(integers(INT128))
def test_integers_of_128_bits_are_text_on_the_wire_and_integers_in_an_event(value: int) -> None:
    payload = encode(sample("funding", "SOL-PERP", cumulative_funding_rate_long=value))
    assert msgpack.unpackb(payload)["cumulative_funding_rate_long"] == str(value)
    decoded = decode("funding", payload)
    assert type(decoded.cumulative_funding_rate_long) is int  # type: ignore[attr-defined]
    assert decoded.cumulative_funding_rate_long == value  # type: ignore[attr-defined]
    assert decode_fields(payload)["cumulative_funding_rate_long"] == value


def old_form(value: int) -> object:
    """As versions before the decimal strings stored it: an integer, beyond 64 bits in extension 1."""
    if -(2**63) <= value < 2**64:
        return value
    return msgpack.ExtType(1, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


@given(integers(INT128) | st.integers(-(2**255), 2**255 - 1))
def test_history_of_earlier_versions_is_read_as_it_was_written(value: int) -> None:
    for kind, name in (("funding", "cumulative_funding_rate_long"), ("price", "mark_twap")):
        payload = packed(kind, **{name: old_form(value)})
        assert getattr(decode(kind, payload), name) == value
        assert decode_fields(payload)[name] == value


@pytest.mark.parametrize(
    "text", ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "1e3", "0x1", "1_000", "١", "\n1", "1\n", "9" * 40, "NaN"]
)
def test_only_the_canonical_text_is_an_integer(text: str) -> None:
    payload = packed("funding", cumulative_funding_rate_long=text)
    with pytest.raises(MalformedMessage, match="cumulative_funding_rate_long"):
        decode("funding", payload)
    with pytest.raises(MalformedMessage, match="cumulative_funding_rate_long"):
        decode_fields(payload)


@pytest.mark.parametrize("name", sorted(TEXT_FIELDS))
def test_what_does_not_fit_its_128_bits_is_not_written(name: str) -> None:
    kind, width = next(kind for kind in KINDS if name in EVENT_TYPES[kind].widths()), TEXT_FIELDS[name]
    for value in (width.low - 1, width.high + 1):
        with pytest.raises(OutOfRange, match=f"{name} = {value} does not fit into {width.format}"):
            encode(sample(kind, "SOL", **{name: value}))
    for value in (width.low, width.high):
        assert getattr(decode(kind, encode(sample(kind, "SOL", **{name: value}))), name) == value


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**40])
def test_what_does_not_fit_into_64_bits_is_not_written(value: int) -> None:
    with pytest.raises(OutOfRange, match=f"mark_twap = {value} does not fit into 64 bits"):
        encode(price_event("SOL-PERP", 1, mark_twap=value))


def test_a_name_has_one_width_in_every_kind() -> None:
    widths = [(name, width) for model in MODELS.values() for name, width in model.widths().items()]
    assert len(set(widths)) == len(dict(widths))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=4),
    max_leaves=12,
)


@given(kind=st.sampled_from(ALL), payload=st.binary(max_size=400))
def test_garbage_is_a_message_error_and_nothing_else(kind: str, payload: bytes) -> None:
    with pytest.raises(MessageError):
        decode(kind, payload)


@given(kind=st.sampled_from(ALL), value=_VALUES)
def test_any_other_msgpack_is_a_message_error(kind: str, value: object) -> None:
    with pytest.raises(MessageError):
        decode(kind, msgpack.packb(value))


@given(kind=st.sampled_from(ALL), data=st.data())
def test_one_flipped_byte_is_an_event_or_a_message_error(kind: str, data: st.DataObject) -> None:
    payload = bytearray(encode(example(kind)))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(kind, bytes(payload))
    except MessageError:
        return


@given(kind=st.sampled_from(ALL), cut=st.integers(0, 10_000))
def test_half_a_message_is_a_message_error(kind: str, cut: int) -> None:
    payload = encode(example(kind))
    with pytest.raises(MessageError):
        decode(kind, payload[: cut % len(payload)])


@given(value=_VALUES)
def test_any_wrong_field_is_a_message_error_or_the_right_type(value: object) -> None:
    try:
        event = decode("price", packed("price", oracle_price=value))
    except MessageError:
        return
    price = event.oracle_price  # type: ignore[attr-defined]
    assert price is None or type(price) is int


@pytest.mark.parametrize("value", [1.0, 1.5, math.nan, math.inf, True, "1", b"1", [1], {"a": 1}])
def test_only_an_integer_is_an_integer(value: object) -> None:
    with pytest.raises(MalformedMessage, match="oracle_twap"):
        decode("price", packed("price", oracle_twap=value))


@pytest.mark.parametrize("kind", ALL)
def test_an_unknown_field_of_a_later_minor_version_is_ignored(kind: str) -> None:
    payload = packed(kind, something_new={"deep": [1, 2]})
    assert type(decode(kind, payload)) is MODELS[kind]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("header", ["{}/2", "{}/10", "{}/2.1", "{}/0"])
def test_an_unknown_major_version_is_skipped_by_its_header(kind: str, header: str) -> None:
    with pytest.raises(UnknownSchema):
        decode(kind, b"\xc1 whatever it is", {SCHEMA_HEADER: header.format(kind)})


@pytest.mark.parametrize("kind", ALL)
def test_an_unknown_major_version_is_skipped_by_its_field(kind: str) -> None:
    with pytest.raises(UnknownSchema):
        decode(kind, packed(kind, schema_version=2))


@pytest.mark.parametrize("kind", ALL)
def test_a_minor_version_in_the_header_is_fine(kind: str) -> None:
    assert decode(kind, packed(kind), {SCHEMA_HEADER: f"{kind}/1.7"}) is not None


def test_a_header_of_another_kind_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="funding/1"):
        decode("price", packed("price"), {SCHEMA_HEADER: "funding/1"})


def test_an_oversized_message_is_refused_before_it_is_unpacked() -> None:
    bomb = b"\x90" * (MAX_MESSAGE_BYTES + 1)
    with pytest.raises(MessageTooLarge):
        decode("price", bomb)
    with pytest.raises(MessageTooLarge):
        encode(price_event("SOL-PERP", oracle_source="x" * MAX_MESSAGE_BYTES))
    with pytest.raises(MalformedMessage):
        decode("price", bomb[:MAX_MESSAGE_BYTES])


@pytest.mark.parametrize(
    "value",
    [
        msgpack.Timestamp(1, 2),
        msgpack.ExtType(1, b""),
        msgpack.ExtType(1, b"\x01" * 34),
        msgpack.ExtType(2, b"\x01"),
    ],
)
def test_other_extension_types_are_refused(value: object) -> None:
    with pytest.raises(MalformedMessage):
        decode("price", packed("price", oracle_twap=value))


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        decode("price", b"\x91" * 20_000)


def test_what_is_no_integer_cannot_be_packed() -> None:
    event = price_event().model_copy(update={"oracle_twap": datetime.date(2026, 1, 1)})
    with pytest.raises(TypeError):
        encode(event)
