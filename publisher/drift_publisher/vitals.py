"""The publisher's HTTP port: ``/livez``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from drift_publisher.errors import SettingsError
from drift_publisher.health import Health
from drift_publisher.http_server import Answer, serving_http
from drift_publisher.metrics import PublisherCollector

__all__ = ["serving_vitals"]

_OK: Final = 200
_UNAVAILABLE: Final = 503


@contextlib.asynccontextmanager
async def serving_vitals(health: Health, *, host: str, port: int) -> AsyncIterator[int]:
    """Answers ``/livez``, ``/readyz`` and ``/metrics`` on ``http://host:port``.

    ``/livez`` is 200 as long as the event loop turns. ``/readyz`` is 200 while fresh values go onto the bus, else 503;
    its body is a JSON object that says why, per market too. A standby is alive and not ready. Yields the port.

    Raises:
        SettingsError: the port is taken.
    """
    collectors = (PublisherCollector(health), ProcessCollector(registry=CollectorRegistry()))

    async def livez() -> Answer:
        return _json(_OK, {"alive": True, "uptime_s": round(time.monotonic() - health.began_at, 3)})

    async def readyz() -> Answer:
        readiness = health.readiness()
        return _json(_OK if readiness.ready else _UNAVAILABLE, readiness.as_json())

    async def metrics() -> Answer:
        return Answer(_OK, CONTENT_TYPE_LATEST, await _exposition(collectors))

    routes = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}
    async with contextlib.AsyncExitStack() as stack:
        try:
            bound = await stack.enter_async_context(serving_http(routes, host=host, port=port))
        except OSError as error:
            why = error.strerror or str(error)
            raise SettingsError(f"metrics_port (DRIFT_BUS_METRICS_PORT): {host}:{port}: {why}") from None
        yield bound


async def _exposition(collectors: Iterable[Collector]) -> bytes:
    """Renders family by family, and lets the events go first in between."""
    pieces = []
    for collector in collectors:
        for family in collector.collect():
            pieces.append(generate_latest(_Single(family)))
            await asyncio.sleep(0)
    return b"".join(pieces)


class _Single(CollectorRegistry):
    """A registry of one family."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> list[Metric]:
        return [self._family]


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n")
