"""The layout walker against driftpy's decoder and against accounts from mainnet."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_simulator.layout import Field, Idl, Layout, LayoutError, Value, drift_idl, switchboard_idl
from drift_simulator.oracles import price_update_layout_idl

from .decoding import assert_decodes_alike, decode, decode_switchboard

REAL_ACCOUNTS = Path(__file__).resolve().parents[3] / "shared" / "accounts" / "drift-v2.json"
ACCOUNTS = ("State", "PerpMarket", "SpotMarket", "User", "UserStats", "PythLazerOracle", "PrelaunchOracle")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("State", 992),
        ("PerpMarket", 1216),
        ("SpotMarket", 776),
        ("User", 4376),
        ("UserStats", 240),
        ("PythLazerOracle", 48),
        ("PrelaunchOracle", 120),
    ],
)
def test_sizes_are_those_on_chain(name: str, size: int) -> None:
    assert drift_idl().account(name).size == size


def random_value(field: Field, rng: random.Random, idl: Idl) -> Value:
    """A value that the field can hold, often one at its edge."""
    if field.is_bytes:
        return rng.randbytes(field.size)
    if field.enum is not None:
        return rng.randrange(len(idl.variants(field.enum)))
    if field.is_bool:
        return rng.randrange(2)
    bits = field.size * 8
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if field.signed else (0, 2**bits - 1)
    return rng.choice((low, high, 0, rng.randint(low, high)))


@pytest.mark.parametrize("name", ACCOUNTS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_values_survive_the_way_through_bytes_and_driftpy(name: str, seed: int) -> None:
    rng = random.Random(seed)
    layout = drift_idl().account(name)
    record = layout.record()
    record.update({path: random_value(field, rng, drift_idl()) for path, field in layout.fields.items()})
    assert_decodes_alike(record, decode(bytes(record)))
    assert layout.record(bytes(record)).values() == record.values()


def test_switchboard_feed_survives_the_way_through_driftpy() -> None:
    record = switchboard_idl().account("PullFeedAccountData").record()
    record.update({"result.value": 226512645666151398640, "result.slot": 339847490, "submissions.31.value": -5})
    assert_decodes_alike(record, decode_switchboard(bytes(record)))


def _layout_of(kind: str) -> Layout | None:
    if kind == "PullFeedAccountData":
        return switchboard_idl().account(kind)
    if kind in ACCOUNTS:
        return drift_idl().account(kind)
    return None


def test_real_accounts_re_encode_to_the_same_bytes() -> None:
    if not REAL_ACCOUNTS.exists():
        pytest.skip("no real accounts beside the checkout")
    checked = 0
    for entry in json.loads(REAL_ACCOUNTS.read_text())["accounts"]:
        data = base64.b64decode(entry["data"])
        layout = _layout_of(entry["account"])
        if layout is None:
            continue
        record = layout.record(data)
        rebuilt = layout.record(layout.discriminator + bytes(len(data) - 8))
        rebuilt.update(record.values())
        rebuilt.buffer[layout.size :] = data[layout.size :]
        assert bytes(rebuilt) == data, entry["id"]
        checked += 1
    assert checked >= 14


def test_real_pull_oracles_with_full_verification_re_encode() -> None:
    if not REAL_ACCOUNTS.exists():
        pytest.skip("no real accounts beside the checkout")
    layout = price_update_layout_idl().account("PriceUpdateV2")
    checked = 0
    for entry in json.loads(REAL_ACCOUNTS.read_text())["accounts"]:
        data = base64.b64decode(entry["data"])
        # Partial verification is one byte longer; the simulator posts fully verified prices.
        if entry["account"] != "PriceUpdateV2" or data[40] != 1:
            continue
        record, rebuilt = layout.record(data), layout.record()
        rebuilt.update(record.values())
        assert bytes(rebuilt) == data
        checked += 1
    assert checked >= 1


def test_trailing_bytes_are_kept() -> None:
    layout = drift_idl().account("PythLazerOracle")
    record = layout.record(layout.discriminator + bytes(layout.size - 8) + b"tail")
    record["price"] = 7
    assert bytes(record).endswith(b"tail")


def test_what_does_not_fit_is_refused() -> None:
    layout = drift_idl().account("PythLazerOracle")
    record = layout.record()
    with pytest.raises(LayoutError, match="price cannot hold"):
        record["price"] = 2**63
    with pytest.raises(LayoutError, match="needs 4 bytes"):
        record["padding"] = b"12345"
    with pytest.raises(LayoutError, match="needs a number"):
        record["price"] = b"12345678"
    with pytest.raises(LayoutError, match="holds bytes"):
        record["padding"]
    with pytest.raises(LayoutError, match="holds a number"):
        record.raw("price")
    with pytest.raises(LayoutError, match="not an account of this type"):
        layout.record(bytes(layout.size))
    with pytest.raises(LayoutError, match="not an account of this type"):
        layout.record(layout.discriminator)


def test_types_without_a_fixed_size_are_refused() -> None:
    def idl_of(kind: object) -> Idl:
        fields = [{"name": "someThing", "type": kind}]
        return Idl({"accounts": [{"name": "A", "type": {"kind": "struct", "fields": fields}}]})

    for kind in ({"vec": "u8"}, {"option": "u8"}, "string"):
        with pytest.raises(LayoutError, match=r"some_thing: .* has no fixed size"):
            idl_of(kind).account("A")
    with pytest.raises(LayoutError, match="no account:B"):
        idl_of("u8").account("B")
    with pytest.raises(LayoutError, match="no enum"):
        drift_idl().variants("AMM")
