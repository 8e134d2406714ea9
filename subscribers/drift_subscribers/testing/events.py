"""Events as a publisher would write them, of a healthy market at 150, unless told otherwise.

Every field may be given by its name, in the units of the chain; a name that the event does not have is a
``TypeError``. The events say that they are invented (``cluster="simulated"``), and are the same at every call.
With ``program="velocity-v1"`` a perp market also has the prices that only Velocity has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from drift_schemas import Event, FundingEvent, MarketEvent, PriceEvent, SpotMarketEvent, StatusEvent

__all__ = ["BEGINNING_NS", "funding_event", "market_event", "price_event", "spot_event", "status_event"]

BEGINNING_NS: Final = 1_700_000_000 * 10**9
"""The moment of the events: 2023-11-14 22:13:20 UTC."""

_E = TypeVar("_E", bound=Event)
_ORACLE: Final = "3m6i4RFWEDw2Ft4tFHPJtYgmpPe21k56M3FHeWYrgGBz"
_INDEXES: Final = {"SOL-PERP": 0, "BTC-PERP": 1, "ETH-PERP": 2, "USDC": 0, "SOL": 1, "mSOL": 2, "wBTC": 3, "wETH": 4}
_ANY_OTHER: Final = 99
_HAVE_MM_ORACLES: Final = {"velocity-v1"}


def price_event(
    market: str = "SOL-PERP",
    *,
    oracle_price: int | None = 150_000_000,
    program: str = "drift-v2",
    **fields: Any,
) -> PriceEvent:
    """Prices (1e-6) of a perp market, or of a spot market where the name does not end in ``-PERP``.

    Bid, ask, mark and the TWAPs follow the oracle price unless given; a spot market has no bid, ask and mark. Nor has
    it, in any program, a market makers' oracle; a perp market has one where the program has it.
    """
    price = 150_000_000 if oracle_price is None else oracle_price
    mark = price if _is_perp(market) and oracle_price is not None else None
    posted = mark if program in _HAVE_MM_ORACLES else None
    return _made(
        PriceEvent,
        {
            **_common(market),
            "oracle_price": oracle_price,
            "oracle_confidence": None if oracle_price is None else price // 10_000,
            "oracle_slot": None if oracle_price is None else 300_000_000,
            "oracle_source": "PythLazer",
            "oracle_is_valid": oracle_price is not None,
            "bid_price": None if mark is None else mark - mark // 20_000,
            "ask_price": None if mark is None else mark + mark // 20_000,
            "mark_price": mark,
            "mark_twap": price if _is_perp(market) else None,
            "mark_twap_5min": price if _is_perp(market) else None,
            "oracle_twap": price,
            "oracle_twap_5min": price,
            "mm_oracle_price": posted,
            "mm_oracle_slot": None if posted is None else 300_000_000,
            "safe_oracle_price": posted,
            "safe_oracle_confidence": None if posted is None else price // 10_000,
        },
        {"program": program, **fields},
    )


def funding_event(
    market: str = "SOL-PERP", *, funding_rate: int = 1_500_000, oracle_twap: int = 150_000_000, **fields: Any
) -> FundingEvent:
    """Funding: the rate (1e-9 quote per base and period) and the TWAP (1e-6) of both sides, settled and running."""
    return _made(
        FundingEvent,
        {
            **_common(market),
            "funding_rate": funding_rate,
            "funding_rate_long": funding_rate,
            "funding_rate_short": funding_rate,
            "funding_rate_ts": 1_700_000_000,
            "funding_period": 3600,
            "oracle_twap_at_funding": oracle_twap,
            "funding_rate_24h_avg": funding_rate,
            "cumulative_funding_rate_long": funding_rate,
            "cumulative_funding_rate_short": funding_rate,
            "next_funding_ts": 1_700_003_600,
            "estimated_funding_rate_long": funding_rate,
            "estimated_funding_rate_short": funding_rate,
            "mark_twap": oracle_twap,
            "oracle_twap": oracle_twap,
            "is_paused": False,
        },
        fields,
    )


def market_event(market: str = "SOL-PERP", **fields: Any) -> MarketEvent:
    """Slow facts of a perp market: active, tier A, 20x, 500,000 base long and 400,000 short."""
    return _made(
        MarketEvent,
        {
            **_common(market),
            "symbol": market,
            "status": "Active",
            "contract_type": "Perpetual",
            "contract_tier": "A",
            "paused_operations": 0,
            "open_interest_long": 500_000 * 10**9,
            "open_interest_short": 400_000 * 10**9,
            "max_open_interest": 0,
            "volume_24h": 100_000_000 * 10**6,
            "margin_ratio_initial": 500,
            "margin_ratio_maintenance": 300,
            "order_step_size": 10_000_000,
            "order_tick_size": 100,
            "min_order_size": 10_000_000,
            "number_of_users": 1_000,
            "expiry_ts": 0,
            "oracle": _ORACLE,
            "oracle_source": "PythLazer",
        },
        fields,
    )


def spot_event(market: str = "SOL", **fields: Any) -> SpotMarketEvent:
    """State of a spot market: a tenth of 1,000,000 deposited is borrowed, 2 % are earned, 5 % are paid."""
    return _made(
        SpotMarketEvent,
        {
            **_common(market),
            "symbol": market,
            "status": "Active",
            "asset_tier": "Collateral",
            "mint": "So11111111111111111111111111111111111111112",
            "decimals": 9,
            "deposit_balance": 1_000_000 * 10**9,
            "borrow_balance": 100_000 * 10**9,
            "utilization": 100_000,
            "deposit_rate": 20_000,
            "borrow_rate": 50_000,
            "cumulative_deposit_interest": 10**10,
            "cumulative_borrow_interest": 10**10,
            "initial_asset_weight": 8_000,
            "maintenance_asset_weight": 9_000,
            "initial_liability_weight": 12_000,
            "maintenance_liability_weight": 11_000,
            "oracle": _ORACLE,
            "oracle_source": "PythLazer",
        },
        fields,
    )


def status_event(**fields: Any) -> StatusEvent:
    """A heartbeat of a publisher whose source is live."""
    return _made(
        StatusEvent,
        {
            **_origin(),
            "publisher_id": "simulated-1",
            "started_at_ns": BEGINNING_NS,
            "slot_at_ns": BEGINNING_NS,
            "source_state": "live",
            "reason": "",
            "rpc_sockets": 1,
            "rpc_subscriptions": 3,
            "rpc_requests_total": 0,
            "rpc_errors_total": 0,
            "rpc_reconnects_total": 0,
            "refused_accounts_total": 0,
            "markets": (),
            "stale_markets": (),
            "events_published_total": 0,
            "events_dropped_total": 0,
        },
        fields,
    )


def _made(model: type[_E], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> _E:
    if unknown := given.keys() - model.model_fields.keys():
        raise TypeError(f"{model.__name__} has no {', '.join(sorted(unknown))}")
    return model(**{**defaults, **given})


def _origin() -> dict[str, Any]:
    return {
        "program": "drift-v2",
        "cluster": "simulated",
        "epoch": 1,
        "slot": 300_000_000,
        "published_at_ns": BEGINNING_NS,
    }


def _common(market: str) -> dict[str, Any]:
    return {
        **_origin(),
        "market": market,
        "market_type": "perp" if _is_perp(market) else "spot",
        "market_index": _INDEXES.get(market, _ANY_OTHER),
        "observed_at_ns": BEGINNING_NS,
    }


def _is_perp(market: str) -> bool:
    return market.endswith("-PERP")
