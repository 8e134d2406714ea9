"""Perp markets: how one starts, and how trading moves it."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import exp, floor, log10
from typing import Final, Literal

from solders.pubkey import Pubkey

from .amm import follow_oracle, reserve_price, swap_base
from .arithmetic import ONE_DAY
from .funding import FundingSettlement, seconds_until_funding
from .layout import Layout, Record, Value
from .listings import PerpListing
from .oracles import OraclePrice
from .spread import update_spreads
from .trading import trade

__all__ = ["PerpMarket"]

_BASE: Final = 10**9
_DEPTH_USD: Final = 25_000_000
_CONCENTRATION: Final = 1_020_710
_TRADE_CHANCE: Final = 0.35
_FUNDING_BIT: Final = 1
_MARGINS: Final = {"A": (500, 300), "B": (1000, 500), "C": (2000, 1200)}
_TWAP_START: Final = 0.9995


class PerpMarket(ABC):
    """One perp market of the cluster, whatever the program.

    Its account is :attr:`record`, whose fields go by their own names in every program, wherever it keeps them:
    ``market.record["historical_oracle_data.last_oracle_price"]``; see :class:`~drift_simulator.layout.Layout`.

    Args:
        listing: What is fixed about the market.
        pubkey: Its address.
        layout: The program's PerpMarket.
        funding_period_s: Seconds between settlements.
        rng: The cluster's seeded source of randomness.
    """

    market_type: Final[Literal["perp"]] = "perp"

    def __init__(
        self, listing: PerpListing, pubkey: Pubkey, layout: Layout, *, funding_period_s: int, rng: random.Random
    ) -> None:
        self.listing = listing
        self.name = listing.name
        self.index = listing.index
        self.pubkey = pubkey
        self.oracle = listing.oracle
        self.oracle_source = listing.oracle_source
        self.record = layout.record()
        self._period = funding_period_s
        self._rng = rng
        self._mean_premium = rng.gauss(0, 4e-4)
        self._premium = self._mean_premium

    @abstractmethod
    def funding_rate(self, mark_twap: int, oracle_twap: int) -> int:
        """Return the rate of one period by the program's rule, 1e-9 quote per base."""

    @abstractmethod
    def settle(self, oracle: OraclePrice, now: int) -> FundingSettlement | None:
        """Settle one funding period; None when the program would refuse."""

    @abstractmethod
    def _own_fields(self) -> Mapping[str, Value]:
        """Return what only this program's markets hold when they start."""

    @property
    def _reseed_after_s(self) -> int | None:
        """After how many seconds without a write the mark averages are those of the oracle; None: never."""
        return None

    @property
    def status(self) -> str:
        """Variant of MarketStatus."""
        return self.record.variant("status")

    @property
    def tier(self) -> str:
        """Variant of ContractTier."""
        return self.record.variant("contract_tier")

    @property
    def last_funding_ts(self) -> int:
        """When funding settled last, Unix time in seconds."""
        return self.record["last_funding_rate_ts"]

    @property
    def is_frozen(self) -> bool:
        """Whether the market is in settlement or delisted, so that nothing moves it."""
        return self.status in {"Settlement", "Delisted"}

    @property
    def funds(self) -> bool:
        """Whether the program would settle funding: active or reduce-only, and funding not paused."""
        return self.status in {"Active", "ReduceOnly"} and not self.record["paused_operations"] & _FUNDING_BIT

    def copy(self) -> Record:
        """Return a record of the account as it is now, to be changed and set with ``Simulator.set_account``."""
        return self.record.layout.record(bytes(self.record))

    def set_oracle(self, oracle: Pubkey, source: str) -> None:
        """Point the market at another oracle account or source."""
        self.record.choose("oracle_source", source)
        self.record["oracle"] = bytes(oracle)
        self.oracle, self.oracle_source = oracle, source

    def start(self, oracle: OraclePrice, now: int, slot: int) -> None:
        """Fill the account as of ``now``, as if it had traded for long."""
        self._fill_identity(now)
        self._fill_curve(oracle, now, slot)
        self._fill_history(oracle, now)
        update_spreads(self.record, reserve_price(self.record))

    def follow(self, oracle: OraclePrice, now: int, slot: int) -> None:
        """Let the market follow a move of its oracle; now and then somebody trades."""
        self._premium += 0.03 * (self._mean_premium - self._premium) + self._rng.gauss(0, 6e-5)
        self._premium = max(-0.004, min(0.004, self._premium))
        if self._rng.random() < _TRADE_CHANCE:
            trade(self.record, self._rng, now)
        follow_oracle(self.record, oracle, self._premium, now, slot, reseed_after_s=self._reseed_after_s)

    def seconds_until_funding(self, now: int) -> int:
        """Return how long until the program would let funding settle."""
        return seconds_until_funding(now, self.last_funding_ts, self.record["funding_period"])

    def _fill_identity(self, now: int) -> None:
        listing, record = self.listing, self.record
        initial, maintenance = _MARGINS.get(listing.tier, (5000, 3300))
        users = self._rng.randint(80, 2_400)
        values: dict[str, Value] = {
            "pubkey": bytes(self.pubkey),
            "name": listing.name.encode().ljust(32),
            "insurance_claim.max_revenue_withdraw_per_period": 200_000_000,
            "insurance_claim.quote_max_insurance": 50_000_000_000,
            "unrealized_pnl_max_imbalance": 1_000_000_000,
            "next_fill_record_id": self._rng.randint(10_000, 900_000),
            "next_funding_rate_record_id": self._rng.randint(5_000, 20_000),
            **self._own_fields(),
            "imf_factor": 8_000,
            "liquidator_fee": 7_500,
            "if_liquidation_fee": 12_500,
            "margin_ratio_initial": initial,
            "margin_ratio_maintenance": maintenance,
            "unrealized_pnl_maintenance_asset_weight": 10_000,
            "number_of_users": users,
            "number_of_users_with_base": users * 2 // 3,
            "market_index": listing.index,
            "paused_operations": listing.paused_operations,
            "pnl_pool.scaled_balance": self._rng.randint(10**13, 10**15),
            "fee_pool.scaled_balance": self._rng.randint(10**12, 10**14),
        }
        if listing.expired:
            values["expiry_ts"] = now - 30 * ONE_DAY
        record.update(values)
        record.choose("status", listing.status)
        record.choose("contract_type", listing.contract_type)
        record.choose("contract_tier", listing.tier)
        self.set_oracle(self.oracle, self.oracle_source)

    def _fill_curve(self, oracle: OraclePrice, now: int, slot: int) -> None:
        price = max(1, oracle.price) / 1e6
        root = max(_BASE, round(_DEPTH_USD / price) * _BASE)
        tick = max(1, 10 ** floor(log10(max(10, oracle.price)) - 4))
        step = max(1, 10 ** floor(log10(max(10.0, _BASE / price))))
        self.record.update(
            {
                "base_asset_reserve": root,
                "quote_asset_reserve": root,
                "terminal_quote_asset_reserve": root,
                "sqrt_k": root,
                "concentration_coef": _CONCENTRATION,
                "min_base_asset_reserve": root * 1_000_000 // _CONCENTRATION,
                "max_base_asset_reserve": root * _CONCENTRATION // 1_000_000,
                "peg_multiplier": max(1, round(oracle.price * (1 + self._premium))),
                "funding_period": self._period,
                "order_step_size": step,
                "order_tick_size": tick,
                "min_order_size": step,
                "base_spread": self._rng.choice((100, 200, 250, 500)),
                "max_spread": 20_000,
                "max_fill_reserve_fraction": 1_500,
                "max_slippage_ratio": 50,
                "curve_update_intensity": 100,
                "amm_jit_intensity": 100,
                "last_oracle_valid": 1,
                "last_update_slot": slot,
                "last_trade_ts": now,
                "max_open_interest": root // 2,
            },
        )
        longs = round(root * self._rng.uniform(0.02, 0.12))
        self.record["base_asset_amount_long"] = longs
        self.record["base_asset_amount_short"] = -longs
        net = round(root * self._rng.uniform(-0.002, 0.002))
        self.record["base_asset_amount_short"] += net
        swap_base(self.record, net)
        volume = round(_DEPTH_USD * 1e6 * exp(self._rng.gauss(-1, 1)))
        fees = volume // 20
        self.record.update(
            {
                "volume24h": volume,
                "long_intensity_volume": volume // 60,
                "short_intensity_volume": volume // 60,
                "total_fee": fees,
                "total_mm_fee": fees // 4,
                "total_exchange_fee": fees // 2,
                "total_fee_minus_distributions": fees * 3 // 4,
                "total_fee_withdrawn": fees // 10,
            },
        )

    def _fill_history(self, oracle: OraclePrice, now: int) -> None:
        price = oracle.price
        mean = max(1, round(price * _TWAP_START))
        mark = max(1, round(mean * (1 + self._mean_premium)))
        half = max(1, price // 10_000)
        last_ts = now - now % self._period
        rate = self.funding_rate(mark, mean)
        cumulative = self._rng.randint(-(10**12), 10**13) * max(1, price) // 10**8
        self.record.update(
            {
                "historical_oracle_data.last_oracle_price": price,
                "historical_oracle_data.last_oracle_price_twap": mean,
                "historical_oracle_data.last_oracle_price_twap5min": price,
                "historical_oracle_data.last_oracle_price_twap_ts": now,
                "last_oracle_normalised_price": price,
                "last_oracle_conf_pct": 250,
                "last_bid_price_twap": max(1, mark - half),
                "last_ask_price_twap": mark + half,
                "last_mark_price_twap": mark,
                "last_mark_price_twap5min": mark,
                "last_mark_price_twap_ts": now,
                "mark_std": price // 2_000,
                "oracle_std": price // 2_000,
                "last_funding_rate": rate,
                "last_funding_rate_long": rate,
                "last_funding_rate_short": rate,
                "last24h_avg_funding_rate": rate,
                "last_funding_oracle_twap": mean,
                "last_funding_rate_ts": last_ts,
                "cumulative_funding_rate_long": cumulative,
                "cumulative_funding_rate_short": cumulative,
            },
        )
        self.record["last_fill_price"] = price
        if self.listing.expired:
            self.record["expiry_price"] = price
