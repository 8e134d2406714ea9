"""``drift-bus doctor`` on a server with accounts and TLS: each role reads what it may do, or what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drift_schemas import Topology
from drift_schemas.access import KeyPair
from drift_simulator import Simulator
from tests.cli.support import Finished, drift_bus
from tests.security.support import Guarded
from tests.support.publishing import running_publisher

PATIENCE_S = 180.0
STREAMS = {f"stream {config['name']}" for config in Topology().configs()}
SEED_FILE = "DRIFT_BUS_NATS_NKEY_SEED_FILE"
KNOWN = f"name credentials that it knows with {SEED_FILE}"
MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}
WRONG = {
    "no key": ({SEED_FILE: ""}, "refuses this login", KNOWN),
    "unknown key": ({SEED_FILE: "stranger.nk"}, "refuses this login", KNOWN),
    "absent key": ({SEED_FILE: "absent.nk"}, "absent.nk cannot be used", "drift-bus auth init"),
    "unknown CA": ({"DRIFT_BUS_NATS_TLS_CA": ""}, "not signed by a CA that we trust", "DRIFT_BUS_NATS_TLS_CA"),
}


class Told:
    """What the doctor told one role."""

    def __init__(self, as_json: Finished) -> None:
        assert not as_json.stderr
        self.status = as_json.status
        self.page = as_json.stdout
        self.findings: dict[str, dict[str, Any]] = {found["check"]: found for found in as_json.objects}

    def agrees_with(self, page: Finished) -> None:
        """The page for people says the same, and ends with the same status."""
        assert (page.status, page.stderr) == (self.status, "")
        self.page = page.stdout
        for found in self.findings.values():
            assert f"{MARKS[found['result']]} {found['check']} " in self.page

    def result(self, check: str) -> str:
        return str(self.findings[check]["result"])

    def says(self, check: str) -> str:
        return f"{self.findings[check]['what']} -> {self.findings[check]['remedy']}"

    def with_result(self, *results: str) -> set[str]:
        return {check for check, found in self.findings.items() if found["result"] in results}


async def told(folder: Path, environment: dict[str, Any], *, on_a_page: bool = False) -> Told:
    """Runs the doctor with a role's settings; ``on_a_page`` for people too, beside JSON."""
    runs = [drift_bus("doctor", "--json", cwd=folder, timeout_s=PATIENCE_S, **environment)]
    if on_a_page:
        runs.append(drift_bus("doctor", cwd=folder, timeout_s=PATIENCE_S, **environment))
    as_json, *pages = await asyncio.gather(*runs)
    told = Told(as_json)
    for page in pages:
        told.agrees_with(page)
    return told


@asynccontextmanager
async def a_bus(guarded: Guarded, sim: Simulator) -> AsyncIterator[dict[str, str]]:
    """A publisher at work; gives what names its chain."""
    async with running_publisher(sim, guarded.server, **guarded.settings("publisher")):
        yield {"DRIFT_BUS_RPC_URL": sim.http_url, "DRIFT_BUS_WS_URL": sim.ws_url}


async def test_each_role_reads_what_it_may_do(guarded: Guarded, sim: Simulator, tmp_path: Path) -> None:
    async with a_bus(guarded, sim) as chain:
        publisher = await told(tmp_path, guarded.environment("publisher") | chain, on_a_page=True)
        operator = await told(tmp_path, guarded.environment("operator") | chain)
        engine = await told(tmp_path, guarded.environment("engine"), on_a_page=True)
        misplaced = await told(tmp_path, guarded.environment("engine") | chain)
        replay = await told(tmp_path, guarded.environment("replay"))

    for role in (publisher, operator):
        assert (role.status, role.with_result("failed", "warning", "skipped")) == (0, set()), role.page
        assert role.with_result("ok") >= STREAMS | {"nats permissions", "canary stream", "canary bucket", "room"}
    assert "publish, create and update streams, read streams" in publisher.says("nats permissions")
    assert "buckets have the stream's newest funding, price, market, spot" in publisher.says("canary bucket")
    assert "on a temporary pair, deleted again" in operator.says("canary bucket")

    for role in (engine, replay):
        assert (role.status, role.with_result("failed", "warning")) == (0, set()), role.page
        assert role.with_result("ok") >= STREAMS | {"nats permissions", "publisher", "clock", "canary bucket"}
        assert "and not publish" in role.says("nats permissions")
        assert "right for an engine" in role.says("nats permissions")
        assert "right for an engine" in role.says("canary stream")
    assert engine.result("rpc") == engine.result("settings") == "skipped"

    assert (misplaced.status, misplaced.with_result("failed")) == (1, {"nats permissions"})
    assert "use the publisher's login, for an RPC URL is set here" in misplaced.says("nats permissions")


async def test_before_the_first_start_a_publishers_login_is_told_what_is_missing(
    guarded: Guarded, sim: Simulator, tmp_path: Path
) -> None:
    chain = {"DRIFT_BUS_RPC_URL": sim.http_url, "DRIFT_BUS_WS_URL": sim.ws_url}
    new = await told(tmp_path, guarded.environment("publisher") | chain)
    assert (new.status, new.with_result("failed")) == (0, set()), new.page
    assert new.with_result("warning") == STREAMS | {"publisher"}
    assert new.result("nats permissions") == "ok"
    assert "there is no stream yet" in new.says("canary stream")
    assert "start a publisher" in new.says("canary bucket")


@pytest.mark.parametrize("what", WRONG)
async def test_whoever_is_not_let_in_reads_why_in_one_line(what: str, guarded: Guarded, tmp_path: Path) -> None:
    changed, why, remedy = WRONG[what]
    stranger = tmp_path / "stranger.nk"
    stranger.write_text(KeyPair.generate().seed())
    stranger.chmod(0o600)
    refused = await told(tmp_path, guarded.environment("engine") | changed, on_a_page=True)
    assert refused.status == 1
    assert "nats server" in refused.with_result("failed")
    assert why in refused.findings["nats server"]["what"]
    assert remedy in refused.findings["nats server"]["remedy"]
    assert refused.result("nats jetstream") == "skipped"
    assert stranger.read_text() not in refused.page
