"""Metrics: every count under its name and labels, no key in any of them, and the same numbers as the status."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.deliveries import Deliveries
from drift_publisher.health import Health
from drift_publisher.lanes import Lane, Message
from drift_publisher.metrics import PublisherCollector
from drift_publisher.nats_client import NatsClient

from .conftest import KEY

NAME = "https://a.example/…"


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


async def test_what_each_market_got_and_how_long_it_took(chain: Chain, registry: CollectorRegistry) -> None:
    def message(kind: str, news_age_s: float | None, *, is_reassertion: bool = False) -> Message:
        return Message(f"in.drift.{kind}.SOL-PERP", b"", {}, 0.0, lambda: None, 10.0, news_age_s, is_reassertion)

    lanes = [Lane(0), Lane(1)]
    lanes[0].acked += [
        (message("price", 0.002), 10.001, 10.004),
        (message("price", 0.2), 10.001, 10.901),
        (message("price", None, is_reassertion=True), 10.0, 10.0001),
    ]
    lanes[1].acked += [(message("funding", None), 10.0, 10.02)]
    deliveries = Deliveries()
    deliveries.take(lanes)
    deliveries.take(lanes)
    assert not any(lane.acked for lane in lanes)
    health = Health()
    health.chain, health.bus = chain, Bus(NatsClient())
    health.bus.deliveries = deliveries
    registry = CollectorRegistry()
    registry.register(PublisherCollector(health))

    def published(kind: str, what: str) -> float | None:
        return value(registry, "drift_events_published_total", kind=kind, market="SOL-PERP", what=what)

    assert [published("price", what) for what in ("change", "reassertion")] == [2, 1]
    assert [published("funding", what) for what in ("change", "reassertion")] == [1, 0]

    def of(stage: str, end: str, kind: str = "price", **labels: str) -> float | None:
        return value(registry, f"drift_{stage}_seconds_{end}", kind=kind, **labels)

    assert of("publish_to_ack", "count") == 3
    assert of("publish_to_ack", "sum") == pytest.approx(0.003 + 0.9 + 0.0001)
    assert [of("publish_to_ack", "bucket", le=le) for le in ("0.0005", "0.005", "1.0", "2.5", "+Inf")] == [
        1,
        2,
        3,
        3,
        3,
    ]
    assert of("notification_to_publish", "sum") == pytest.approx(0.003 + 0.201)
    assert of("notification_to_ack", "sum") == pytest.approx(0.006 + 1.101)
    assert of("notification_to_ack", "count", kind="funding") == 0
    assert of("publish_to_ack", "count", kind="funding") == 1


async def test_the_client_and_what_it_saves(chain: Chain, registry: CollectorRegistry) -> None:
    chain.status.notified = 8
    assert chain.client.account_subscriber.get_perp_market_and_slot(0) is None
    assert chain.client.account_subscriber.get_oracle_price_data_and_slot_for_spot_market(3) is None
    assert value(registry, "drift_requests_saved_total") == 8
    assert value(registry, "drift_client_ref_count") == 0
    assert value(registry, "drift_cache_hits_total") == 0
    assert value(registry, "drift_cache_misses_total") == 2
