"""Spot markets: how one starts, and how lending moves it."""

from __future__ import annotations

import random
from typing import Final, Literal

from solders.pubkey import Pubkey

from .addresses import insurance_vault_address, spot_market_address, spot_vault_address
from .layout import Value, drift_idl
from .lending import accrue, scaled_balance, token_amount
from .markets import SpotListing
from .oracles import OraclePrice

__all__ = ["SpotMarket"]

_QUOTE_INDEX: Final = 0
_INTEREST: Final = 10**10
_DEPOSITS_USD: Final = 30_000_000
_FLOW_CHANCE: Final = 0.4


class SpotMarket:
    """One spot market of the cluster.

    Args:
        listing: What is fixed about the market.
        rng: The cluster's seeded source of randomness.
    """

    market_type: Final[Literal["spot"]] = "spot"

    def __init__(self, listing: SpotListing, *, rng: random.Random) -> None:
        self.listing = listing
        self.name = listing.name
        self.index = listing.index
        self.pubkey = spot_market_address(listing.index)
        self.oracle = listing.oracle
        self.oracle_source = listing.oracle_source
        self.record = drift_idl().account("SpotMarket").record()
        self._rng = rng

    def set_oracle(self, oracle: Pubkey, source: str) -> None:
        """Point the market at another oracle account or source."""
        self.oracle, self.oracle_source = oracle, source
        self.record["oracle"] = bytes(oracle)
        self.record["oracle_source"] = drift_idl().variants("OracleSource")[source]

    def start(self, oracle: OraclePrice, now: int) -> None:
        """Fill the account as of ``now``, as if it had lent for long."""
        listing, idl = self.listing, drift_idl()
        is_quote = listing.index == _QUOTE_INDEX
        weights = (10_000, 10_000, 10_000, 10_000) if is_quote else (8_000, 9_000, 12_000, 11_000)
        stable = 0.9 < listing.price < 1.1
        values: dict[str, Value] = {
            "pubkey": bytes(self.pubkey),
            "mint": bytes(listing.mint),
            "vault": bytes(spot_vault_address(listing.index)),
            "name": listing.name.encode().ljust(32),
            "insurance_fund.vault": bytes(insurance_vault_address(listing.index)),
            "insurance_fund.unstaking_period": 1_123_200,
            "insurance_fund.last_revenue_settle_ts": now - now % 3_600,
            "insurance_fund.revenue_settle_period": 3_600,
            "insurance_fund.total_factor": 100_000,
            "insurance_fund.user_factor": 50_000,
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
            "status": idl.variants("MarketStatus")["Active"],
            "asset_tier": idl.variants("AssetTier")[listing.tier],
            "revenue_pool.market_index": listing.index,
            "order_step_size": 10 ** max(0, listing.decimals - 4),
            "order_tick_size": 100,
            "min_order_size": 10 ** max(0, listing.decimals - 4),
            "next_fill_record_id": 1 + self._rng.randint(0, 100_000),
            "next_deposit_record_id": 1 + self._rng.randint(1_000, 1_000_000),
            "last_interest_ts": now,
            "last_twap_ts": now,
        }
        self.record.update(values)
        self.set_oracle(self.oracle, self.oracle_source)
        self._fill_balances(max(1, oracle.price), now)

    def follow(self, oracle: OraclePrice, now: int) -> None:
        """Accrue interest up to ``now``; now and then somebody deposits, withdraws, borrows or repays."""
        accrue(self.record, oracle, now)
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
