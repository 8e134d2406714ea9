"""A publisher whose login the server takes away, and gives back: it reconnects, as it does after every other loss."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import NatsUnavailable
from drift_simulator import Simulator, SimulatorConfig
from tests.support.publishing import PATIENT_LEASE_S, running_publisher
from tests.support.wait import wait_until


@dataclass(frozen=True)
class _Guarded:
    """A server with one user."""

    url: str


def _configure(config: Path, password: str) -> None:
    user = f"user: publisher, password: {password}"
    config.write_text(f'jetstream {{ store_dir: "{config.parent}" }}\nauthorization {{ users: [{{ {user} }}] }}\n')


async def test_a_login_that_is_refused_for_a_while_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "nats.conf"
    _configure(config, "right")
    chain = SimulatorConfig(port=0, seed=1, updates_per_second=20.0, perp_markets=3, spot_markets=2)
    async with Simulator(chain) as sim, LocalNatsServer(config_file=config) as server:
        guarded = _Guarded(server.url.replace("nats://", "nats://publisher:right@"))
        async with running_publisher(sim, guarded, lease_ttl_s=PATIENT_LEASE_S) as publisher:
            leadership, nats = publisher.leadership, publisher.health.nats
            assert leadership is not None
            assert nats is not None
            await wait_until(lambda: leadership.is_leading, what="it leads")

            _configure(config, "another")
            server.signal(signal.SIGHUP)
            await wait_until(lambda: "Authorization" in caplog.text, what="it says that it is refused")
            await wait_until(lambda: not nats.is_connected, what="it was sent away")
            _configure(config, "right")
            server.signal(signal.SIGHUP)

            await wait_until(lambda: nats.is_connected and leadership.is_leading, what="it leads again")
    assert "right@" not in caplog.text


async def test_a_connection_that_nobody_opens_again_ends_the_publisher_with_one_error(
    nats_server: LocalNatsServer,
) -> None:
    """A publisher that is there and can never publish again would keep a supervisor from starting another one."""
    chain = SimulatorConfig(port=0, seed=1, updates_per_second=20.0, perp_markets=3, spot_markets=2)
    async with Simulator(chain) as sim:
        with pytest.raises(ExceptionGroup) as ended:
            async with running_publisher(sim, nats_server) as publisher:
                nats = publisher.health.nats
                assert nats is not None
                await nats.close()
                await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name() == "publisher under test"])
        assert ended.group_contains(NatsUnavailable, match="start the publisher again")
