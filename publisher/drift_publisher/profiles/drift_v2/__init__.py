"""Drift v2 on Solana: its accounts, its formulas, driftpy's client. The program was paused in April 2026."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from drift_publisher.accounts import SpotRates
from drift_publisher.errors import SettingsError
from drift_publisher.oracles import outside_oracles, program_oracles
from drift_publisher.profile import Client, Lifecycle, ProgramProfile, Rules
from drift_publisher.profiles.drift_v2.funding import estimated_funding_rates, funding_is_paused
from drift_publisher.profiles.drift_v2.layouts import PERP_MARKET, SPOT_MARKET, STATE
from drift_publisher.profiles.drift_v2.records import SpotMarket
from drift_publisher.profiles.drift_v2.validity import oldest_oracle_slots, oracle_is_valid
from drift_publisher.profiles.drift_v2.vamm import bid_ask_price
from drift_publisher.settlements import next_funding_ts
from drift_publisher.spot_rates import FULL, spot_rates

if TYPE_CHECKING:
    from drift_publisher.endpoints import Endpoint
    from drift_publisher.store import AccountStore

__all__ = ["DRIFT_V2"]

_PROGRAM_ID: Final = "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH"


def _require_client() -> None:
    for name in ("driftpy", "anchorpy", "solana", "construct"):
        if find_spec(name) is None:
            raise _not_installed(name)


def _open_client(store: AccountStore, endpoint: Endpoint, lifecycle: Lifecycle) -> Client:
    _require_client()
    # driftpy takes a second and 45 MB to import: only whoever follows Drift pays for it
    try:
        from drift_publisher.profiles.drift_v2.client import StoreDriftClient
    except ModuleNotFoundError as error:  # what driftpy itself needs
        raise _not_installed(error.name) from error
    return StoreDriftClient(store, endpoint, lifecycle)


def _not_installed(name: str | None) -> SettingsError:
    return SettingsError(
        f"program drift-v2 needs driftpy ({name} is not installed): pip install 'drift-bus[drift-v2]' on "
        "Python 3.11 or 3.12 (docs/deployment.md says how without a compiler); velocity-v1 needs none of it"
    )


def _spot_rates(market: SpotMarket) -> SpotRates:
    return spot_rates(market, kept=FULL - market.insurance_fund_total_factor)


DRIFT_V2: Final = ProgramProfile(
    name="drift-v2",
    program_id=_PROGRAM_ID,
    state_seed=b"drift_state",
    perp_market_seed=b"perp_market",
    spot_market_seed=b"spot_market",
    state=STATE,
    perp_market=PERP_MARKET,
    spot_market=SPOT_MARKET,
    oracle_formats={
        **program_oracles(_PROGRAM_ID),
        **outside_oracles(
            pyth_push="FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH",
            pyth_receiver="rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ",
            switchboard="SW1TCH7qEPTdLsDHRgPuMQjbQxKdH2aBStViMFnt64f",
            switchboard_on_demand="SBondMDrcV3K4kxZR1HNVT7osZxAHVHgYXL5Ze1oMUv",
        ),
    },
    rules=Rules(
        quote=bid_ask_price,
        next_funding_ts=next_funding_ts,
        estimated_funding_rates=estimated_funding_rates,
        funding_is_paused=funding_is_paused,
        oracle_is_valid=oracle_is_valid,
        oldest_oracle_slots=oldest_oracle_slots,
        spot_rates=_spot_rates,
        more_prices=lambda *_: {},
    ),
    open_client=_open_client,
    require_client=_require_client,
)
