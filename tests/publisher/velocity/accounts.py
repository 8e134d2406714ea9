"""Velocity accounts for tests: bytes by the simulator's encoder, which declares the program's types by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solders.pubkey import Pubkey

from drift_publisher.accounts import OraclePrice
from drift_publisher.layout import Layout
from drift_publisher.profiles.velocity_v1.layouts import PERP_MARKET, SPOT_MARKET, STATE
from drift_publisher.profiles.velocity_v1.records import PerpMarket, SpotMarket, State
from drift_simulator.layout import Record, Value, velocity_idl

__all__ = [
    "HOUR",
    "LAYOUTS",
    "NOW",
    "PATHS",
    "SLOT",
    "account_bytes",
    "expected",
    "perp",
    "pubkey",
    "reading",
    "spot",
    "state",
]

HOUR = 3600
NOW = 1_784_563_200 + 1800
"""Half past an hour, in Unix seconds."""
SLOT = 446_228_253

LAYOUTS: dict[str, Layout[Any]] = {"PerpMarket": PERP_MARKET, "SpotMarket": SPOT_MARKET, "State": STATE}

_ORACLE_DATA = {
    name: f"historical_oracle_data.{name}"
    for name in (
        "last_oracle_price", "last_oracle_conf", "last_oracle_price_twap", "last_oracle_price_twap_5min",
        "last_oracle_price_twap_ts",
    )
}  # fmt: skip
_STATS = (
    "mm_oracle_price", "mm_oracle_slot", "mm_oracle_sequence_id", "last_24h_avg_funding_rate", "last_mark_price_twap",
    "last_mark_price_twap_5min", "last_mark_price_twap_ts", "last_bid_price_twap", "last_ask_price_twap",
    "last_funding_oracle_twap", "funding_period", "min_order_size", "volume_24h",
)  # fmt: skip
_AMM = (
    "base_asset_amount_with_amm", "total_fee_minus_distributions", "base_asset_reserve", "quote_asset_reserve",
    "peg_multiplier", "base_spread", "long_spread", "short_spread", "reference_price_offset", "last_spread_update_slot",
)  # fmt: skip
_VALIDITY = (
    "slots_before_stale_for_amm", "slots_before_stale_for_margin", "confidence_interval_max_size", "too_volatile_ratio",
)  # fmt: skip
_DIVERGENCE = ("mark_oracle_percent_divergence", "oracle_twap_5min_percent_divergence")

PATHS: Mapping[str, Mapping[str, str]] = {
    "PerpMarket": {
        **{name: name for name in PerpMarket._fields},
        **{name: f"market_stats.{path}" for name, path in _ORACLE_DATA.items()},
        **{name: f"market_stats.{name}" for name in _STATS},
        **{name: f"amm.{name}" for name in _AMM},
    },
    "SpotMarket": {
        **{name: _ORACLE_DATA.get(name, name) for name in SpotMarket._fields},
        "insurance_fund_fee_factor": "insurance_fund.if_fee_factor",
    },
    "State": {
        **{name: name for name in State._fields},
        **{name: f"oracle_guard_rails.validity.{name}" for name in _VALIDITY},
        **{name: f"oracle_guard_rails.price_divergence.{name}" for name in _DIVERGENCE},
        **{f"first_{ms}ms_slot": f"slot_duration_transition_slots.{at}" for at, ms in enumerate((350, 300, 250, 200))},
    },
}
"""Where the program's types have each field that we read."""


def expected(kind: str, record: Record) -> dict[str, Any]:
    """The simulator's reading of an account, as our record's fields should have it."""
    return {ours: _plain(record, path) for ours, path in PATHS[kind].items()}


def _plain(record: Record, path: str) -> Any:
    field = record.layout.fields[path]
    if field.is_bytes:
        raw = record.raw(path)
        return raw.decode("utf-8", errors="replace").rstrip(" \0") if path == "name" else str(Pubkey.from_bytes(raw))
    if field.enum is None:
        return record[path]
    names = {number: name for name, number in velocity_idl().variants(field.enum).items()}
    return names.get(record[path], f"Unknown({record[path]})")


def account_bytes(kind: str, **fields: Value | str) -> bytes:
    """An account's bytes with these fields (our names) set; addresses and enums as text."""
    record = velocity_idl().account(kind).record()
    for name, value in fields.items():
        path = PATHS[kind][name]
        if not isinstance(value, str):
            record[path] = value
        elif (enum := record.layout.fields[path].enum) is not None:
            record[path] = velocity_idl().variants(enum)[value]
        else:
            record[path] = value.encode().ljust(32) if name == "name" else bytes(Pubkey.from_string(value))
    return bytes(record)


def pubkey(number: int) -> str:
    """Some address, another one for each number."""
    return str(Pubkey.from_bytes(bytes([number]) * 32))


def perp(**fields: Value | str) -> PerpMarket:
    """An ordinary perp market of tier B at 100, read from bytes, changed by ``fields``."""
    ordinary: dict[str, Value | str] = {
        "name": "SOL-PERP",
        "status": "Active",
        "contract_tier": "B",
        "oracle": pubkey(7),
        "oracle_source": "PythLazer",
        "oracle_slot_delay_override": -1,
        "last_oracle_price": 100_000_000,
        "last_oracle_price_twap": 100_000_000,
        "last_oracle_price_twap_5min": 100_000_000,
        "last_oracle_price_twap_ts": NOW,
        "last_mark_price_twap": 100_000_000,
        "last_mark_price_twap_5min": 100_000_000,
        "last_mark_price_twap_ts": NOW,
        "last_bid_price_twap": 100_000_000,
        "last_ask_price_twap": 100_000_000,
        "base_asset_reserve": 10**15,
        "quote_asset_reserve": 10**15,
        "peg_multiplier": 100_000_000,
        "base_spread": 200,
        "funding_period": HOUR,
        "funding_clamp_threshold": 5,
        "funding_ramp_slope": 10**6,
        "last_funding_rate_ts": NOW - 1800,
        "order_tick_size": 100,
    }
    return PERP_MARKET.read(account_bytes("PerpMarket", **{**ordinary, **fields}))


def spot(**fields: Value | str) -> SpotMarket:
    """An ordinary spot market, read from bytes, changed by ``fields``."""
    ordinary: dict[str, Value | str] = {
        "market_index": 1,
        "name": "SOL",
        "status": "Active",
        "oracle": pubkey(7),
        "oracle_source": "PythLazer",
        "last_oracle_price_twap": 100_000_000,
        "decimals": 9,
        "deposit_balance": 10**15,
        "borrow_balance": 5 * 10**14,
        "cumulative_deposit_interest": 10**10,
        "cumulative_borrow_interest": 10**10,
        "optimal_utilization": 700_000,
        "optimal_borrow_rate": 100_000,
        "max_borrow_rate": 1_000_000,
    }
    return SPOT_MARKET.read(account_bytes("SpotMarket", **{**ordinary, **fields}))


def state(**fields: int) -> State:
    """A State with the default guard rails and slots of 400 ms, read from bytes, changed by ``fields``."""
    ordinary = {
        "number_of_markets": 5,
        "number_of_spot_markets": 5,
        "slots_before_stale_for_amm": 10,
        "slots_before_stale_for_margin": 120,
        "confidence_interval_max_size": 20_000,
        "too_volatile_ratio": 5,
    }
    return STATE.read(account_bytes("State", **{**ordinary, **fields}))


def reading(
    price: int = 100_000_000, confidence: int = 10_000, age: int = 0, *, sequence_id: int = 0, sufficient: bool = True
) -> OraclePrice:
    """An oracle reading that was posted ``age`` slots before ``SLOT``."""
    return OraclePrice(price, confidence, SLOT - age, sufficient, sequence_id)
