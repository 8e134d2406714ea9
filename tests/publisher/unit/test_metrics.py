"""Metrics: every count under its name and labels, no key in any of them, and the same numbers as the status."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.health import Health
from drift_publisher.lag import LagLimits
from drift_publisher.metrics import PublisherCollector
from drift_publisher.nats_client import NatsClient
from drift_publisher.profiles import DRIFT_V2
from drift_publisher.rpc import RpcClient

KEY = "SECRETKEY12345"
NAME = "https://a.example/…"


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    """A chain that has run for a while, without having run."""
    urls = [(f"https://{name}.example/{KEY}", f"wss://{name}.example/{KEY}") for name in "ab"]
    pool = EndpointPool([Endpoint(*url) for url in urls])
    limits = LagLimits(150, 60.0)
    async with (
        RpcClient(pool) as rpc,
        Chain(
            DRIFT_V2, pool, rpc, markets=(), mode="websocket", poll_every_s=1.0, silence_s=5.0, quiet_s=30.0,
            limits=limits,
            on_update=lambda _: None,
        ) as chain,
    ):  # fmt: skip
        yield chain


@pytest.fixture
def registry(chain: Chain) -> CollectorRegistry:
    health = Health()
    health.nats, health.chain, health.bus = NatsClient(), chain, Bus(NatsClient())
    health.bus.counts.update(stored=7, refused=2)
    registry = CollectorRegistry()
    registry.register(PublisherCollector(health))
    return registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


async def test_traffic_by_endpoint_and_method(chain: Chain, registry: CollectorRegistry) -> None:
    traffic = chain.pool.endpoints[0].traffic
    traffic.requests.update(getSlot=3, getMultipleAccounts=5)
    traffic.failures.update(getSlot=1)
    traffic.throttled, traffic.retries, traffic.sockets_opened = 4, 6, 2
    traffic.bytes_in, traffic.bytes_out = 1000, 100
    assert value(registry, "drift_rpc_requests_total", endpoint=NAME, method="getSlot") == 3
    assert value(registry, "drift_rpc_requests_total", endpoint=NAME, method="getMultipleAccounts") == 5
    assert value(registry, "drift_rpc_errors_total", endpoint=NAME, method="getSlot") == 1
    for name, expected in {
        "drift_rpc_throttled_total": 4,
        "drift_rpc_retries_total": 6,
        "drift_rpc_sockets_opened_total": 2,
        "drift_rpc_received_bytes_total": 1000,
        "drift_rpc_sent_bytes_total": 100,
    }.items():
        assert value(registry, name, endpoint=NAME) == expected
        assert value(registry, name, endpoint="https://b.example/…") == 0


async def test_budget_and_circuit(chain: Chain, registry: CollectorRegistry) -> None:
    endpoint = chain.pool.current
    assert value(registry, "drift_rpc_budget_level", endpoint=NAME) == 20
    assert value(registry, "drift_rpc_circuit_open", endpoint=NAME) == 0
    await endpoint.budget.acquire(20)
    endpoint.budget.pause(60)
    for _ in range(5):
        endpoint.breaker.failed()
    assert value(registry, "drift_rpc_budget_level", endpoint=NAME) == pytest.approx(0, abs=0.01)
    assert value(registry, "drift_rpc_circuit_open", endpoint=NAME) == 1


async def test_source_and_store(chain: Chain, registry: CollectorRegistry) -> None:
    status = chain.status
    status.note_slot(123)
    status.state, status.sockets, status.subscriptions, status.reconnects = "live", 1, 44, 9
    chain.store.refused.update({"owner": 2, "slot went backwards": 1})
    states = {
        state: value(registry, "drift_source_state", state=state)
        for state in ("connecting", "live", "polling", "stalled", "stopped")
    }
    assert states == {"connecting": 0, "live": 1, "polling": 0, "stalled": 0, "stopped": 0}
    assert value(registry, "drift_slot") == 123
    assert value(registry, "drift_slot_age_seconds") == pytest.approx(0, abs=1)
    assert value(registry, "drift_rpc_sockets") == 1
    assert value(registry, "drift_rpc_subscriptions") == 44
    assert value(registry, "drift_subscription_failures_total") == 9
    assert value(registry, "drift_accounts_refused_total", reason="owner") == 2
    assert value(registry, "drift_accounts_refused_total", reason="slot went backwards") == 1
    chain.pool.failed(chain.pool.current, "down", at_once=True)
    assert value(registry, "drift_rpc_failovers_total") == 1


async def test_events_by_what_became_of_them(registry: CollectorRegistry) -> None:
    assert value(registry, "drift_events_total", outcome="stored") == 7
    assert value(registry, "drift_events_total", outcome="refused") == 2
    assert value(registry, "drift_events_total", outcome="superseded") == 0


async def test_no_key_is_in_any_of_it(chain: Chain, registry: CollectorRegistry) -> None:
    chain.pool.current.traffic.requests.update(getSlot=1)
    chain.status.lost(f"wss://a.example/{KEY} refused")
    text = generate_latest(registry).decode()
    assert NAME in text
    assert KEY not in text
