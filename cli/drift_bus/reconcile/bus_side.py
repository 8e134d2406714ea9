"""Reads the perp markets that are on the bus now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from nats.aio.client import Client

from drift_bus.buckets import read_bucket
from drift_bus.errors import CommandError, complain
from drift_bus.reconcile.figures import Field, FundingBasis, MarketFigures, bus_funding
from drift_schemas import (
    FundingEvent,
    Kind,
    MarketDataEvent,
    MarketEvent,
    MessageError,
    PriceEvent,
    Topology,
    decode_event,
)

__all__ = ["BusMarkets", "Origin", "read_bus"]

_KINDS: Final[tuple[Kind, ...]] = ("funding", "price", "market")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a figure of the bus comes from.

    Attributes:
        slot: Of the event.
        age_s: Since the event was last confirmed, by the server's clock.
    """

    slot: int
    age_s: float


@dataclass(frozen=True, slots=True)
class BusMarkets:
    """The perp markets of the bus.

    Attributes:
        markets: By name.
        origins: By name, then by kind of event; a kind without a fresh event is not there.
        programs: What the events say they are from, sorted; more than one is unusual.
        clusters: The same for the cluster.
    """

    markets: dict[str, MarketFigures]
    origins: dict[str, dict[Kind, Origin]]
    programs: list[str]
    clusters: list[str]

    @property
    def is_simulated(self) -> bool:
        """Some of it is invented."""
        return "simulated" in self.clusters


async def read_bus(client: Client, topology: Topology, *, basis: FundingBasis) -> BusMarkets:
    """Reads the fresh funding, price and market events of all perp markets.

    Raises:
        CommandError: a bucket is not there, or there is no fresh perp market.
    """
    events: dict[str, dict[Kind, MarketDataEvent]] = {}
    origins: dict[str, dict[Kind, Origin]] = {}
    for kind in _KINDS:
        for value in await read_bucket(client, topology, kind):
            try:
                event = decode_event(kind, value.payload, value.headers)
            except MessageError as error:
                complain(f"refused {topology.bucket(kind)} key {value.token}: {error}")
                continue
            if event.market_type == "perp":
                events.setdefault(event.market, {})[kind] = event
                origins.setdefault(event.market, {})[kind] = Origin(event.slot, round(value.age_s, 3))
    if not events:
        raise CommandError(
            f"no fresh perp market on the bus {topology.prefix!r}: is a publisher running? See 'drift-bus status'"
        )
    everything = [event for of_kind in events.values() for event in of_kind.values()]
    return BusMarkets(
        {name: _figures(name, of_kind, basis) for name, of_kind in events.items()},
        origins,
        sorted({event.program for event in everything}),
        sorted({event.cluster for event in everything}),
    )


def _figures(name: str, events: Mapping[Kind, MarketDataEvent], basis: FundingBasis) -> MarketFigures:
    values: dict[Field, Decimal | None] = {}
    settled = None
    for event in events.values():
        if isinstance(event, FundingEvent):
            values |= bus_funding(event, basis)
            settled = event.funding_rate_ts
        elif isinstance(event, PriceEvent):
            values["oracle_price"], values["mark_price"] = event.exact.oracle_price, event.exact.mark_price
        elif isinstance(event, MarketEvent):
            values["open_interest_long"] = event.exact.open_interest_long
            values["open_interest_short"] = event.exact.open_interest_short
    return MarketFigures(name, next(iter(events.values())).market_index, values, settled)
