"""An API key in a URL appears nowhere: not in a log at any level, an event, a metric, an error or a traceback."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry, generate_latest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher, PublisherError, PublisherSettings
from drift_publisher.metrics import PublisherCollector
from drift_publisher.source import SourceStatus
from drift_simulator import Fault, FaultKind, Simulator
from drift_simulator.faults import ACCOUNT_FAULTS
from tests.support.connecting import nats_client
from tests.support.programs import only
from tests.support.publishing import chain_of, running_publisher
from tests.support.wait import wait_until

CANARY = "CANARY0123456789"
FIRST_MARKET = "the first market"
"""Stands for an address that each program has of its own."""
FAULTS = {
    "http": [
        Fault(kind="http_429", retry_after_s=1, duration_s=1),
        Fault(kind="http_html_429", duration_s=1),
        Fault(kind="http_5xx", duration_s=1),
        Fault(kind="jsonrpc_error", message=f"no such key {CANARY}?", duration_s=1),
        Fault(kind="delay", seconds=0.5, duration_s=1),
        Fault(kind="refuse_get_program_accounts", duration_s=1),
        Fault(kind="http_refused", status=403, message=f"no such key {CANARY}?", duration_s=1),
        Fault(kind="accounts_limit", message=f"too many accounts for {CANARY}", status=200, most=5, duration_s=1),
    ],
    "websocket": [
        Fault(kind="ws_429", duration_s=1),
        Fault(kind="ws_refused", duration_s=1),
        Fault(kind="close_after_accept", duration_s=1),
        Fault(kind="garbage_ws", duration_s=1),
        Fault(kind="silent_stall", duration_s=2),
        Fault(kind="half_open", duration_s=2),
        Fault(kind="reorder_confirmations", duration_s=1),
        Fault(kind="subscription_limit", most=5, message=f"too many for {CANARY}", duration_s=1),
        Fault(kind="subscription_rate", most=5, message=f"too often for {CANARY}", duration_s=1),
        Fault(kind="idle_cut", seconds=0.1, duration_s=1),
        Fault(kind="mute_socket", duration_s=1),
    ],
    "slots": [
        Fault(kind="slot_stuck", duration_s=2),
        Fault(kind="slot_backwards", duration_s=2),
        Fault(kind="slot_from_the_future", slots=10**9, duration_s=1),
    ],
    "accounts": [
        Fault(kind="deaf_subscription", pubkey=FIRST_MARKET, duration_s=1),
        Fault(kind="lost_notification", pubkey=FIRST_MARKET, duration_s=1),
        *(Fault(kind=kind, pubkey=FIRST_MARKET) for kind in sorted(ACCOUNT_FAULTS)),
    ],
}
"""By what goes wrong; one publisher lives through those of a group, one after the other."""


program = only("drift-v2", why="Drift's client brings driftpy and its loggers")


def test_every_fault_of_the_simulator_is_among_them() -> None:
    kinds = {fault.kind for group in FAULTS.values() for fault in group}
    assert kinds | {FaultKind.CLOSE_AFTER_MESSAGES} == set(FaultKind)


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All loggers at DEBUG, those of the libraries as well."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def _keyed(url: str) -> str:
    return f"{url}/{CANARY}?api-key={CANARY}"


def _everything_logged(caplog: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    return "\n".join(formatter.format(record) for record in caplog.records)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("group", FAULTS)
async def test_no_fault_brings_the_key_to_light(
    sim: Simulator, nats_server: LocalNatsServer, every_log: pytest.LogCaptureFixture, group: str
) -> None:
    async with nats_client(nats_server.url) as client:
        heard: list[bytes] = []

        async def hear(message: Msg) -> None:
            heard.append(message.data + repr(message.headers).encode())

        await client.subscribe("drift.>", cb=hear)
        urls = {"rpc_url": _keyed(sim.http_url), "ws_url": _keyed(sim.ws_url)}
        async with running_publisher(sim, nats_server, slot_silence_s=1, poll_every_s=0.5, **urls) as publisher:
            status = chain_of(publisher).status
            await wait_until(lambda: status.state == "live")
            for fault in FAULTS[group]:
                reconnects = status.reconnects
                address = str(sim.cluster.perp_markets[0].pubkey) if fault.pubkey == FIRST_MARKET else fault.pubkey
                sim.faults.inject(replace(fault, pubkey=address))
                sim.faults.inject(Fault(kind="close_after_messages", messages=1, count=1))
                await wait_until(partial(_is_past, status, reconnects), what=f"{fault.kind}: the socket is lost")
                await wait_until(lambda: status.state == "live", 60, f"{fault.kind}: live again")
                sim.faults.clear()
                registry = CollectorRegistry()
                registry.register(PublisherCollector(publisher.health))
                metrics = generate_latest(registry).decode()
                assert "drift_rpc_requests_total" in metrics
                await wait_until(lambda: heard, what=f"{fault.kind}: an event")
                _check(fault.kind, every_log, {"metrics": metrics, "events": repr(heard)})
                heard.clear()
    _check("the end", every_log, {"events": repr(heard)})


def _is_past(status: SourceStatus, reconnects: int) -> bool:
    return status.reconnects > reconnects


def _check(when: str, log: pytest.LogCaptureFixture, said: dict[str, str]) -> None:
    """Looks for the key in what was said and logged since the last look."""
    for where, text in {"logs": _everything_logged(log), **said}.items():
        found = text.find(CANARY)
        assert found < 0, f"{when}: the key is in the {where}: {text[max(0, found - 200) :][:300]}"
    log.clear()


@pytest.mark.parametrize(
    "fault",
    [Fault(kind="http_429"), Fault(kind="http_html_429"), Fault(kind="http_5xx"), Fault(kind="jsonrpc_error")],
    ids=lambda fault: str(fault.kind),
)
async def test_no_start_that_fails_brings_the_key_to_light(
    sim: Simulator, nats_server: LocalNatsServer, every_log: pytest.LogCaptureFixture, fault: Fault
) -> None:
    sim.faults.inject(fault)
    settings = PublisherSettings(
        _env_file=None, rpc_url=_keyed(sim.http_url), nats_url=nats_server.url, start_timeout_s=1.5
    )
    assert CANARY not in repr(settings)
    with pytest.raises((PublisherError, RuntimeError)) as caught:
        await Publisher(settings).run(asyncio.Event())
    assert CANARY not in "".join(traceback.format_exception(caught.value, chain=True))
    assert CANARY not in _everything_logged(every_log)
