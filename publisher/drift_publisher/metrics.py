"""What Prometheus may ask of a publisher: the counts that its parts already keep, and how it judges itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.deliveries import BOUNDS_S, STAGES, Histogram
from drift_publisher.health import Fault, Health, Readiness
from drift_publisher.topology_watch import BUCKET_TROUBLE, STREAM_TROUBLE
from drift_schemas import KINDS

__all__ = ["PublisherCollector"]

_STATES: Final = ("connecting", "live", "polling", "stalled", "stopped")
_BUS_OUTCOMES: Final = ("stored", "duplicate", "retried", "superseded", "stale", "refused")
_REASONS: Final = ("starting", "not leading", "NATS down", "source down", "name clash", STREAM_TROUBLE, BUCKET_TROUBLE)
_MARKET_REASONS: Final = ("oracle stale", "account stale", "not stored")
_STAGES: Final = {
    "notification_to_publish": "From a notification's arrival to the sending of the event that it brought.",
    "publish_to_ack": "From the sending of a message to the stream's acknowledgement.",
    "notification_to_ack": "From a notification's arrival to the acknowledgement of the event that it brought.",
}
_SAVED: Final = "Account reports that came by subscription: as many accounts that no HTTP request had to read."


class PublisherCollector(Collector):
    """A prometheus-client collector: ``registry.register(PublisherCollector(health))``.

    Collect in the publisher's event loop. Endpoints are labelled by scheme and host; a key never becomes a label.
    """

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yields every metric, as it is now; what the publisher does not have yet is left out."""
        health = self._health
        yield from _verdict(health, health.readiness())
        if health.nats is not None:
            yield GaugeMetricFamily("drift_nats_connected", "1 while there is a connection.", health.nats.is_connected)
            reconnects = health.nats.stats["reconnects"]
            yield CounterMetricFamily("drift_nats_reconnects", "Connections to NATS after the first.", reconnects)
        if health.chain is not None:
            yield from _client(health.chain)
            yield from _endpoints(health.chain)
            yield from _source(health.chain)
            yield _oracle_ages(health.chain)
        if health.bus is not None:
            yield from _bus(health.bus)


def _verdict(health: Health, readiness: Readiness) -> Iterator[Metric]:
    yield GaugeMetricFamily("drift_ready", "1 while fresh values go onto the bus.", readiness.ready)
    yield GaugeMetricFamily("drift_leading", "1 while this publisher is the one that publishes.", readiness.leads)
    yield GaugeMetricFamily("drift_epoch", "Epoch under which it publishes or last saw another.", readiness.epoch)
    yield _one_of(
        "drift_unready", "1 for each reason why it is not ready.", "reason", _REASONS, _names(readiness.reasons)
    )
    stale = GaugeMetricFamily("drift_market_stale", "1 for each fault of a market.", labels=["market", "reason"])
    for market, faults in readiness.markets.items():
        for fault in faults:
            stale.add_metric([market, fault.reason], 1)
    yield stale
    by_reason = GaugeMetricFamily("drift_markets_stale", "Markets with a fault, by fault.", labels=["reason"])
    for reason in _MARKET_REASONS:
        by_reason.add_metric([reason], sum(reason in _names(faults) for faults in readiness.markets.values()))
    yield by_reason
    if health.initialized_in_s is not None:
        text = "Seconds from the start until every market was read."
        yield GaugeMetricFamily("drift_initialization_time", text, health.initialized_in_s)


def _client(chain: Chain) -> Iterator[Metric]:
    subscriber = chain.client.account_subscriber
    references = "References to the client that this process shares: a publisher's DriftClient, an engine's feed."
    yield GaugeMetricFamily("drift_client_ref_count", references, subscriber.is_subscribed())
    yield CounterMetricFamily("drift_cache_hits", "Reads that were given a value from memory.", subscriber.hits)
    yield CounterMetricFamily("drift_cache_misses", "Reads of what is absent or not fresh.", subscriber.misses)
    yield CounterMetricFamily("drift_requests_saved", _SAVED, chain.status.notified)


def _endpoints(chain: Chain) -> Iterable[Metric]:
    by_method = ["endpoint", "method"]
    requests = CounterMetricFamily("drift_rpc_requests", "HTTP requests by JSON-RPC method.", labels=by_method)
    errors = CounterMetricFamily("drift_rpc_errors", "Those without a useful answer.", labels=by_method)
    one = ["endpoint"]
    throttled = CounterMetricFamily("drift_rpc_throttled", "HTTP 429 and WebSocket 429 answers.", labels=one)
    retries = CounterMetricFamily("drift_rpc_retries", "Requests that were a second or later try.", labels=one)
    received = CounterMetricFamily("drift_rpc_received_bytes", "Bytes from the endpoint.", labels=one)
    sent = CounterMetricFamily("drift_rpc_sent_bytes", "Bytes to the endpoint.", labels=one)
    sockets = CounterMetricFamily("drift_rpc_sockets_opened", "WebSocket handshakes that succeeded.", labels=one)
    budget = GaugeMetricFamily("drift_rpc_budget_level", "Requests that may go at once.", labels=one)
    breaker = GaugeMetricFamily("drift_rpc_circuit_open", "1 while the endpoint is not asked.", labels=one)
    in_use = GaugeMetricFamily("drift_rpc_endpoint_in_use", "1 for the endpoint in use.", labels=one)
    for endpoint in chain.pool.endpoints:
        traffic, name = endpoint.traffic, [endpoint.name]
        for method, count in traffic.requests.items():
            requests.add_metric([endpoint.name, method], count)
            errors.add_metric([endpoint.name, method], traffic.failures[method])
        throttled.add_metric(name, traffic.throttled)
        retries.add_metric(name, traffic.retries)
        received.add_metric(name, traffic.bytes_in)
        sent.add_metric(name, traffic.bytes_out)
        sockets.add_metric(name, traffic.sockets_opened)
        budget.add_metric(name, endpoint.budget.level)
        breaker.add_metric(name, float(endpoint.breaker.is_open))
        in_use.add_metric(name, float(endpoint is chain.pool.current))
    return (requests, errors, throttled, retries, received, sent, sockets, budget, breaker, in_use)


def _source(chain: Chain) -> Iterator[Metric]:
    status = chain.status
    yield _one_of("drift_source_state", "1 for the state that the source is in.", "state", _STATES, {status.state})
    yield GaugeMetricFamily("drift_slot", "Newest slot seen.", status.slot)
    yield GaugeMetricFamily("drift_slot_age_seconds", "Time since it was new.", status.silent_for_s())
    yield GaugeMetricFamily("drift_rpc_sockets", "Sockets open to the endpoint.", status.sockets)
    yield GaugeMetricFamily("drift_rpc_subscriptions", "Subscriptions on them.", status.subscriptions)
    yield CounterMetricFamily("drift_subscription_failures", "Sockets lost.", status.reconnects)
    renewed = "Subscriptions that fell silent and were made anew."
    yield CounterMetricFamily("drift_subscriptions_renewed", renewed, status.renewed)
    overdue = "Accounts neither heard of nor read lately: what rests on them runs out."
    yield GaugeMetricFamily("drift_accounts_overdue", overdue, len(chain.overdue()) if status.is_alive else 0)
    reread = "Accounts that were read again because nobody told of them."
    yield CounterMetricFamily("drift_accounts_reread", reread, status.reread)
    failed = "Requests for them without an answer of use."
    yield CounterMetricFamily("drift_accounts_reread_failures", failed, status.rereads_failed)
    histories = "Histories of slots: one more each time that the chain's slots start over lower."
    yield GaugeMetricFamily("drift_slot_histories", histories, status.histories)
    refused = CounterMetricFamily("drift_accounts_refused", "Accounts refused, by reason.", labels=["reason"])
    for reason, count in chain.store.refused.items():
        refused.add_metric([reason], count)
    yield refused
    failovers = "Times that another endpoint was put to use."
    yield CounterMetricFamily("drift_rpc_failovers", failovers, chain.pool.failovers_total)
    yield GaugeMetricFamily("drift_markets", "Markets that are followed.", len(chain.store.market_keys()))


def _oracle_ages(chain: Chain) -> Metric:
    ages = GaugeMetricFamily("drift_oracle_age_slots", "Slots since the oracle's price was posted.", labels=["market"])
    for key, market in chain.store.items():
        oracle = chain.store.oracle(market)
        if oracle is not None and oracle.slot:
            ages.add_metric([chain.store.names[key]], max(0, chain.status.slot - oracle.slot))
    return ages


def _bus(bus: Bus) -> Iterator[Metric]:
    events = CounterMetricFamily("drift_events", "Messages by what became of them.", labels=["outcome"])
    for outcome in _BUS_OUTCOMES:
        events.add_metric([outcome], bus.counts[outcome])
    yield events
    depth = GaugeMetricFamily("drift_queue_depth", "Messages on their way to the stream.", labels=["queue"])
    for queue, messages in bus.queue_depths().items():
        depth.add_metric([queue], messages)
    yield depth
    by_what = ["kind", "market", "what"]
    published = CounterMetricFamily("drift_events_published", "Messages that the stream has.", labels=by_what)
    for labels, count in bus.deliveries.published().items():
        published.add_metric(labels, count)
    yield published
    for stage in STAGES:
        seconds = HistogramMetricFamily(f"drift_{stage}_seconds", _STAGES[stage], labels=["kind"])
        for kind in KINDS:
            _add(seconds, kind, bus.deliveries.histograms.get((stage, kind), Histogram()))
        yield seconds


def _add(family: HistogramMetricFamily, kind: str, histogram: Histogram) -> None:
    below = [(str(bound), float(count)) for bound, count in zip(BOUNDS_S, histogram.below, strict=True)]
    family.add_metric([kind], [*below, ("+Inf", float(histogram.count))], histogram.total_s)


def _one_of(name: str, text: str, label: str, known: Iterable[str], now: Iterable[str]) -> Metric:
    family, now = GaugeMetricFamily(name, text, labels=[label]), set(now)
    for value in known:
        family.add_metric([value], float(value in now))
    return family


def _names(faults: Iterable[Fault]) -> set[str]:
    return {fault.reason for fault in faults}
