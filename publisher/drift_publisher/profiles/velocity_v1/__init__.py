"""Velocity v1 on Solana, live since July 2026, the successor of Drift v2: its accounts, its formulas.

The program has no Python SDK, so its client is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drift_publisher.oracles import program_oracles
from drift_publisher.profile import Client, Lifecycle, ProgramProfile, Rules
from drift_publisher.profiles.velocity_v1.funding import estimated_funding_rates, funding_is_paused
from drift_publisher.profiles.velocity_v1.layouts import PERP_MARKET, SPOT_MARKET, STATE
from drift_publisher.profiles.velocity_v1.lending import spot_rates
from drift_publisher.profiles.velocity_v1.mm_oracle import price_extras
from drift_publisher.profiles.velocity_v1.quote import quote
from drift_publisher.profiles.velocity_v1.validity import oldest_oracle_slots, oracle_is_valid
from drift_publisher.settlements import next_funding_ts

if TYPE_CHECKING:
    from drift_publisher.endpoints import Endpoint
    from drift_publisher.store import AccountStore

__all__ = ["VELOCITY_V1"]

_PROGRAM_ID: Final = "vELoC1audYbSYVRXn1vPaV8Axoa9oU6BYmNGZZBDZ1P"


def _open_client(store: AccountStore, _endpoint: Endpoint, lifecycle: Lifecycle) -> Client:
    from drift_publisher.store_subscriber import StoreClient

    return StoreClient(store, lifecycle)


VELOCITY_V1: Final = ProgramProfile(
    name="velocity-v1",
    program_id=_PROGRAM_ID,
    state_seed=b"velocity_state",
    perp_market_seed=b"perp_market",
    spot_market_seed=b"spot_market",
    state=STATE,
    perp_market=PERP_MARKET,
    spot_market=SPOT_MARKET,
    oracle_formats=program_oracles(_PROGRAM_ID),
    rules=Rules(
        quote=quote,
        next_funding_ts=next_funding_ts,
        estimated_funding_rates=estimated_funding_rates,
        funding_is_paused=funding_is_paused,
        oracle_is_valid=oracle_is_valid,
        oldest_oracle_slots=oldest_oracle_slots,
        spot_rates=spot_rates,
        more_prices=price_extras,
    ),
    open_client=_open_client,
)
