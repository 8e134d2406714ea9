"""Canaries, a seed and an API key: used, mistreated and refused, they appear in nothing that anybody can read."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest

from drift_publisher import Publisher, PublisherSettings
from drift_schemas.access import KeyPair, NatsAccess
from drift_simulator import Fault, Simulator
from drift_subscribers import DriftFeed
from tests.cli.support import drift_bus, started
from tests.security.support import PATIENT, Guarded
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

API_KEY = "CANARY0123456789"
COMMANDS = (["status"], ["status", "--json"], ["doctor"], ["doctor", "--json"], ["--debug", "snapshot"])
FEW = (["doctor"],)
DEAD = "127.0.0.1:9"


class Canaries:
    """The secrets of a folder, and a search for them."""

    def __init__(self, folder: Path) -> None:
        self.secrets = {path.name: path.read_text().strip() for path in folder.glob("*.nk")}
        self.secrets["server-key.pem"] = (folder / "server-key.pem").read_text().splitlines()[1]
        self.secrets["API key"] = API_KEY

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


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_not_in_what_a_publisher_tells_anybody(
    log_format: str, guarded: Guarded, canaries: Canaries, sim: Simulator, tmp_path: Path
) -> None:
    """Logs at their most talkative, HTTP port, heartbeats and events, and commands, while the chain and NATS fail."""
    port = _free_port()
    environment = guarded.environment("publisher") | _keyed(sim.http_url, sim.ws_url)
    settings = {"DRIFT_BUS_METRICS_PORT": str(port), "DRIFT_BUS_SLOT_SILENCE_S": "1"}
    flags = ("--log-format", log_format, "--log-level", "debug")
    told: dict[str, str] = {}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
        guarded.login("operator") as login,
        started("--debug", "publish", *flags, cwd=tmp_path, **environment, **settings) as process,
    ):
        lines: list[str] = []
        reading = asyncio.create_task(_read(process.stderr, lines), name="log")
        await login.hear("drift.>")

        async def answers(status: int) -> bool:
            try:
                return (await http.get("/readyz")).status_code == status
            except httpx.TransportError:
                return False

        await wait_until(lambda: answers(200), 90)
        if log_format == "json":
            told |= await _of_commands(tmp_path, environment, *COMMANDS)
        sim.faults.inject(Fault(kind="http_html_429"))
        sim.faults.inject(Fault(kind="ws_429"))
        sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
        await wait_until(lambda: answers(503), 90)
        await wait_until(lambda: any("429" in line for line in lines), 90)
        told |= {path: (await http.get(path)).text for path in ("/livez", "/readyz", "/metrics")}
        if log_format == "console":
            told |= await _of_commands(tmp_path, environment, *COMMANDS)
            assert "429" in told["doctor"]
            assert "429" in told["doctor --json"]
        told["messages"] = repr([(message.subject, message.headers, message.data) for message in login.heard])
        await guarded.server.kill()
        process.send_signal(signal.SIGTERM)
        await reading
        told["log"] = "".join(lines)
    assert '"rpc_endpoint"' in told["status --json"], "the status names the endpoint, without its key"
    assert "drift_rpc_requests_total" in told["/metrics"]
    assert "drift.status" in told["messages"]
    if log_format == "json":
        records = [json.loads(line) for line in lines if line.startswith("{")]
        assert {record["level"] for record in records} >= {"info", "warning"}
    assert {where: found for where, text in told.items() if (found := canaries.sing_in(text))} == {}


FAILURES: dict[str, dict[str, str]] = {
    "an endpoint that is not there": {},
    "an endpoint that is no URL": {"DRIFT_BUS_RPC_URL": f"htps:/rpc.example.com/{API_KEY}"},
    "a port that is none": {"DRIFT_BUS_RPC_URLS": f"https://rpc.example.com:{API_KEY}/?api-key={API_KEY}"},
    "a password of a server that is not there": {"DRIFT_BUS_NATS_URL": f"nats://drift:{API_KEY}@{DEAD}"},
    "a key that the server does not know": {"DRIFT_BUS_NATS_NKEY_SEED_FILE": "stranger.nk"},
}


@pytest.mark.parametrize("what", FAILURES)
async def test_not_in_what_ends_a_command(what: str, guarded: Guarded, canaries: Canaries, tmp_path: Path) -> None:
    """A publisher that cannot start, with its traceback, and the doctor; for one failure, all the commands."""
    stranger = canaries.secrets["stranger"] = KeyPair.generate().seed()
    (tmp_path / "stranger.nk").write_text(stranger)
    environment = guarded.environment("publisher") | _keyed(f"http://{DEAD}", f"ws://{DEAD}") | FAILURES[what]
    commands = COMMANDS if what == "a key that the server does not know" else FEW
    environment["DRIFT_BUS_START_TIMEOUT_S"] = "3"
    told = await _of_commands(tmp_path, environment, *commands, ["--debug", "publish"])
    assert "Traceback" in told["--debug publish"]
    assert "error" in told["--debug publish"]
    assert {where: found for where, text in told.items() if (found := canaries.sing_in(text))} == {}


def _keyed(http_url: str, ws_url: str) -> dict[str, str]:
    return {
        f"DRIFT_BUS_{name}": f"{url}/{API_KEY}?api-key={API_KEY}"
        for name, url in {"RPC_URL": http_url, "WS_URL": ws_url}.items()
    }


async def _of_commands(folder: Path, environment: dict[str, Any], *commands: list[str]) -> dict[str, str]:
    """What the commands print, on stdout and stderr, by command."""
    runs = await asyncio.gather(*(drift_bus(*command, cwd=folder, **environment) for command in commands))
    return {" ".join(command): done.stdout + done.stderr for command, done in zip(commands, runs, strict=True)}


async def _read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    while stream is not None and (line := (await stream.readline()).decode()):
        lines.append(line)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
