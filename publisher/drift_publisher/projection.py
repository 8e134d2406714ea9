"""State in, content out: pure functions from decoded accounts to what events say, in integers.

An event's fields are those of an :class:`Origin` and of a content. Whether a content is news is asked before an event
is made of it: about half of what is projected is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypedDict

from drift_publisher.accounts import Market, OraclePrice, PerpMarket, SpotMarket, State
from drift_publisher.profile import AnyRules
from drift_schemas.widths import INT64, UINT64, Width

__all__ = [
    "Content",
    "Origin",
    "Quote",
    "funding_content",
    "market_content",
    "perp_price_content",
    "quote",
    "spot_content",
    "spot_price_content",
]

_NO_MORE: Final[Mapping[str, None]] = dict.fromkeys(
    ("mm_oracle_price", "mm_oracle_slot", "safe_oracle_price", "safe_oracle_confidence")
)
"""Prices that only some programs have."""

# A result that does not fit its field is one with which the program's own arithmetic fails: there is no such price.

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


def quote(market: PerpMarket, oracle: OraclePrice | None, rules: AnyRules, now_s: int) -> Quote | None:
    """The AMM's quote, ``None`` where the state has no price, or needs an oracle that is missing."""
    prices = rules.quote(market, oracle, now_s)
    return None if prices is None or not _all_fit(UINT64, *prices) else Quote(*prices)


def funding_content(
    market: PerpMarket,
    oracle: OraclePrice | None,
    quoted: Quote | None,
    state: State | None,
    rules: AnyRules,
    now_s: int,
) -> Content:
    """Projects one perp market's funding; ``now_s`` is Unix seconds, for the estimate."""
    estimate = None
    if oracle is not None and quoted is not None:
        estimate = rules.estimated_funding_rates(market, oracle, quoted.mark, now_s)
    long, short = estimate if estimate is not None and _all_fit(INT64, *estimate) else (None, None)
    next_funding_ts = rules.next_funding_ts(market)
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
        "next_funding_ts": None if next_funding_ts is None or not INT64.holds(next_funding_ts) else next_funding_ts,
        "estimated_funding_rate_long": long,
        "estimated_funding_rate_short": short,
        "mark_twap": market.last_mark_price_twap,
        "oracle_twap": market.last_oracle_price_twap,
        "is_paused": rules.funding_is_paused(market, state),
    }


def perp_price_content(
    market: PerpMarket,
    oracle: OraclePrice | None,
    quoted: Quote | None,
    state: State | None,
    chain_slot: int,
    rules: AnyRules,
) -> Content:
    """Projects the prices of a perp market; ``chain_slot`` is the chain's newest, for the oracle's age."""
    return {
        **_oracle_content(market, oracle, state, chain_slot, rules),
        "bid_price": None if quoted is None else quoted.bid,
        "ask_price": None if quoted is None else quoted.ask,
        "mark_price": None if quoted is None else quoted.mark,
        "mark_twap": market.last_mark_price_twap,
        "mark_twap_5min": market.last_mark_price_twap_5min,
        "oracle_twap": market.last_oracle_price_twap,
        "oracle_twap_5min": market.last_oracle_price_twap_5min,
        **(rules.more_prices(market, oracle, state, chain_slot) or _NO_MORE),
    }


def spot_price_content(
    market: SpotMarket, oracle: OraclePrice | None, state: State | None, chain_slot: int, rules: AnyRules
) -> Content:
    """Projects the prices of a spot market, which has an oracle and no AMM; ``chain_slot`` as for a perp market."""
    return {
        **_oracle_content(market, oracle, state, chain_slot, rules),
        "bid_price": None,
        "ask_price": None,
        "mark_price": None,
        "mark_twap": None,
        "mark_twap_5min": None,
        "oracle_twap": market.last_oracle_price_twap,
        "oracle_twap_5min": market.last_oracle_price_twap_5min,
        **_NO_MORE,
    }


def _oracle_content(
    market: Market, oracle: OraclePrice | None, state: State | None, chain_slot: int, rules: AnyRules
) -> Content:
    return {
        "oracle_price": None if oracle is None else oracle.price,
        "oracle_confidence": None if oracle is None else oracle.confidence,
        "oracle_slot": None if oracle is None else oracle.slot,
        "oracle_source": market.oracle_source,
        "oracle_is_valid": (
            oracle is not None and state is not None and rules.oracle_is_valid(market, oracle, state, chain_slot)
        ),
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


def spot_content(market: SpotMarket, rules: AnyRules) -> Content:
    """Projects one spot market's balances, rates and weights."""
    rates = rules.spot_rates(market)
    if not _all_fit(INT64, *rates):
        raise OverflowError(f"utilization and rates of {market.name} do not fit into 64 bits")
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


def _all_fit(width: Width, *values: int) -> bool:
    return all(width.holds(value) for value in values)
