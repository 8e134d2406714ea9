"""Prometheus asks a running publisher."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import SettingsError
from drift_simulator import Simulator
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_requests_sockets_and_events_are_counted(
    sim: Simulator, nats_server: LocalNatsServer, free_port: int
) -> None:
    async with running_publisher(sim, nats_server, metrics_port=free_port) as publisher:
        assert publisher.chain is not None
        status = publisher.chain.status
        await wait_until(lambda: status.state == "live")
        await wait_until(lambda: publisher.bus is not None and publisher.bus.counts["stored"])
        page = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{free_port}/metrics")
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(page.text)
            for sample in family.samples
        }
        assert samples["drift_rpc_requests_total", "getProgramAccounts", sim.http_url] == 2
        assert samples["drift_rpc_sockets",] == sim.counters.sockets_open == 1
        assert samples["drift_source_state", "live"] == 1
        assert samples["drift_events_total", "stored"] > 0


async def test_a_taken_port_is_one_clear_line(sim: Simulator, nats_server: LocalNatsServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"metrics_port .*in use"):
            async with running_publisher(sim, nats_server, metrics_port=taken.getsockname()[1]):
                pass
