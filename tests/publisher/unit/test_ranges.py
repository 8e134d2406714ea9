"""Whatever an account holds, what is published of it fits the fields that the schemas declare."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.layout import Layout
from drift_publisher.profile import AnyProfile
from drift_publisher.profiles import PROFILES
from drift_publisher.projection import (
    Content,
    funding_content,
    market_content,
    perp_price_content,
    quote,
    spot_content,
    spot_price_content,
)
from drift_schemas import EVENT_TYPES, Kind, OutOfRange, encode_fields
from drift_schemas.codec import TEXT_FIELDS
from drift_schemas.widths import UINT64

from .accounts import NOW
from .events import ORIGIN

SLOT = 300_000_000
_BITS = {"u8": 8, "i8": 8, "u16": 16, "i16": 16, "u32": 32, "i32": 32, "u64": 64, "i64": 64, "u128": 128, "i128": 128}
_PACK = {8: "<B", 16: "<H", 32: "<I", 64: "<Q"}


def extreme(layout: Layout[Any], data: st.DataObject) -> Any:
    """An account whose numbers are anything, the ends of their types above all."""
    raw = bytearray(layout.size)
    raw[: len(layout.discriminator)] = layout.discriminator
    for field in layout.fields.values():
        if bits := _BITS.get(field.type):
            ends = st.sampled_from([0, 1, 2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1])
            value = data.draw(ends | st.integers(0, 2**bits - 1))
            packed = value.to_bytes(16, "little") if bits == 128 else struct.pack(_PACK[bits], value)
            raw[field.offset : field.offset + len(packed)] = packed
    return layout.read(bytes(raw))


def contents(profile: AnyProfile, data: st.DataObject) -> Iterator[tuple[Kind, Content]]:
    """What is projected of such accounts; arithmetic that fails, as it would in the program, gives nothing."""
    price = st.sampled_from([0, 1, -(2**63), 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
    confidence = st.integers(UINT64.low, UINT64.high)
    oracle = OraclePrice(data.draw(price), data.draw(confidence), data.draw(confidence))
    state, rules = extreme(profile.state, data), profile.rules
    perp, spot = extreme(profile.perp_market, data), extreme(profile.spot_market, data)
    quoted = None
    with contextlib.suppress(ArithmeticError, ValueError):
        quoted = quote(perp, oracle, rules, NOW)
    for kind, project in (
        ("price", lambda: perp_price_content(perp, oracle, quoted, state, SLOT, rules)),
        ("funding", lambda: funding_content(perp, oracle, quoted, state, rules, NOW)),
        ("market", lambda: market_content(perp)),
        ("price", lambda: spot_price_content(spot, oracle, state, SLOT, rules)),
        ("spot", lambda: spot_content(spot, rules)),
    ):
        try:
            yield kind, project()  # type: ignore[misc]
        except (ArithmeticError, ValueError):
            continue


@pytest.mark.parametrize("program", sorted(PROFILES))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_accounts_give_integers_that_fit_their_fields(program: str, data: st.DataObject) -> None:
    for kind, content in contents(PROFILES[program], data):
        fields = {**ORIGIN, "program": program, **content}
        widths = EVENT_TYPES[kind].widths()
        narrow = {name for name in widths.keys() - TEXT_FIELDS.keys() if fields[name] is not None}
        assert {name: fields[name] for name in narrow if not widths[name].holds(fields[name])} == {}
        try:
            encode_fields(fields)
        except OutOfRange as refused:  # the negated side of open interest: 2**127 is one too many
            assert "open_interest_short" in str(refused)
