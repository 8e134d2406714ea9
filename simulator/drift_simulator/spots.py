"""Spot markets: how one starts, and how lending moves it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from solders.pubkey import Pubkey

from .layout import Layout, Record, Value
from .lending import Cut, accrue, scaled_balance, token_amount
from .listings import SpotListing
from .oracles import OraclePrice

__all__ = ["SpotAddresses", "SpotMarket"]

_QUOTE_INDEX: Final = 0
_INTEREST: Final = 10**10
_DEPOSITS_USD: Final = 30_000_000
_FLOW_CHANCE: Final = 0.4


class SpotAddresses(NamedTuple):
    """A spot market's account and its two token vaults."""

    market: Pubkey
    vault: Pubkey
    insurance_vault: Pubkey


class SpotMarket:
    """One spot market of the cluster, whatever the program.

    Args:
        listing: What is fixed about the market.
        addresses: Where it and its tokens are.
        layout: The program's SpotMarket.
        own_fields: What only this program's markets hold when they start.
        cuts: Shares of the lenders' interest that go elsewhere.
        rng: The cluster's seeded source of randomness.
    """

    market_type: Final[Literal["spot"]] = "spot"

    def __init__(
        self,
        listing: SpotListing,
        addresses: SpotAddresses,
        layout: Layout,
        *,
        own_fields: Mapping[str, Value],
        cuts: tuple[Cut, ...],
        rng: random.Random,
    ) -> None:
        self.listing = listing
        self.name = listing.name
        self.index = listing.index
        self.pubkey = addresses.market
        self.oracle = listing.oracle
        self.oracle_source = listing.oracle_source
        self.record = layout.record()
        self._addresses = addresses
        self._own_fields = own_fields
        self._cuts = cuts
        self._rng = rng

    @property
    def status(self) -> str:
        """Variant of MarketStatus."""
        return self.record.variant("status")

    def copy(self) -> Record:
        """Return a record of the account as it is now, to be changed and set with ``Simulator.set_account``."""
        return self.record.layout.record(bytes(self.record))

    def set_oracle(self, oracle: Pubkey, source: str) -> None:
        """Point the market at another oracle account or source."""
        self.record.choose("oracle_source", source)
        self.record["oracle"] = bytes(oracle)
        self.oracle, self.oracle_source = oracle, source

    def start(self, oracle: OraclePrice, now: int) -> None:
        """Fill the account as of ``now``, as if it had lent for long."""
        listing, record = self.listing, self.record
        is_quote = listing.index == _QUOTE_INDEX
        weights = (10_000, 10_000, 10_000, 10_000) if is_quote else (8_000, 9_000, 12_000, 11_000)
        stable = 0.9 < listing.price < 1.1
        values: dict[str, Value] = {
            "pubkey": bytes(self.pubkey),
            "mint": bytes(listing.mint),
            "vault": bytes(self._addresses.vault),
            "name": listing.name.encode().ljust(32),
            "insurance_fund.vault": bytes(self._addresses.insurance_vault),
            "insurance_fund.unstaking_period": 1_123_200,
            "insurance_fund.last_revenue_settle_ts": now - now % 3_600,
            "insurance_fund.revenue_settle_period": 3_600,
            **self._own_fields,
            "cumulative_deposit_interest": _INTEREST + self._rng.randint(10**6, 10**9),
            "cumulative_borrow_interest": _INTEREST + self._rng.randint(10**9, 2 * 10**9),
            "decimals": listing.decimals,
            "initial_asset_weight": weights[0],
            "maintenance_asset_weight": weights[1],
            "initial_liability_weight": weights[2],
            "maintenance_liability_weight": weights[3],
            "imf_factor": 0 if is_quote else 1_250,
            "liquidator_fee": 0 if is_quote else 7_500,
            "if_liquidation_fee": 5_000 if is_quote else 22_500,
            "optimal_utilization": 800_000,
            "optimal_borrow_rate": 90_000 if stable else 60_000,
            "max_borrow_rate": 1_500_000,
            "min_borrow_rate": 1,
            "market_index": listing.index,
            "orders_enabled": int(not is_quote),
            "revenue_pool.market_index": listing.index,
            "order_step_size": 10 ** max(0, listing.decimals - 4),
            "order_tick_size": 100,
            "min_order_size": 10 ** max(0, listing.decimals - 4),
            "next_fill_record_id": 1 + self._rng.randint(0, 100_000),
            "next_deposit_record_id": 1 + self._rng.randint(1_000, 1_000_000),
            "last_interest_ts": now,
            "last_twap_ts": now,
        }
        record.update(values)
        record.choose("status", "Active")
        record.choose("asset_tier", listing.tier)
        self.set_oracle(self.oracle, self.oracle_source)
        self._fill_balances(max(1, oracle.price), now)

    def follow(self, oracle: OraclePrice, now: int) -> None:
        """Accrue interest up to ``now``; now and then somebody deposits, withdraws, borrows or repays."""
        accrue(self.record, oracle, now, self._cuts)
        if self._rng.random() < _FLOW_CHANCE:
            self._flow()

    def _fill_balances(self, price: int, now: int) -> None:
        record, rng = self.record, self._rng
        usd = _DEPOSITS_USD * rng.uniform(0.3, 3) * (5 if self.index == _QUOTE_INDEX else 1)
        deposits = round(usd * 1e6 / price * 10**self.listing.decimals)
        borrows = round(deposits * rng.uniform(0.2, 0.85))
        record["deposit_balance"] = scaled_balance(record, deposits, "deposit")
        record["borrow_balance"] = scaled_balance(record, borrows, "borrow")
        record.update(
            {
                "withdraw_guard_threshold": deposits // 20,
                "max_token_deposits": deposits * 4,
                "scale_initial_asset_weight_start": round(300_000_000 * 1e6),
                "deposit_token_twap": deposits,
                "borrow_token_twap": borrows,
                "utilization_twap": borrows * 1_000_000 // deposits,
                "revenue_pool.scaled_balance": deposits // 1_000,
                "insurance_fund.total_shares": deposits // 200,
                "insurance_fund.user_shares": deposits // 220,
            }
        )
        record.update(
            {
                "last_oracle_price": price,
                "last_oracle_conf": price // 4_000,
                "last_oracle_price_twap": price,
                "last_oracle_price_twap5min": price,
                "last_oracle_price_twap_ts": now,
            },
            prefix="historical_oracle_data.",
        )
        record.update(
            {
                "last_index_bid_price": price,
                "last_index_ask_price": price,
                "last_index_price_twap": price,
                "last_index_price_twap5min": price,
                "last_index_price_twap_ts": now,
            },
            prefix="historical_index_data.",
        )

    def _flow(self) -> None:
        """Move one side's balance by up to a thousandth, keeping utilization between 10 and 95 percent."""
        record, rng = self.record, self._rng
        deposits, borrows = token_amount(record, "deposit"), token_amount(record, "borrow")
        side = rng.choice(("deposit", "borrow"))
        amount = scaled_balance(record, round(deposits * rng.uniform(0, 1e-3)), side)
        used = borrows / max(1, deposits)
        grows = rng.random() < 0.5
        if used > 0.95 or used < 0.1:
            grows = (side == "deposit") == (used > 0.95)
        path = f"{side}_balance"
        record[path] = max(1, record[path] + (amount if grows else -amount))
        record["next_deposit_record_id"] += 1
