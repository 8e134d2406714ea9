"""Our decoder reads what driftpy reads, from any bytes of the right discriminator and size."""

from __future__ import annotations

import random
from typing import Any

import pytest
from driftpy.addresses import get_perp_market_public_key, get_spot_market_public_key, get_state_public_key
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from drift_publisher.errors import AccountRefused
from drift_publisher.layout import enum_name
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_simulator.layout import drift_idl

from .accounts import LAYOUTS, PATHS, account_bytes, decode, expected, real_accounts

KINDS = tuple(LAYOUTS)
MARKETS = ("PerpMarket", "SpotMarket")
ENUMS = [(kind, name) for kind in KINDS for name, spec in LAYOUTS[kind].fields.items() if spec.type == "enum"]


def _enums(kind: str) -> dict[int, int]:
    """Byte offset of every enum of an account, those that we don't read included, and its number of variants."""
    idl = drift_idl()
    return {f.offset: len(idl.variants(f.enum)) for f in idl.account(kind).fields.values() if f.enum is not None}


def _random_account(kind: str, seed: int) -> bytes:
    """Random bytes that driftpy can decode: its enums crash on a number that they don't know."""
    rng = random.Random(seed)
    size = drift_idl().account(kind).size
    data = bytearray(LAYOUTS[kind].discriminator + rng.randbytes(size - 8))
    for offset, count in _enums(kind).items():
        data[offset] = rng.randrange(count)
    for field in drift_idl().account(kind).fields.values():
        if field.is_bool:
            data[field.offset] = rng.randrange(2)
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_any_bytes_read_as_driftpy_reads_them(kind: str, seed: int) -> None:
    data = _random_account(kind, seed)
    assert LAYOUTS[kind].read(data)._asdict() == expected(kind, decode(data))


@pytest.mark.parametrize("kind", MARKETS)
def test_real_accounts_read_as_driftpy_reads_them(kind: str) -> None:
    for account_id, data in real_accounts(kind).items():
        assert LAYOUTS[kind].read(data)._asdict() == expected(kind, decode(data)), account_id


def test_real_markets_stand_at_their_derived_addresses() -> None:
    for data in real_accounts("PerpMarket").values():
        market = DRIFT_V2.perp_market.read(data)
        assert DRIFT_V2.perp_market_address(market.market_index) == market.pubkey, market.name
    for data in real_accounts("SpotMarket").values():
        spot = DRIFT_V2.spot_market.read(data)
        assert DRIFT_V2.spot_market_address(spot.market_index) == spot.pubkey, spot.name


def test_addresses_are_those_that_driftpy_derives() -> None:
    program = Pubkey.from_string(DRIFT_V2.program_id)
    assert DRIFT_V2.state_address == str(get_state_public_key(program))
    for index in (0, 1, 75, 255, 256, 65_535):
        assert DRIFT_V2.perp_market_address(index) == str(get_perp_market_public_key(program, index))
        assert DRIFT_V2.spot_market_address(index) == str(get_spot_market_public_key(program, index))


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_record_is_in_its_layout_and_in_the_idl(kind: str) -> None:
    layout, idl = LAYOUTS[kind], drift_idl().account(kind)
    assert set(layout.record._fields) == set(layout.fields) == set(PATHS[kind])
    for name, path in PATHS[kind].items():
        assert layout.fields[name].offset == idl.fields[path].offset, name


@pytest.mark.parametrize(("kind", "name"), ENUMS)
def test_every_known_number_of_an_enum_has_the_programs_name(kind: str, name: str) -> None:
    enum = drift_idl().account(kind).fields[PATHS[kind][name]].enum
    assert enum is not None
    assert LAYOUTS[kind].fields[name].variants == tuple(drift_idl().variants(enum))


@pytest.mark.parametrize(("kind", "name"), ENUMS)
def test_an_unknown_number_is_named_as_unknown_where_driftpy_crashes(kind: str, name: str) -> None:
    data = bytearray(account_bytes(kind))
    offset = LAYOUTS[kind].fields[name].offset
    for number in (len(LAYOUTS[kind].fields[name].variants), 99, 255):
        data[offset] = number
        assert getattr(LAYOUTS[kind].read(bytes(data)), name) == f"Unknown({number})"
        with pytest.raises(Exception):  # noqa: B017 - whatever construct throws that day
            decode(bytes(data))


def test_enum_names_count_from_zero() -> None:
    assert [enum_name(("A", "B"), number) for number in range(3)] == ["A", "B", "Unknown(2)"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64), tail=st.binary(min_size=1, max_size=300))
def test_a_longer_account_reads_the_same(kind: str, seed: int, tail: bytes) -> None:
    data = _random_account(kind, seed)
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
    for data in (account_bytes(other), bytes(2000), account_bytes(kind)[:7], account_bytes(kind)[1:]):
        with pytest.raises(AccountRefused, match=f"no {kind}: it begins with {data[:8].hex()}") as refused:
            LAYOUTS[kind].read(data)
        assert refused.value.reason == "discriminator"


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_account_is_refused(kind: str) -> None:
    with pytest.raises(AccountRefused, match="begins with nothing") as refused:
        LAYOUTS[kind].read(b"")
    assert refused.value.reason == "discriminator"


@pytest.mark.parametrize(
    ("on_chain", "read"),
    [
        (b"SOL-PERP" + b" " * 24, "SOL-PERP"),
        (b"SOL-PERP" + bytes(24), "SOL-PERP"),
        (b"1MBONK-PERP \0 \0".ljust(32, b"\0"), "1MBONK-PERP"),
        (b"  two words".ljust(32), "  two words"),
        (bytes(32), ""),
        (b"\xff\xfe".ljust(32), "\N{REPLACEMENT CHARACTER}" * 2),
        (b"x" * 32, "x" * 32),
    ],
)
def test_names_are_trimmed_on_the_right_only_and_never_crash(on_chain: bytes, read: str) -> None:
    assert DRIFT_V2.perp_market.read(account_bytes("PerpMarket", name=on_chain)).name == read


@pytest.mark.parametrize("value", [0, 1, -1, 2**127 - 1, -(2**127), 2**64, -(2**64)])
def test_a_signed_128_bit_field_keeps_its_sign(value: int) -> None:
    data = account_bytes("PerpMarket", base_asset_amount_with_amm=value, cumulative_funding_rate_short=value)
    market = DRIFT_V2.perp_market.read(data)
    assert (market.base_asset_amount_with_amm, market.cumulative_funding_rate_short) == (value, value)
