"""Ordinary accounts of any program, for tests of what is the same for all: bytes by the simulator's own encoder."""

from __future__ import annotations

from typing import Final

from solders.pubkey import Pubkey

from drift_publisher.profiles import PROFILES
from drift_publisher.source import AccountUpdate
from drift_simulator.layout import Value
from drift_simulator.programs import program_named

from .accounts import NOW, pubkey

__all__ = ["ProgramAccounts"]

_TWAPS: Final = "historical_oracle_data.last_oracle_price_twap"


class ProgramAccounts:
    """Accounts of one program. Fields go by the names that the simulator's records know; enums are given by name.

    Args:
        program: The program's name.

    Attributes:
        profile: The publisher's profile of it.
    """

    def __init__(self, program: str) -> None:
        self.profile = PROFILES[program]
        self._idl = program_named(program).idl

    def perp_at(self, index: int) -> str:
        """Address of a perp market."""
        return self.profile.perp_market_address(index)

    def spot_at(self, index: int) -> str:
        """Address of a spot market."""
        return self.profile.spot_market_address(index)

    def perp(self, index: int = 0, name: str = "SOL-PERP", **fields: Value | str) -> bytes:
        """A perp market at 100, at its right address, changed by ``fields``."""
        ordinary: dict[str, Value | str] = {
            "pubkey": self.perp_at(index),
            "market_index": index,
            "name": name,
            "status": "Active",
            "oracle": pubkey(7),
            "oracle_source": "PythLazer",
            _TWAPS: 100_000_000,
            f"{_TWAPS}5min": 100_000_000,
            f"{_TWAPS}_ts": NOW,
            **{f"last_{of}_price_twap": 100_000_000 for of in ("mark", "bid", "ask")},
            "last_mark_price_twap5min": 100_000_000,
            "last_mark_price_twap_ts": NOW,
            **dict.fromkeys(("base_asset_reserve", "quote_asset_reserve", "sqrt_k"), 10**15),
            "terminal_quote_asset_reserve": 10**15,
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
        return self._account("PerpMarket", {**ordinary, **fields})

    def spot(self, index: int = 1, name: str = "SOL", **fields: Value | str) -> bytes:
        """A spot market at its right address, changed by ``fields``."""
        ordinary: dict[str, Value | str] = {
            "pubkey": self.spot_at(index),
            "market_index": index,
            "name": name,
            "status": "Active",
            "oracle": pubkey(7),
            "oracle_source": "PythLazer",
            _TWAPS: 100_000_000,
            "decimals": 9,
            "deposit_balance": 10**15,
            "borrow_balance": 5 * 10**14,
            "cumulative_deposit_interest": 10**10,
            "cumulative_borrow_interest": 10**10,
            "optimal_utilization": 700_000,
            "optimal_borrow_rate": 100_000,
            "max_borrow_rate": 1_000_000,
        }
        return self._account("SpotMarket", {**ordinary, **fields})

    def state(self, **fields: Value | str) -> bytes:
        """The global account with the guard rails that both programs have, changed by ``fields``."""
        rails = {
            "slots_before_stale_for_amm": 10,
            "slots_before_stale_for_margin": 120,
            "confidence_interval_max_size": 20_000,
            "too_volatile_ratio": 5,
        }
        ordinary: dict[str, Value | str] = {"number_of_markets": 3, "number_of_spot_markets": 2}
        validity = {f"oracle_guard_rails.validity.{name}": value for name, value in rails.items()}
        return self._account("State", {**ordinary, **validity, **fields})

    def lazer(self, price: int, conf: int = 0, exponent: int = -8, slot: int = 0) -> bytes:
        """The program's account of a Pyth Lazer feed."""
        record = self._idl.account("PythLazerOracle").record()
        record.update({"price": price, "conf": conf, "exponent": exponent, "posted_slot": slot})
        return bytes(record)

    def update(
        self,
        address: str,
        data: bytes | None,
        slot: int = 100,
        *,
        owner: str | None = None,
        received_ns: int = 0,
    ) -> AccountUpdate:
        """What the source tells of an account; it belongs to the program unless ``owner`` says otherwise."""
        return AccountUpdate(address, self.profile.program_id if owner is None else owner, slot, data, received_ns)

    def _account(self, kind: str, fields: dict[str, Value | str]) -> bytes:
        record = self._idl.account(kind).record()
        for name, value in fields.items():
            if not isinstance(value, str):
                record[name] = value
            elif name == "name":
                record[name] = value.encode().ljust(32)
            elif record.layout.fields[record.layout.paths[name]].enum is not None:
                record.choose(name, value)
            else:
                record[name] = bytes(Pubkey.from_string(value))
        return bytes(record)
