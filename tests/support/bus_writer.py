"""A stand-in for the publisher: makes the stream and the buckets, and stores events as one would."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Self

from nats.aio.client import Client
from nats.errors import Error as NatsError

from drift_schemas import (
    CONTENT_TYPE,
    MSG_ID_HEADER,
    REASSERTION_HEADER,
    SCHEMA_HEADER,
    TTL_HEADER,
    FundingEvent,
    Kind,
    MarketDataEvent,
    MarketEvent,
    PriceEvent,
    SpotMarketEvent,
    StatusEvent,
    Topology,
    bucket_ttl_s,
    encode,
    schema_of,
)
from drift_schemas.access import NatsAccess, close_quietly

__all__ = ["BusWriter", "funding_event", "market_event", "price_event", "sample", "spot_event", "status_event"]


_STORE_FAILED = 10049
_CREATE_TRIES = 10


class ServerSaidNo(RuntimeError):
    """JetStream answered a request with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error = error


def _common(market: str, index: int, market_type: str = "perp") -> dict[str, Any]:
    now = time.time_ns()
    return {
        "program": "drift-v2",
        "cluster": "simulated",
        "epoch": 1,
        "slot": 300_000_000,
        "published_at_ns": now,
        "observed_at_ns": now,
        "market": market,
        "market_type": market_type,
        "market_index": index,
    }


def price_event(market: str = "SOL-PERP", oracle_price: int = 150_000_000, **changed: Any) -> PriceEvent:
    """A price as the publisher would write it."""
    fields = {
        **_common(market, 0, "perp" if market.endswith("-PERP") else "spot"),
        "oracle_price": oracle_price,
        "oracle_confidence": 10_000,
        "oracle_slot": 300_000_000,
        "oracle_source": "PythLazer",
        "oracle_is_valid": True,
        "bid_price": oracle_price - 1_000,
        "ask_price": oracle_price + 1_000,
        "mark_price": oracle_price,
        "mark_twap": oracle_price,
        "mark_twap_5min": oracle_price,
        "oracle_twap": oracle_price,
        "oracle_twap_5min": oracle_price,
    }
    return PriceEvent(**{**fields, **changed})


def funding_event(market: str = "SOL-PERP", funding_rate: int = 1_500_000, **changed: Any) -> FundingEvent:
    """Funding as the publisher would write it: 1e-5 of price an hour at 150."""
    fields = {
        **_common(market, 0),
        "funding_rate": funding_rate,
        "funding_rate_long": funding_rate,
        "funding_rate_short": funding_rate,
        "funding_rate_ts": 1_700_000_000,
        "funding_period": 3600,
        "oracle_twap_at_funding": 150_000_000,
        "funding_rate_24h_avg": funding_rate,
        "cumulative_funding_rate_long": 10**18,
        "cumulative_funding_rate_short": -(10**18),
        "next_funding_ts": 1_700_003_600,
        "estimated_funding_rate_long": funding_rate,
        "estimated_funding_rate_short": funding_rate,
        "mark_twap": 150_010_000,
        "oracle_twap": 150_000_000,
        "is_paused": False,
    }
    return FundingEvent(**{**fields, **changed})


def market_event(market: str = "SOL-PERP", **changed: Any) -> MarketEvent:
    """Slow facts of a perp market."""
    fields = {
        **_common(market, 0),
        "symbol": market,
        "status": "Active",
        "contract_type": "Perpetual",
        "contract_tier": "A",
        "paused_operations": 0,
        "open_interest_long": 5 * 10**14,
        "open_interest_short": 4 * 10**14,
        "max_open_interest": 0,
        "volume_24h": 10**14,
        "margin_ratio_initial": 500,
        "margin_ratio_maintenance": 300,
        "order_step_size": 10_000_000,
        "order_tick_size": 100,
        "min_order_size": 10_000_000,
        "number_of_users": 1234,
        "expiry_ts": 0,
        "oracle": "3m6i4RFWEDw2Ft4tFHPJtYgmpPe21k56M3FHeWYrgGBz",
        "oracle_source": "PythLazer",
    }
    return MarketEvent(**{**fields, **changed})


def spot_event(market: str = "SOL", **changed: Any) -> SpotMarketEvent:
    """State of a spot market."""
    fields = {
        **_common(market, 1, "spot"),
        "symbol": market,
        "status": "Active",
        "asset_tier": "Collateral",
        "mint": "So11111111111111111111111111111111111111112",
        "decimals": 9,
        "deposit_balance": 10**15,
        "borrow_balance": 10**14,
        "utilization": 100_000,
        "deposit_rate": 20_000,
        "borrow_rate": 50_000,
        "cumulative_deposit_interest": 10**10,
        "cumulative_borrow_interest": 10**10,
        "initial_asset_weight": 8_000,
        "maintenance_asset_weight": 9_000,
        "initial_liability_weight": 12_000,
        "maintenance_liability_weight": 11_000,
        "oracle": "3m6i4RFWEDw2Ft4tFHPJtYgmpPe21k56M3FHeWYrgGBz",
        "oracle_source": "PythLazer",
    }
    return SpotMarketEvent(**{**fields, **changed})


def status_event(**changed: Any) -> StatusEvent:
    """A heartbeat of a healthy publisher."""
    now = time.time_ns()
    fields = {
        **{name: _common("", 0)[name] for name in ("program", "cluster", "epoch", "slot", "published_at_ns")},
        "publisher_id": "test-1",
        "started_at_ns": now,
        "slot_at_ns": now,
        "source_state": "live",
        "reason": "",
        "rpc_sockets": 1,
        "rpc_subscriptions": 3,
        "rpc_requests_total": 10,
        "rpc_errors_total": 0,
        "rpc_reconnects_total": 0,
        "refused_accounts_total": 0,
        "markets": ("SOL-PERP", "SOL"),
        "stale_markets": (),
        "events_published_total": 0,
        "events_dropped_total": 0,
    }
    return StatusEvent(**{**fields, **changed})


_SAMPLES: dict[Kind, Callable[..., MarketDataEvent]] = {
    "funding": funding_event,
    "price": price_event,
    "market": market_event,
    "spot": spot_event,
}


def sample(kind: Kind, market: str, **changed: Any) -> MarketDataEvent:
    """An event of any kind."""
    return _SAMPLES[kind](market, **changed)


class BusWriter:
    """One connection that writes as the publisher does; every write is acknowledged by the stream.

    >>> async with BusWriter(server.url) as bus:
    ...     sequence = await bus.change(price_event("SOL-PERP", 151_000_000))
    """

    _run = itertools.count()

    def __init__(self, url: str, *, prefix: str = "drift", make: bool = True, access: NatsAccess | None = None) -> None:
        self._access = access or NatsAccess()
        self.topology = Topology(prefix)
        self.stored: dict[str, list[tuple[int, MarketDataEvent]]] = {}
        """Acknowledged changes by public subject, with their sequences, in order."""
        self._url = url
        self._make = make
        self._ids = itertools.count()
        self._name = f"w{next(self._run)}"
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The NATS client."""
        assert self._client is not None
        return self._client

    async def __aenter__(self) -> Self:
        self._client = client = Client()
        await client.connect(
            self._url.split(","),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]
            error_cb=_ignore,
            **self._access.login().options_for(client),
        )
        if self._make:
            try:
                await self.make_stream()
            except BaseException:
                await close_quietly(self.client)
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await close_quietly(self.client)

    async def make_stream(self) -> None:
        """Makes the stream and its buckets."""
        for config in self.topology.configs():
            await self._create(config)

    async def delete_stream(self) -> None:
        """Deletes the stream; its buckets stay."""
        await self._api(f"STREAM.DELETE.{self.topology.stream}", {})

    async def delete_everything(self) -> None:
        """Deletes the buckets and the streams."""
        for config in reversed(self.topology.configs()):
            await self._api(f"STREAM.DELETE.{config['name']}", {})

    async def delete_message(self, sequence: int) -> None:
        """Removes one message from the stream, as its TTL would."""
        await self._api(f"STREAM.MSG.DELETE.{self.topology.stream}", {"seq": sequence, "no_erase": True})

    async def change(self, event: MarketDataEvent) -> int:
        """Stores a change; returns its sequence."""
        sequence = await self._store(event, {})
        self.stored.setdefault(self.topology.subjects.public(event.kind, event.market), []).append((sequence, event))
        return sequence

    async def reassert(self, event: MarketDataEvent) -> int:
        """Confirms an unchanged value, which leaves the history after its TTL."""
        return await self._store(event, {REASSERTION_HEADER: "1", TTL_HEADER: f"{bucket_ttl_s(event.kind)}s"})

    async def raw(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> int:
        """Stores anything on an ingress subject; returns its sequence."""
        return await self._publish(f"in.{subject}", payload, headers or {})

    async def beat(self, **changed: Any) -> None:
        """Sends one heartbeat."""
        event = status_event(**changed)
        await self.client.publish(
            self.topology.subjects.status, encode(event), headers={SCHEMA_HEADER: schema_of("status")}
        )

    async def _store(self, event: MarketDataEvent, headers: dict[str, str]) -> int:
        return await self._publish(
            self.topology.subjects.ingress(event.kind, event.market),
            encode(event),
            {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of(event.kind), **headers},
        )

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Publishes until it is acknowledged, always under the same id, as the publisher does over an outage."""
        headers = {MSG_ID_HEADER: f"{self._name}-{next(self._ids)}", **headers}
        while True:
            try:
                answer = await self.client.request(subject, payload, timeout=1.0, headers=headers)
            except NatsError:
                await asyncio.sleep(0.05)
                continue
            said = json.loads(answer.data)
            if "error" in said:
                raise RuntimeError(said["error"])
            return int(said["seq"])

    async def _create(self, config: dict[str, Any]) -> None:
        """Creates one stream; again where the server's disk was not ready for it, as under a heavy load."""
        for _ in range(_CREATE_TRIES - 1):
            try:
                await self._api(f"STREAM.CREATE.{config['name']}", config)
            except ServerSaidNo as no:
                if no.error.get("err_code") != _STORE_FAILED:
                    raise
                await asyncio.sleep(0.5)
            else:
                return
        await self._api(f"STREAM.CREATE.{config['name']}", config)

    async def _api(self, what: str, wish: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.request(f"$JS.API.{what}", json.dumps(wish).encode(), timeout=30)
        said: dict[str, Any] = json.loads(answer.data)
        if "error" in said:
            raise ServerSaidNo(said["error"])
        return said


async def _ignore(_: Exception) -> None:
    pass
