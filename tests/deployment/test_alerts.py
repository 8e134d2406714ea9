"""Alert rules and dashboard ask for metrics that there are, with labels that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.vitals import serving_vitals
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers.metrics import FeedCollector
from drift_subscribers.testing import FakeFeed
from tests.support.publishing import chain_of, running_publisher
from tests.support.wait import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "drift-bus.rules.yml"
DASHBOARD = DEPLOY / "grafana-dashboard.json"
OPERATIONS = DEPLOY.parent / "docs" / "operations.md"

_NAME = re.compile(r"\b(?:drift|process)_[a-z_]+\b")
_SELECTOR = re.compile(r'\b((?:drift|process)_[a-z_]+)\{(\w+)="([^"]+)"\}')
_SUFFIX = re.compile(r"_(?:total|bucket)$")


def rule_expressions() -> Iterator[str]:
    """What follows ``expr:``, with the lines of a folded one."""
    text = RULES.read_text()
    assert (DEPLOY / "prometheus" / "prometheus.yml").read_text().count("*.rules.yml") == 1
    for found in re.finditer(r"^ +expr: (.*(?:\n {10}\S.*)*)", text, re.MULTILINE):
        yield found[1]


def panel_expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def families(page: str) -> set[str]:
    """Names of the families, counters without their suffix."""
    return {_SUFFIX.sub("", line.split()[2]) for line in page.splitlines() if line.startswith("# TYPE ")}


@pytest.fixture
async def publisher_page(nats_server: LocalNatsServer) -> str:
    """What a running publisher's /metrics says, once it has published."""
    config = SimulatorConfig(host="127.0.0.1", port=0, seed=7, updates_per_second=100.0)
    async with (
        Simulator(config) as sim,
        running_publisher(sim, nats_server) as publisher,
        serving_vitals(publisher.health, host="127.0.0.1", port=0) as port,
        httpx.AsyncClient(timeout=60) as http,
    ):
        await wait_until(lambda: chain_of(publisher).status.state == "live", 60)
        assert publisher.bus is not None
        deliveries = publisher.bus.deliveries
        await wait_until(lambda: deliveries.published().total() > 100, 60)
        return (await http.get(f"http://127.0.0.1:{port}/metrics")).text


def feed_page() -> str:
    registry = CollectorRegistry()
    registry.register(FeedCollector(FakeFeed()))
    return generate_latest(registry).decode()


async def test_every_metric_of_an_alert_is_served_by_a_running_publisher(publisher_page: str) -> None:
    expressions = list(rule_expressions())
    assert len(expressions) == RULES.read_text().count("- alert:") >= 10
    served = families(publisher_page)
    for expression in expressions:
        names = _NAME.findall(expression)
        assert names, expression
        assert {_SUFFIX.sub("", name) for name in names} <= served, expression
        for name, label, value in _SELECTOR.findall(expression):
            samples = [line for line in publisher_page.splitlines() if line.startswith(name + "{")]
            assert any(f'{label}="{value}"' in line for line in samples), (name, label, value)


async def test_every_panel_shows_something_that_a_publisher_or_an_engine_serves(publisher_page: str) -> None:
    served = families(publisher_page) | families(feed_page())
    for expression in panel_expressions():
        names = {_SUFFIX.sub("", name) for name in _NAME.findall(expression)}
        assert names, expression
        assert names <= served, expression


async def test_the_page_on_operations_explains_every_metric_of_a_publisher(publisher_page: str) -> None:
    explained = {_SUFFIX.sub("", name) for name in _NAME.findall(OPERATIONS.read_text())}
    ours = {name for name in families(publisher_page) if name.startswith("drift_")}
    assert ours <= explained, ours - explained


def test_what_both_serve_means_the_same_on_both_sides() -> None:
    shared = {"drift_client_ref_count", "drift_cache_hits", "drift_cache_misses"}
    assert shared <= families(feed_page())
