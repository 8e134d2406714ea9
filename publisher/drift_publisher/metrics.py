"""What Prometheus may ask: the counts that source, store, endpoints and bus already keep."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.errors import SettingsError

__all__ = ["PublisherCollector", "serving_metrics"]

_STATES: Final = ("connecting", "live", "polling", "stalled", "stopped")
_BUS_OUTCOMES: Final = ("stored", "duplicate", "retried", "superseded", "stale", "refused")


class PublisherCollector(Collector):
    """A prometheus-client collector: ``registry.register(PublisherCollector(chain, bus))``.

    Endpoints are labelled by scheme and host; a key never becomes a label.
    """

    def __init__(self, chain: Chain, bus: Bus) -> None:
        self._chain = chain
        self._bus = bus

    def collect(self) -> Iterator[Metric]:
        """Yields every metric, as it is now."""
        yield from self._endpoint_metrics()
        yield from self._source_metrics()
        events = CounterMetricFamily("drift_events", "Events by what became of them.", labels=["outcome"])
        for outcome in _BUS_OUTCOMES:
            events.add_metric([outcome], self._bus.counts[outcome])
        yield events

    def _endpoint_metrics(self) -> Iterator[Metric]:
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
        for endpoint in self._chain.pool.endpoints:
            traffic, name = endpoint.traffic, [endpoint.name]
            for method, count in traffic.requests.items():
                requests.add_metric([endpoint.name, method], count)
            for method, count in traffic.failures.items():
                errors.add_metric([endpoint.name, method], count)
            throttled.add_metric(name, traffic.throttled)
            retries.add_metric(name, traffic.retries)
            received.add_metric(name, traffic.bytes_in)
            sent.add_metric(name, traffic.bytes_out)
            sockets.add_metric(name, traffic.sockets_opened)
            budget.add_metric(name, endpoint.budget.level)
            breaker.add_metric(name, float(endpoint.breaker.is_open))
        yield from (requests, errors, throttled, retries, received, sent, sockets, budget, breaker)

    def _source_metrics(self) -> Iterator[Metric]:
        status, store = self._chain.status, self._chain.store
        state = GaugeMetricFamily("drift_source_state", "1 for the state that the source is in.", labels=["state"])
        for known in _STATES:
            state.add_metric([known], float(status.state == known))
        yield state
        yield GaugeMetricFamily("drift_slot", "Newest slot seen.", value=status.slot)
        yield GaugeMetricFamily("drift_slot_age_seconds", "Time since it was new.", value=status.silent_for_s())
        yield GaugeMetricFamily("drift_rpc_sockets", "Sockets open to the endpoint.", value=status.sockets)
        yield GaugeMetricFamily("drift_rpc_subscriptions", "Subscriptions on them.", value=status.subscriptions)
        yield CounterMetricFamily("drift_subscription_failures", "Sockets lost.", value=status.reconnects)
        yield CounterMetricFamily(
            "drift_subscriptions_renewed", "Subscriptions that fell silent and were made anew.", value=status.renewed
        )
        refused = CounterMetricFamily("drift_accounts_refused", "Accounts refused, by reason.", labels=["reason"])
        for reason, count in store.refused.items():
            refused.add_metric([reason], count)
        yield refused
        failovers = self._chain.pool.failovers_total
        yield CounterMetricFamily("drift_rpc_failovers", "Times that another endpoint was put to use.", value=failovers)


@contextlib.contextmanager
def serving_metrics(collector: Collector, *, host: str, port: int) -> Iterator[None]:
    """Answers Prometheus on ``http://host:port/metrics``.

    Raises:
        SettingsError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise SettingsError(f"metrics_port (DRIFT_BUS_METRICS_PORT): {host}:{port}: {error.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
