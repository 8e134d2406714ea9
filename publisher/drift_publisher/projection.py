"""State in, content out: pure functions from decoded accounts to what events say, in integers.

An event's fields are those of an :class:`Origin` and of a content. Whether a content is news is asked before an event
is made of it: about half of what is projected is not.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

from drift_publisher.accounts import OraclePrice, PerpMarket, SpotMarket, State
from drift_publisher.funding import estimated_funding_rates, next_funding_ts
from drift_publisher.profile import ProgramProfile
from drift_publisher.spot_rates import spot_rates
from drift_publisher.validity import oracle_is_valid
from drift_publisher.vamm import bid_ask_price

__all__ = [
    "Content",
    "Origin",
    "Quote",
    "funding_content",
    "market_content",
    "price_content",
    "quote",
    "spot_content",
]

Content = dict[str, Any]
"""The fields of one kind of event that tell of its market, in the model's order and of its types."""


class Origin(TypedDict):
    """Whom an event is about, and where and when it comes from: the fields that all market events begin with.

    ``slot`` and ``observed_at_ns`` are those of the newest account behind the event; the latter is also the formulas'
    "now".
    """

    schema_version: int
    program: str
    cluster: str
    epoch: int
    slot: int
    published_at_ns: int
    market: str
    market_type: str
    market_index: int
    observed_at_ns: int


class Quote(NamedTuple):
    """The AMM's prices for the next trade, 1e-6."""

    bid: int
    ask: int

    @property
    def mark(self) -> int:
        """Mid of bid and ask, rounded down."""
        return (self.bid + self.ask) // 2


def quote(market: PerpMarket, oracle: OraclePrice | None, now_s: int) -> Quote | None:
    """The AMM's quote, ``None`` where the oracle is missing or the state has no price."""
    prices = None if oracle is None else bid_ask_price(market, oracle, now_s)
    return None if prices is None else Quote(*prices)


def funding_content(
    market: PerpMarket,
    oracle: OraclePrice | None,
    quoted: Quote | None,
    state: State | None,
    profile: ProgramProfile,
    now_s: int,
) -> Content:
    """Projects one perp market's funding; ``now_s`` is Unix seconds, for the estimate."""
    estimate = None
    if oracle is not None and quoted is not None:
        estimate = estimated_funding_rates(market, oracle, quoted.mark, now_s, profile.funding)
    long, short = estimate or (None, None)
    return {
        "funding_rate": market.last_funding_rate,
        "funding_rate_long": market.last_funding_rate_long,
        "funding_rate_short": market.last_funding_rate_short,
        "funding_rate_ts": market.last_funding_rate_ts,
        "funding_period": market.funding_period,
        "oracle_twap_at_funding": market.last_funding_oracle_twap,
        "funding_rate_24h_avg": market.last_24h_avg_funding_rate,
        "cumulative_funding_rate_long": market.cumulative_funding_rate_long,
        "cumulative_funding_rate_short": market.cumulative_funding_rate_short,
        "next_funding_ts": next_funding_ts(market.last_funding_rate_ts, market.funding_period),
        "estimated_funding_rate_long": long,
        "estimated_funding_rate_short": short,
        "mark_twap": market.last_mark_price_twap,
        "oracle_twap": market.last_oracle_price_twap,
        "is_paused": funding_is_paused(market, state, profile),
    }


def funding_is_paused(market: PerpMarket, state: State | None, profile: ProgramProfile) -> bool:
    """Whether the exchange, the market's status or its paused operations keep funding from settling."""
    return (
        market.status in profile.funding_paused_statuses
        or bool(market.paused_operations & profile.funding_paused_bit)
        or (state is not None and bool(state.exchange_status & profile.exchange_funding_paused_bit))
    )


def price_content(
    market: PerpMarket | SpotMarket,
    oracle: OraclePrice | None,
    quoted: Quote | None,
    state: State | None,
    chain_slot: int,
    profile: ProgramProfile,
) -> Content:
    """Projects the prices of a perp or spot market; ``chain_slot`` is the chain's newest, for the oracle's age."""
    perp = market if isinstance(market, PerpMarket) else None
    return {
        "oracle_price": None if oracle is None else oracle.price,
        "oracle_confidence": None if oracle is None else oracle.confidence,
        "oracle_slot": None if oracle is None else oracle.slot,
        "oracle_source": market.oracle_source,
        "oracle_is_valid": (
            oracle is not None and state is not None and oracle_is_valid(market, oracle, state, chain_slot, profile)
        ),
        "bid_price": None if quoted is None else quoted.bid,
        "ask_price": None if quoted is None else quoted.ask,
        "mark_price": None if quoted is None else quoted.mark,
        "mark_twap": None if perp is None else perp.last_mark_price_twap,
        "mark_twap_5min": None if perp is None else perp.last_mark_price_twap_5min,
        "oracle_twap": market.last_oracle_price_twap,
        "oracle_twap_5min": market.last_oracle_price_twap_5min,
    }


def market_content(market: PerpMarket) -> Content:
    """Projects one perp market's static and slow facts."""
    return {
        "symbol": market.name,
        "status": market.status,
        "contract_type": market.contract_type,
        "contract_tier": market.contract_tier,
        "paused_operations": market.paused_operations,
        "open_interest_long": market.base_asset_amount_long,
        "open_interest_short": -market.base_asset_amount_short,
        "max_open_interest": market.max_open_interest,
        "volume_24h": market.volume_24h,
        "margin_ratio_initial": market.margin_ratio_initial,
        "margin_ratio_maintenance": market.margin_ratio_maintenance,
        "order_step_size": market.order_step_size,
        "order_tick_size": market.order_tick_size,
        "min_order_size": market.min_order_size,
        "number_of_users": market.number_of_users,
        "expiry_ts": market.expiry_ts,
        "oracle": market.oracle,
        "oracle_source": market.oracle_source,
    }


def spot_content(market: SpotMarket) -> Content:
    """Projects one spot market's balances, rates and weights."""
    rates = spot_rates(market)
    return {
        "symbol": market.name,
        "status": market.status,
        "asset_tier": market.asset_tier,
        "mint": market.mint,
        "decimals": market.decimals,
        "deposit_balance": market.deposit_balance,
        "borrow_balance": market.borrow_balance,
        "utilization": rates.utilization,
        "deposit_rate": rates.deposit_rate,
        "borrow_rate": rates.borrow_rate,
        "cumulative_deposit_interest": market.cumulative_deposit_interest,
        "cumulative_borrow_interest": market.cumulative_borrow_interest,
        "initial_asset_weight": market.initial_asset_weight,
        "maintenance_asset_weight": market.maintenance_asset_weight,
        "initial_liability_weight": market.initial_liability_weight,
        "maintenance_liability_weight": market.maintenance_liability_weight,
        "oracle": market.oracle,
        "oracle_source": market.oracle_source,
    }
