"""Funding of a perp market."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from drift_schemas.event_base import MarketDataEvent, Number, ScaledMarketData
from drift_schemas.quantities import CumulativeFunding, FundingRate, Price, Seconds
from drift_schemas.rates import apr_percent, hourly_rate, rate_8h_percent
from drift_schemas.subjects import Kind
from drift_schemas.widths import I128, U64

__all__ = ["FundingEvent", "ScaledFunding"]


class ScaledFunding(ScaledMarketData[Number]):
    """The integer fields of :class:`FundingEvent` in natural units."""

    __slots__ = ()

    funding_rate: Number
    funding_rate_long: Number
    funding_rate_short: Number
    funding_rate_ts: Number
    oracle_twap_at_funding: Number
    funding_rate_24h_avg: Number
    cumulative_funding_rate_long: Number
    cumulative_funding_rate_short: Number
    next_funding_ts: Number | None
    estimated_funding_rate_long: Number | None
    estimated_funding_rate_short: Number | None
    mark_twap: Number
    oracle_twap: Number


class FundingEvent(MarketDataEvent):
    """Funding of one perp market: last settlement, next settlement, running estimate. Positive: longs pay shorts.

    Rates are per funding period, as the program settles them: what ``funding_period`` seconds cost, not an hour. The
    properties bring them to the hour, to eight hours and to the year; they are ``None`` under a period under which the
    program settles nothing (zero, or more than a day).
    """

    kind: ClassVar[Kind] = "funding"

    funding_rate: FundingRate
    """Last settled rate, per funding period. Source: ``amm.last_funding_rate``."""
    funding_rate_long: FundingRate
    """Last settled rate of the long side, per funding period. Source: ``amm.last_funding_rate_long``."""
    funding_rate_short: FundingRate
    """Last settled rate of the short side, per funding period. Source: ``amm.last_funding_rate_short``."""
    funding_rate_ts: Seconds
    """When it was settled. Source: ``amm.last_funding_rate_ts``."""
    funding_period: int
    """Seconds between settlements, by the program's setting now. Source: ``amm.funding_period``."""
    oracle_twap_at_funding: Price
    """Oracle TWAP that the last settlement used. Source: ``amm.last_funding_oracle_twap``."""
    funding_rate_24h_avg: FundingRate
    """The program's average of the settled rates over 24 hours, per funding period as they are: at eight hours, what
    eight hours cost. Source: ``amm.last_24h_avg_funding_rate``."""
    cumulative_funding_rate_long: I128[CumulativeFunding]
    """Sum of the settled rates since the market began, long side. Source: ``amm.cumulative_funding_rate_long``."""
    cumulative_funding_rate_short: I128[CumulativeFunding]
    """Sum of the settled rates since the market began, short side. Source: ``amm.cumulative_funding_rate_short``."""
    next_funding_ts: Seconds | None
    """Earliest next settlement by the program's on-the-hour rule; ``None`` where nothing settles under the period."""
    estimated_funding_rate_long: FundingRate | None
    """ESTIMATE of the running period's long rate, per funding period, on live TWAPs; ``None`` where the oracle is
    missing or nothing settles under the period."""
    estimated_funding_rate_short: FundingRate | None
    """ESTIMATE of the running period's short rate, per funding period, on live TWAPs; ``None`` where the oracle is
    missing or nothing settles under the period."""
    mark_twap: U64[Price]
    """Mark price TWAP over the funding period. Source: ``amm.last_mark_price_twap``."""
    oracle_twap: Price
    """Oracle price TWAP over the funding period. Source: ``amm.historical_oracle_data.last_oracle_price_twap``."""
    is_paused: bool
    """Funding does not settle: exchange, market status or paused operations forbid it."""

    @property
    def hourly_rate(self) -> float | None:
        """Last settled rate as a fraction of price per hour; ``None`` before the first settlement."""
        return hourly_rate(self.funding_rate, self.oracle_twap_at_funding, self.funding_period)

    @property
    def rate_8h_percent(self) -> float | None:
        """Last settled rate in percent of price per eight hours."""
        rate = self.hourly_rate
        return None if rate is None else rate_8h_percent(rate)

    @property
    def apr_percent(self) -> float | None:
        """Last settled rate in percent of price per year of 365.25 days, not compounded."""
        rate = self.hourly_rate
        return None if rate is None else apr_percent(rate)

    @property
    def estimated_hourly_rate_long(self) -> float | None:
        """ESTIMATE for longs as a fraction of the oracle TWAP per hour."""
        rate = self.estimated_funding_rate_long
        return None if rate is None else hourly_rate(rate, self.oracle_twap, self.funding_period)

    @property
    def estimated_hourly_rate_short(self) -> float | None:
        """ESTIMATE for shorts as a fraction of the oracle TWAP per hour."""
        rate = self.estimated_funding_rate_short
        return None if rate is None else hourly_rate(rate, self.oracle_twap, self.funding_period)

    @property
    def exact(self) -> ScaledFunding[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.oracle_twap``."""
        return ScaledFunding(self, Decimal)

    @property
    def floats(self) -> ScaledFunding[float]:
        """The integer fields in natural units, convenient: ``event.floats.oracle_twap``."""
        return ScaledFunding(self, float)
