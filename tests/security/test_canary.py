"""A canary seed: keys are used, mistreated and refused, and appear in no log, metric, heartbeat, error or traceback."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, generate_latest

from drift_publisher import Publisher, PublisherSettings
from drift_schemas.access import KeyPair, NatsAccess
from drift_simulator import Simulator
from drift_subscribers import DriftFeed
from tests.cli.support import drift_bus
from tests.security.support import PATIENT, Guarded
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until


class Canaries:
    """The secrets of a folder, and a search for them."""

    def __init__(self, folder: Path) -> None:
        self.secrets = {path.name: path.read_text().strip() for path in folder.glob("*.nk")}
        self.secrets["server-key.pem"] = (folder / "server-key.pem").read_text().splitlines()[1]

    def sing_in(self, text: str) -> list[str]:
        return [name for name, secret in self.secrets.items() if secret in text]


@pytest.fixture
def canaries(guarded: Guarded) -> Canaries:
    """The secrets of the server's folder."""
    return Canaries(guarded.written.folder)


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All loggers at DEBUG, those of the libraries as well."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def logged(caplog: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    return "\n".join(formatter.format(record) for record in caplog.records)


async def test_not_while_everything_works_and_the_server_comes_and_goes(
    guarded: Guarded, canaries: Canaries, sim: Simulator, every_log: pytest.LogCaptureFixture
) -> None:
    settings = guarded.settings("publisher")
    async with (
        running_publisher(sim, guarded.server, **settings) as publisher,
        DriftFeed(guarded.url, access=guarded.access("engine"), ping_interval_s=0.5, **PATIENT) as feed,
    ):
        await wait_until(feed.status)
        await guarded.server.kill()
        await wait_until(lambda: not feed.connected)
        await guarded.server.start()
        await wait_until(lambda: feed.connected)
        await wait_until(lambda: feed.price("SOL-PERP"))
        told = [repr(feed.status()), repr(feed.statistics()), repr(publisher), repr(guarded.access("engine"))]
        told += [
            repr(PublisherSettings(_env_file=None, rpc_url=sim.http_url, **settings)),
            repr(guarded.access("engine").login()),
        ]
        told.append(generate_latest(REGISTRY).decode())
    assert canaries.sing_in("\n".join([*told, logged(every_log)])) == []


@pytest.mark.parametrize("what", ["cut short", "in place of the file", "in place of creds", "unknown to the server"])
async def test_not_when_a_key_is_refused(
    what: str, guarded: Guarded, canaries: Canaries, sim: Simulator, every_log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    canary = KeyPair.generate().seed()
    canaries.secrets |= {"canary": canary, "cut canary": canary[:-4]}
    (tmp_path / "canary.nk").write_text(canary[:-4] if what == "cut short" else canary)
    variable = "DRIFT_BUS_NATS_CREDS" if what == "in place of creds" else "DRIFT_BUS_NATS_NKEY_SEED_FILE"
    value = canary if what.startswith("in place") else str(tmp_path / "canary.nk")
    environment = guarded.environment("engine") | {"DRIFT_BUS_NATS_NKEY_SEED_FILE": ""} | {variable: value}
    told = []
    try:
        access = NatsAccess.from_environment(environment)
        async with DriftFeed(guarded.url, access=access, connect_timeout_s=5):
            pass
    except Exception as error:
        told.append("".join(traceback.format_exception(error)))
    names = {name.removeprefix("DRIFT_BUS_").lower(): given for name, given in environment.items() if "NATS" in name}
    try:
        settings = PublisherSettings(_env_file=None, rpc_url=sim.http_url, start_timeout_s=5, **names)
        await Publisher(settings).run(asyncio.Event())
    except Exception as error:
        told.append("".join(traceback.format_exception(error)))
    for command in (["snapshot"], ["publish", "--rpc-url", sim.http_url]):
        done = await drift_bus("--debug", *command, **environment)
        assert done.status != 0
        told.append(done.stdout + done.stderr)
    assert len(told) == 4
    assert canaries.sing_in("\n".join([*told, logged(every_log)])) == []
