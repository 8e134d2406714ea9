"""Accounts as driftpy shows them: its names, its integers, and only what the bus carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from drift_schemas import FundingEvent, MarketEvent, PriceEvent
from drift_subscribers.compat.missing import OnlyPublished

__all__ = [
    "AMM",
    "HistoricalOracleData",
    "OraclePriceData",
    "PerpMarketAccount",
    "Variant",
    "perp_market_account",
]

_NAME_BYTES: Final = 32


class Variant(str):
    """The name of an enum's variant, such as ``Active``; driftpy's ``is_variant`` knows it by its class's name."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[str], Variant], tuple[str]]:
        return variant, (str(self),)


@cache
def variant(name: str) -> Variant:
    """Makes a variant whose class bears its name, as driftpy's do."""
    kind: type[Variant] = type(name, (Variant,), {"__slots__": (), "__doc__": Variant.__doc__})
    return kind(name)


@dataclass(frozen=True, slots=True)
class HistoricalOracleData(OnlyPublished):
    """``amm.historical_oracle_data``: prices 1e-6.

    ``last_oracle_price`` is the oracle's price now; the account on the chain has that of the AMM's last update.
    ``None``: the oracle has none.
    """

    last_oracle_price: int | None
    last_oracle_price_twap: int
    last_oracle_price_twap5min: int


@dataclass(frozen=True, slots=True)
class AMM(OnlyPublished):
    """``perp_market.amm``: prices 1e-6, base 1e-9, quote 1e-6, funding 1e-9 quote per base and period.

    ``base_asset_amount_short`` is negative, as on the chain; ``oracle`` is the address as text.
    """

    oracle: str
    oracle_source: Variant
    historical_oracle_data: HistoricalOracleData
    base_asset_amount_long: int
    base_asset_amount_short: int
    max_open_interest: int
    last_funding_rate: int
    last_funding_rate_long: int
    last_funding_rate_short: int
    last24h_avg_funding_rate: int
    last_funding_rate_ts: int
    last_funding_oracle_twap: int
    funding_period: int
    cumulative_funding_rate_long: int
    cumulative_funding_rate_short: int
    last_mark_price_twap: int
    last_mark_price_twap5min: int | None
    order_step_size: int
    order_tick_size: int
    min_order_size: int
    volume24h: int


@dataclass(frozen=True, slots=True)
class PerpMarketAccount(OnlyPublished):
    """A perp market: ``name`` as 32 byte values, margin ratios 1e-4; an enum is its variant's name."""

    market_index: int
    name: list[int]
    amm: AMM
    status: Variant
    contract_type: Variant
    contract_tier: Variant
    paused_operations: int
    expiry_ts: int
    number_of_users: int
    margin_ratio_initial: int
    margin_ratio_maintenance: int


def perp_market_account(market: MarketEvent, funding: FundingEvent, price: PriceEvent) -> PerpMarketAccount:
    """Puts one market's events together as driftpy's account."""
    return PerpMarketAccount(
        market_index=market.market_index,
        name=list(market.symbol.encode().ljust(_NAME_BYTES)),
        status=variant(market.status),
        contract_type=variant(market.contract_type),
        contract_tier=variant(market.contract_tier),
        paused_operations=market.paused_operations,
        expiry_ts=market.expiry_ts,
        number_of_users=market.number_of_users,
        margin_ratio_initial=market.margin_ratio_initial,
        margin_ratio_maintenance=market.margin_ratio_maintenance,
        amm=AMM(
            oracle=market.oracle,
            oracle_source=variant(market.oracle_source),
            historical_oracle_data=HistoricalOracleData(price.oracle_price, price.oracle_twap, price.oracle_twap_5min),
            base_asset_amount_long=market.open_interest_long,
            base_asset_amount_short=-market.open_interest_short,
            max_open_interest=market.max_open_interest,
            last_funding_rate=funding.funding_rate,
            last_funding_rate_long=funding.funding_rate_long,
            last_funding_rate_short=funding.funding_rate_short,
            last24h_avg_funding_rate=funding.funding_rate_24h_avg,
            last_funding_rate_ts=funding.funding_rate_ts,
            last_funding_oracle_twap=funding.oracle_twap_at_funding,
            funding_period=funding.funding_period,
            cumulative_funding_rate_long=funding.cumulative_funding_rate_long,
            cumulative_funding_rate_short=funding.cumulative_funding_rate_short,
            last_mark_price_twap=funding.mark_twap,
            last_mark_price_twap5min=price.mark_twap_5min,
            order_step_size=market.order_step_size,
            order_tick_size=market.order_tick_size,
            min_order_size=market.min_order_size,
            volume24h=market.volume_24h,
        ),
    )


class OraclePriceData(OnlyPublished):
    """An oracle's last report: ``price`` and ``confidence`` 1e-6, ``slot`` at which it was posted.

    ``twap`` and ``twap_confidence`` are what driftpy 0.8.89 gives where that is known without the account: the price
    itself for Pyth Lazer, ``None`` for Prelaunch and Switchboard On-Demand. The Pyth averages are not published.
    ``has_sufficient_number_of_data_points`` is ``True`` as in driftpy, except that Switchboard's is not published.
    """

    __slots__ = ("__dict__",)

    price: int
    confidence: int | None
    slot: int | None
    twap: int | None
    twap_confidence: int | None
    has_sufficient_number_of_data_points: bool

    def __init__(self, price: int, event: PriceEvent) -> None:
        source = event.oracle_source
        fields: dict[str, Any] = {"price": price, "slot": event.oracle_slot, "confidence": event.oracle_confidence}
        if source.startswith("PythLazer"):
            fields |= {"twap": price, "twap_confidence": price}
        elif source in ("Prelaunch", "Switchboard", "SwitchboardOnDemand"):
            fields |= {"twap": None, "twap_confidence": None}
        elif source == "QuoteAsset":
            fields |= {"twap": 1, "twap_confidence": 0}
        if source != "Switchboard":
            fields["has_sufficient_number_of_data_points"] = True
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"OraclePriceData({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"
