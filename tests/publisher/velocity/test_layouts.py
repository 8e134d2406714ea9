"""Our decoder, by offset, reads what the simulator's encoder, in the order of the program's types, has written."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.errors import AccountRefused
from drift_publisher.profiles.velocity_v1.layouts import PERP_MARKET, SPOT_MARKET
from drift_simulator.layout import velocity_idl

from .accounts import LAYOUTS, PATHS, account_bytes, expected

KINDS = tuple(LAYOUTS)
ENUMS = [(kind, name) for kind in KINDS for name, spec in LAYOUTS[kind].fields.items() if spec.type == "enum"]
SIZES_AT_LAUNCH = {"PerpMarket": 1304, "SpotMarket": 808}
SIZES_NOW = {"PerpMarket": 1560, "SpotMarket": 1064, "State": 1752}


def random_account(kind: str, seed: int) -> bytes:
    return LAYOUTS[kind].discriminator + random.Random(seed).randbytes(SIZES_NOW[kind] - 8)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_any_bytes_read_as_the_encoder_reads_them(kind: str, seed: int) -> None:
    data = random_account(kind, seed)
    assert LAYOUTS[kind].read(data)._asdict() == expected(kind, velocity_idl().account(kind).record(data))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_value_that_is_written_is_read(kind: str, data: Any) -> None:
    """Field by field, at the limits of its type: what stands beside it stays as it was."""
    idl = velocity_idl().account(kind)
    name = data.draw(st.sampled_from(sorted(PATHS[kind])))
    field = idl.fields[PATHS[kind][name]]
    before = random_account(kind, data.draw(st.integers(0, 2**32)))
    record = idl.record(before)
    if field.is_bytes:
        record[PATHS[kind][name]] = data.draw(st.binary(min_size=field.size, max_size=field.size))
    else:
        bits = 8 * field.size
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if field.signed else (0, 2**bits - 1)
        record[PATHS[kind][name]] = data.draw(st.sampled_from([low, high, 0, 1]) | st.integers(low, high))
    read = LAYOUTS[kind].read(bytes(record))
    assert getattr(read, name) == expected(kind, record)[name]
    others = {other: value for other, value in read._asdict().items() if other != name}
    assert others.items() <= LAYOUTS[kind].read(before)._asdict().items()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_record_is_in_its_layout_and_in_the_programs_types(kind: str) -> None:
    layout, idl = LAYOUTS[kind], velocity_idl().account(kind)
    assert set(layout.record._fields) == set(layout.fields) == set(PATHS[kind])
    for name, path in PATHS[kind].items():
        assert layout.fields[name].offset == idl.fields[path].offset, name
    assert layout.discriminator == idl.discriminator


@pytest.mark.parametrize(("kind", "name"), ENUMS)
def test_every_number_of_an_enum_has_the_programs_name_and_others_are_unknown(kind: str, name: str) -> None:
    enum = velocity_idl().account(kind).fields[PATHS[kind][name]].enum
    assert enum is not None
    variants = tuple(velocity_idl().variants(enum))
    assert LAYOUTS[kind].fields[name].variants == variants
    data = bytearray(account_bytes(kind))
    for number, read in [*enumerate(variants), (len(variants), f"Unknown({len(variants)})"), (255, "Unknown(255)")]:
        data[LAYOUTS[kind].fields[name].offset] = number
        assert getattr(LAYOUTS[kind].read(bytes(data)), name) == read


@pytest.mark.parametrize(("kind", "size"), SIZES_AT_LAUNCH.items())
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64), tail=st.binary(min_size=1, max_size=700))
def test_markets_of_launch_size_and_longer_ones_read_the_same(kind: str, size: int, seed: int, tail: bytes) -> None:
    data = random_account(kind, seed)[:size]
    assert LAYOUTS[kind].size == size
    assert LAYOUTS[kind].read(data + tail) == LAYOUTS[kind].read(data)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_shorter_account_is_refused(kind: str, data: Any) -> None:
    layout = LAYOUTS[kind]
    length = data.draw(st.integers(8, layout.size - 1))
    with pytest.raises(AccountRefused, match=f"{kind} of {length} bytes, the layout needs {layout.size}") as refused:
        layout.read(account_bytes(kind)[:length])
    assert refused.value.reason == "size"


@pytest.mark.parametrize("kind", KINDS)
def test_another_discriminator_is_refused(kind: str) -> None:
    other = next(name for name in KINDS if name != kind)
    for data in (account_bytes(other), bytes(2000), account_bytes(kind)[1:], b""):
        with pytest.raises(AccountRefused, match=f"no {kind}: it begins with") as refused:
            LAYOUTS[kind].read(data)
        assert refused.value.reason == "discriminator"


def test_names_are_padded_with_spaces() -> None:
    assert PERP_MARKET.read(account_bytes("PerpMarket", name=b"HYPE-PERP".ljust(32))).name == "HYPE-PERP"
    assert SPOT_MARKET.read(account_bytes("SpotMarket", name=b"wBTC".ljust(32))).name == "wBTC"
