"""Accounts for the tests of the pure rooms: bytes by the program's IDL, real accounts, driftpy's reading of both."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from driftpy.accounts.oracle import DRIFT_CODER
from solders.pubkey import Pubkey

from drift_publisher.layout import Layout
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.records import PerpMarket, SpotMarket, State
from drift_simulator.layout import Value, drift_idl

__all__ = [
    "LAYOUTS",
    "NOW",
    "PATHS",
    "account_bytes",
    "decode",
    "expected",
    "perp",
    "perp_bytes",
    "pubkey",
    "real_accounts",
    "spot",
    "spot_bytes",
    "state_bytes",
]

LAYOUTS: dict[str, Layout[Any]] = {
    "PerpMarket": DRIFT_V2.perp_market,
    "SpotMarket": DRIFT_V2.spot_market,
    "State": DRIFT_V2.state,
}
_REAL_ACCOUNTS = Path(__file__).resolve().parents[4] / "shared" / "accounts" / "drift-v2.json"

_ORACLE_TWAPS = {
    "last_oracle_price_twap": "last_oracle_price_twap",
    "last_oracle_price_twap_5min": "last_oracle_price_twap5min",
    "last_oracle_price_twap_ts": "last_oracle_price_twap_ts",
}
_ON_THE_MARKET = (
    "pubkey", "name", "market_index", "status", "contract_type", "contract_tier", "paused_operations",
    "number_of_users", "expiry_ts", "margin_ratio_initial", "margin_ratio_maintenance",
)  # fmt: skip
_RENAMED = {
    "last_mark_price_twap_5min": "amm.last_mark_price_twap5min",
    "last_24h_avg_funding_rate": "amm.last24h_avg_funding_rate",
    "volume_24h": "amm.volume24h",
    **{ours: f"amm.historical_oracle_data.{theirs}" for ours, theirs in _ORACLE_TWAPS.items()},
    **{name: name for name in _ON_THE_MARKET},
}

PATHS: Mapping[str, Mapping[str, str]] = {
    "PerpMarket": {name: _RENAMED.get(name, f"amm.{name}") for name in PerpMarket._fields},
    "SpotMarket": {
        **{name: name for name in SpotMarket._fields},
        **{ours: f"historical_oracle_data.{theirs}" for ours, theirs in _ORACLE_TWAPS.items()},
        "insurance_fund_total_factor": "insurance_fund.total_factor",
    },
    "State": {
        **{name: f"oracle_guard_rails.validity.{name}" for name in State._fields},
        **{name: name for name in ("number_of_markets", "number_of_spot_markets", "exchange_status")},
    },
}
"""Where driftpy, and the IDL, have each field that we read."""


def decode(data: bytes) -> Any:
    """Decodes a Drift account with driftpy."""
    return DRIFT_CODER.accounts.decode(data)


def expected(kind: str, decoded: Any) -> dict[str, Any]:
    """Driftpy's decode as our record's fields should read it."""
    return {ours: _plain(_leaf(decoded, path)) for ours, path in PATHS[kind].items()}


def _leaf(decoded: Any, path: str) -> Any:
    for part in path.split("."):
        decoded = getattr(decoded, part)
    return decoded


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value
    if type(value).__module__ == "sumtypes":
        return type(value).__name__
    if isinstance(value, list):
        return bytes(value).decode("utf-8", errors="replace").rstrip(" \0")
    return str(value)


def account_bytes(kind: str, **fields: Value | str) -> bytes:
    """An account's bytes by the program's IDL, with these fields (our names) set; addresses and enums as text."""
    record = drift_idl().account(kind).record()
    for name, value in fields.items():
        path = PATHS[kind][name]
        if isinstance(value, str):
            enum = record.layout.fields[path].enum
            if enum is not None:
                record[path] = drift_idl().variants(enum)[value]
                continue
            record[path] = value.encode().ljust(32) if name == "name" else _address_bytes(value)
        else:
            record[path] = value
    return bytes(record)


def _address_bytes(text: str) -> bytes:
    return bytes(Pubkey.from_string(text))


def pubkey(number: int) -> str:
    """Some address, another one for each number."""
    return str(Pubkey.from_bytes(bytes([number]) * 32))


def perp_bytes(index: int = 0, name: str = "SOL-PERP", **fields: Value | str) -> bytes:
    """A perp market's bytes: an ordinary market at its right address, changed by ``fields``."""
    ordinary: dict[str, Value | str] = {
        "pubkey": DRIFT_V2.perp_market_address(index),
        "market_index": index,
        "name": name,
        "status": "Active",
        "oracle": pubkey(7),
        "oracle_source": "PythLazer",
        "last_oracle_price_twap": 100_000_000,
        "last_oracle_price_twap_5min": 100_000_000,
        "last_oracle_price_twap_ts": NOW,
        "last_mark_price_twap": 100_000_000,
        "last_mark_price_twap_5min": 100_000_000,
        "last_mark_price_twap_ts": NOW,
        "base_asset_reserve": 10**15,
        "quote_asset_reserve": 10**15,
        "terminal_quote_asset_reserve": 10**15,
        "sqrt_k": 10**15,
        "min_base_asset_reserve": 7 * 10**14,
        "max_base_asset_reserve": 14 * 10**14,
        "peg_multiplier": 100_000_000,
        "base_spread": 200,
        "max_spread": 20_000,
        "funding_period": 3600,
        "last_funding_rate_ts": NOW - 1800,
        "total_fee_minus_distributions": 10**12,
        "curve_update_intensity": 100,
    }
    return account_bytes("PerpMarket", **{**ordinary, **fields})


def perp(**fields: Value | str) -> PerpMarket:
    """An ordinary perp market, read from bytes, changed by ``fields``."""
    return DRIFT_V2.perp_market.read(perp_bytes(**fields))  # type: ignore[arg-type]


def spot_bytes(index: int = 1, name: str = "SOL", **fields: Value | str) -> bytes:
    """A spot market's bytes: an ordinary market at its right address, changed by ``fields``."""
    ordinary: dict[str, Value | str] = {
        "pubkey": DRIFT_V2.spot_market_address(index),
        "market_index": index,
        "name": name,
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
    return account_bytes("SpotMarket", **{**ordinary, **fields})


def spot(**fields: Value | str) -> SpotMarket:
    """An ordinary spot market, read from bytes, changed by ``fields``."""
    return DRIFT_V2.spot_market.read(spot_bytes(**fields))  # type: ignore[arg-type]


def state_bytes(**fields: Value) -> bytes:
    """The program's global account with mainnet's guard rails, changed by ``fields``."""
    ordinary: dict[str, Value] = {
        "number_of_markets": 3,
        "number_of_spot_markets": 2,
        "slots_before_stale_for_amm": 10,
        "slots_before_stale_for_margin": 120,
        "confidence_interval_max_size": 20_000,
        "too_volatile_ratio": 5,
    }
    return account_bytes("State", **{**ordinary, **fields})


NOW = 1_700_001_000
"""Half past an hour, in Unix seconds."""


@lru_cache(maxsize=1)
def _real() -> dict[str, dict[str, bytes]]:
    by_kind: dict[str, dict[str, bytes]] = {}
    for entry in json.loads(_REAL_ACCOUNTS.read_text())["accounts"]:
        by_kind.setdefault(entry["account"], {})[entry["id"]] = base64.b64decode(entry["data"])
    return by_kind


def real_accounts(kind: str) -> dict[str, bytes]:
    """Real mainnet accounts by their id; skips the test where the folder is not beside the checkout."""
    if not _REAL_ACCOUNTS.is_file():
        pytest.skip("no real accounts: the folder shared/accounts is not beside this checkout")
    found = _real().get(kind, {})
    assert found, f"no real {kind} among the accounts"
    return found
