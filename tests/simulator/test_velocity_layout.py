"""Velocity's layouts: packed from our declarations, they land where the program's own assertions say."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_simulator.layout import drift_idl, velocity_idl

from .test_layout import random_value

FACTS = Path(__file__).resolve().parents[3] / "shared" / "protocols" / "velocity-v1.json"
ACCOUNTS = ("State", "PerpMarket", "SpotMarket", "PythLazerOracle", "PrelaunchOracle")


@pytest.mark.parametrize(
    ("name", "size"),
    [("State", 1752), ("PerpMarket", 1560), ("SpotMarket", 1064), ("PythLazerOracle", 48), ("PrelaunchOracle", 120)],
)
def test_sizes_are_those_on_chain(name: str, size: int) -> None:
    assert velocity_idl().account(name).size == size


@pytest.mark.parametrize(
    ("account", "field", "offset"),
    [
        ("PerpMarket", "pubkey", 8),
        ("PerpMarket", "oracle", 312),
        ("PerpMarket", "name", 424),
        ("PerpMarket", "order_step_size", 544),
        ("PerpMarket", "market_index", 640),
        ("PerpMarket", "market_stats.last_mark_price_twap", 680),
        ("PerpMarket", "market_stats.mm_oracle_price", 800),
        ("PerpMarket", "market_stats.mm_oracle_slot", 808),
        ("PerpMarket", "market_stats.mm_oracle_sequence_id", 816),
        ("PerpMarket", "amm.base_asset_reserve", 936),
        ("PerpMarket", "amm.amm_spread_adjustment", 1282),
        ("PerpMarket", "tail_reserved", 1304),
        ("SpotMarket", "cumulative_deposit_interest", 328),
        ("SpotMarket", "market_index", 700),
        ("SpotMarket", "withdraw_circuit_breaker_bps", 748),
        ("SpotMarket", "deposit_guard_threshold", 752),
        ("SpotMarket", "protocol_fee_pool.scaled_balance", 760),
        ("SpotMarket", "protocol_liquidation_fee", 792),
        ("SpotMarket", "if_last_settle_vault_amount", 800),
        ("SpotMarket", "tail_reserved", 808),
        ("State", "hot_mm_oracle_crank", 360),
        ("State", "hot_amm_spread_adjust", 392),
        ("State", "feature_bit_flags", 1374),
        ("State", "slot_duration_ms", 1506),
        ("State", "slot_duration_effective_slot", 1512),
        ("State", "slot_duration_transition_slots.0", 1520),
        ("State", "hot_vamm_quote_management", 1552),
        ("State", "hot_flow_authority", 1584),
        ("State", "transaction_fee_rails.inclusion_lamports", 1616),
        ("PythLazerOracle", "price", 8),
        ("PythLazerOracle", "publish_time", 16),
        ("PythLazerOracle", "exponent", 32),
    ],
)
def test_fields_land_where_the_programs_assertions_say(account: str, field: str, offset: int) -> None:
    assert velocity_idl().account(account).fields[field].offset == offset


def test_a_type_of_the_same_name_has_drifts_discriminator() -> None:
    for name in ACCOUNTS:
        assert velocity_idl().account(name).discriminator == drift_idl().account(name).discriminator
    assert velocity_idl().account("PerpMarket").discriminator.hex() == "0adf0c2c6bf537f7"
    assert velocity_idl().event("FundingRateRecord").discriminator.hex() == "4403ff1a855b93fe"
    assert velocity_idl().event("FundingRateRecord").size == 8 + 122


def test_enums_count_as_the_program_does() -> None:
    idl = velocity_idl()
    assert idl.variants("MarketStatus") == {
        "Initialized": 0,
        "Active": 1,
        "ReduceOnly": 2,
        "Settlement": 3,
        "Delisted": 4,
    }
    assert idl.variants("OracleSource")["PythLazerStableCoin"] == 15
    assert idl.variants("ContractTier") == drift_idl().variants("ContractTier")
    assert list(idl.variants("OracleSource").values()) == list(drift_idl().variants("OracleSource").values())


def test_every_field_agrees_with_the_facts_page() -> None:
    if not FACTS.exists():
        pytest.skip("no facts page beside the checkout")
    facts = json.loads(FACTS.read_text())
    for name in ACCOUNTS:
        told, layout = facts["accounts"][name], velocity_idl().account(name)
        assert layout.discriminator.hex() == told["discriminator"]
        for path, kind, offset in [*told["fields"], *told.get("tail", [])]:
            field = layout.fields[path if path in layout.fields else f"{path}.0"]
            assert field.offset == offset, path
            assert (field.enum is not None) == kind.startswith("enum:"), path
            if kind[0] in "iu":
                assert (field.size * 8, field.signed) == (int(kind[1:]), kind[0] == "i"), path
    told = facts["events"]["FundingRateRecord"]["fields"]
    assert list(velocity_idl().event("FundingRateRecord").fields) == [path for path, _ in told]


@pytest.mark.parametrize("name", ACCOUNTS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_values_survive_the_way_through_bytes(name: str, seed: int) -> None:
    rng = random.Random(seed)
    layout = velocity_idl().account(name)
    record = layout.record()
    record.update({path: random_value(field, rng, velocity_idl()) for path, field in layout.fields.items()})
    assert layout.record(bytes(record)).values() == record.values()
