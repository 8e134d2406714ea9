"""What Prometheus may ask of a feed: references, cache hits, and what feed and streams tell about themselves.

Needs the extra ``metrics`` (prometheus-client); nothing else in this package does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from drift_subscribers.blocking import BlockingFeed
from drift_subscribers.feed import DriftFeed
from drift_subscribers.roster import OpenStream
from drift_subscribers.sharing import shared_feed_references
from drift_subscribers.statistics import FeedStatistics

__all__ = ["FeedCollector"]

_PATIENCE_S: Final = 5.0
_MESSAGES: Final = ("changes", "reassertions", "duplicates")
_FEED_GAUGES: Final = {
    "connected": "1 while there is a connection to NATS.",
    "markets": "Names seen, of any kind.",
    "entries": "Values in memory, fresh or not.",
    "streams": "Open streams.",
}
_FEED_COUNTERS: Final = {
    "gaps": "Times that messages were missing in between.",
    "repaired": "Changes read from the stream because they were missing.",
    "repairs_failed": "Repairs that the server did not answer.",
    "resyncs": "Snapshots taken.",
    "resyncs_failed": "Snapshots that the server did not answer.",
    "recreations": "Times that the stream turned out to be another one.",
    "disconnects": "Times that the connection was lost.",
    "overflows": "Messages that the client library dropped because we were slow.",
}
_STREAM_GAUGES: Final = {
    "depth": "Events waiting in memory for the consumer.",
    "behind": "1 while the consumer reads what it missed from the stream.",
    "oldest_age_s": "Time that the oldest waiting event has waited.",
}
_STREAM_COUNTERS: Final = {
    "delivered": "Events handed to the consumer.",
    "conflated": "Events replaced by a newer one before they were delivered.",
    "dropped": "Events given up because the buffer was full.",
    "repaired": "Events read from the stream instead of from memory.",
}
_STREAM_LABELS: Final = ("stream", "kind", "market", "policy")


@dataclass(frozen=True, slots=True)
class _Sample:
    """A feed's numbers, all of one moment."""

    feed: FeedStatistics
    streams: list[OpenStream]
    hits: int
    misses: int
    heartbeat_age_s: float | None


class FeedCollector:
    """A prometheus-client collector of one feed: ``registry.register(FeedCollector(feed))``.

    Make it in the event loop of a ``DriftFeed``, or anywhere for a ``BlockingFeed``. Prometheus may scrape from
    any thread: the numbers are taken in the feed's event loop, for which a scrape waits 5 s at most. A stream's
    series are labelled with its number, kind, market (empty for all) and policy, and end when it is closed.

    Raises:
        ImportError: prometheus-client is not installed.
    """

    def __init__(self, feed: DriftFeed | BlockingFeed) -> None:
        try:
            import prometheus_client  # noqa: F401
        except ImportError:
            raise ImportError("FeedCollector needs prometheus-client: pip install 'drift-bus[metrics]'") from None
        self._feed = feed
        self._loop = _running_loop()

    def collect(self) -> Iterator[Any]:
        """Yields every metric, as it is now.

        Raises:
            TimeoutError: the feed's event loop was blocked.
        """
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        sample = self._sample()
        references = shared_feed_references()
        yield GaugeMetricFamily("drift_client_ref_count", "References to this process's shared feeds.", references)
        yield CounterMetricFamily("drift_cache_hits", "Reads that were given a value.", sample.hits)
        yield CounterMetricFamily("drift_cache_misses", "Reads of what is absent or not fresh.", sample.misses)
        for name, text in _FEED_GAUGES.items():
            yield GaugeMetricFamily(f"drift_feed_{name}", text, float(getattr(sample.feed, name)))
        for name, text in _FEED_COUNTERS.items():
            yield CounterMetricFamily(f"drift_feed_{name}", text, getattr(sample.feed, name))
        messages = CounterMetricFamily("drift_feed_messages", "Messages believed, by what they were.", labels=["what"])
        for name in _MESSAGES:
            messages.add_metric([name], getattr(sample.feed, name))
        refused = CounterMetricFamily("drift_feed_refused", "Messages not believed, by cause.", labels=["cause"])
        for cause, count in sample.feed.refused.items():
            refused.add_metric([cause], count)
        age = GaugeMetricFamily("drift_feed_heartbeat_age_seconds", "Time since the publisher's last heartbeat.")
        if sample.heartbeat_age_s is not None:
            age.add_metric([], sample.heartbeat_age_s)
        yield from (messages, refused, age)
        for names, family in ((_STREAM_GAUGES, GaugeMetricFamily), (_STREAM_COUNTERS, CounterMetricFamily)):
            for name, text in names.items():
                public = f"drift_stream_{name.removesuffix('_s')}" + ("_seconds" if name.endswith("_s") else "")
                metric = family(public, text, labels=_STREAM_LABELS)
                for stream in sample.streams:
                    metric.add_metric(_labels(stream), float(getattr(stream.statistics, name)))
                yield metric

    def _sample(self) -> _Sample:
        if self._loop is None or self._loop is _running_loop() or not self._loop.is_running():
            return self._sample_here()

        async def sample() -> _Sample:
            return self._sample_here()

        return asyncio.run_coroutine_threadsafe(sample(), self._loop).result(_PATIENCE_S)

    def _sample_here(self) -> _Sample:
        feed = self._feed
        return _Sample(
            feed=feed.statistics(),
            streams=feed.stream_statistics(),
            hits=feed.cache_hits,
            misses=feed.cache_misses,
            heartbeat_age_s=feed.status_age_s(),
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _labels(stream: OpenStream) -> list[str]:
    return [str(stream.number), stream.kind, stream.market or "", type(stream.policy).__name__]
