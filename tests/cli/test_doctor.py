"""drift-bus doctor: all is well, and each thing that may be wrong, said with its remedy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.profiles import DRIFT_V2
from drift_schemas import Topology
from drift_simulator import Fault, Simulator, SimulatorConfig
from tests.support.connecting import nats_client
from tests.support.wait import wait_until

from .support import Bus, Finished, drift_bus, drift_bus_anew

CANARY = "CANARY0123456789"
PATIENCE_S = 180.0


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(host="127.0.0.1", port=0, seed=7, updates_per_second=20.0)) as simulator:
        yield simulator


class Diagnosis:
    """The findings of one run, by check."""

    def __init__(self, finished: Finished) -> None:
        self.status = finished.status
        self.text = finished.stdout + finished.stderr
        self.findings = {finding["check"]: finding for finding in finished.objects}

    def result(self, check: str) -> str:
        return str(self.findings[check]["result"])

    def says(self, check: str) -> str:
        return f"{self.findings[check]['what']} -> {self.findings[check]['remedy']}"

    @property
    def failures(self) -> set[str]:
        return {check for check, finding in self.findings.items() if finding["result"] == "failed"}


async def diagnosis(folder: Path, *arguments: str, **environment: str) -> Diagnosis:
    return Diagnosis(await drift_bus("doctor", "--json", *arguments, cwd=folder, timeout_s=PATIENCE_S, **environment))


def rpc(sim: Simulator) -> tuple[str, ...]:
    return ("--rpc-url", sim.http_url, "--ws-url", sim.ws_url)


async def streams_of(url: str) -> set[str]:
    async with nats_client(url) as client:
        reply = await client.request("$JS.API.STREAM.NAMES", timeout=30)
        return set(json.loads(reply.data)["streams"] or ())


async def test_all_is_well_and_nothing_is_left_behind(
    sim: Simulator, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    async with Bus.on(nats_server.url) as bus:
        found = await diagnosis(tmp_path, *rpc(sim), "--nats-url", nats_server.url)
        assert (found.failures, found.status) == (set(), 0), found.findings
        expected = {config["name"] for config in bus.topology.configs()}
        assert await streams_of(nats_server.url) == expected
        for check in ("rpc reachable", "rpc methods", "rpc lag", "rpc websocket", "program", "nats server", "clock"):
            assert found.result(check) == "ok", found.says(check)
        assert found.result("canary stream") == found.result("canary bucket") == found.result("room") == "ok"
        assert {f"stream {name}" for name in expected} <= set(found.findings)
        assert found.result("publisher") == "warning"
        assert "drift-bus publish" in found.says("publisher")


async def test_the_canary_reaches_no_market(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    heard: list[str] = []
    async with Bus.on(nats_server.url) as bus:

        async def hear(message: Any) -> None:
            heard.append(message.subject)

        await bus.client.subscribe("drift.>", cb=hear)
        await bus.client.flush()
        found = await diagnosis(tmp_path, "--nats-url", nats_server.url)
        await bus.client.flush()
        assert found.result("canary bucket") == "ok"
    assert set(heard) == {"drift.ctl.canary"}


async def test_for_people_there_are_marks_and_remedies(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    done = await drift_bus_anew("doctor", "--nats-url", nats_server.url, cwd=tmp_path, timeout_s=PATIENCE_S)
    assert done.status == 0
    assert "✓ nats server" in done.stdout
    assert "! stream DRIFT" in done.stdout
    assert "→ a publisher makes it at its start" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("skipped")
    assert "Traceback" not in done.stderr


async def test_no_server_and_no_endpoint(tmp_path: Path) -> None:
    dead = "http://127.0.0.1:9"
    found = await diagnosis(
        tmp_path, "--rpc-url", f"{dead}/{CANARY}?api-key={CANARY}", "--nats-url", "nats://127.0.0.1:9"
    )
    assert found.status == 1
    assert found.failures == {"rpc reachable", "nats server"}
    assert "DRIFT_BUS_RPC_URLS" in found.says("rpc reachable")
    assert "start a nats-server there" in found.says("nats server")
    assert CANARY not in found.text


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    from .support_plain import plain_nats_server

    async with plain_nats_server(tmp_path) as url:
        found = await diagnosis(tmp_path, "--nats-url", url)
    assert (found.failures, found.status) == ({"nats jetstream"}, 1)
    assert "-js" in found.says("nats jetstream")


async def test_a_login_that_the_server_does_not_know(tmp_path: Path) -> None:
    config = 'authorization { user: "a", password: "b" }'
    async with LocalNatsServer(extra_config=config) as server:
        found = await diagnosis(tmp_path, "--nats-url", server.url)
    assert found.failures == {"nats server"}
    assert "refuses this login" in found.says("nats server")


async def test_a_login_that_may_only_read(sim: Simulator, tmp_path: Path) -> None:
    reads = '["$JS.API.INFO", "$JS.API.STREAM.INFO.>", "$JS.API.DIRECT.GET.>"]'
    config = f"""authorization {{ users: [
        {{user: reader, password: {CANARY}, permissions: {{publish: {reads}, subscribe: ["drift.>", "_INBOX.>"]}}}},
        {{user: writer, password: {CANARY}}}
    ]}}"""
    async with LocalNatsServer(extra_config=config) as server:
        as_reader, as_writer = (server.url.replace("//", f"//{name}:{CANARY}@") for name in ("reader", "writer"))
        async with Bus.on(as_writer):
            engine = await diagnosis(tmp_path, "--nats-url", as_reader)
            publisher = await diagnosis(tmp_path, *rpc(sim), "--nats-url", as_reader)
    assert (engine.failures, engine.status) == (set(), 0)
    assert "an engine's" in engine.says("nats permissions")
    assert engine.result("canary stream") == engine.result("canary bucket") == "skipped"
    assert (publisher.failures, publisher.status) == ({"nats permissions"}, 1)
    assert "may not publish" in publisher.says("nats permissions")
    assert CANARY not in engine.text + publisher.text


async def test_streams_that_are_not_as_they_should_be(
    sim: Simulator, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    topology = Topology()
    wrong = {**topology.stream_config(), "republish": None, "allow_direct": False}
    limited = {**topology.funding_history_config(), "max_bytes": 10_000_000}
    async with nats_client(nats_server.url) as client:
        for config in (wrong, topology.bucket_config("price"), limited):
            reply = await client.request(
                f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(config).encode(), timeout=30
            )
            assert "error" not in json.loads(reply.data), reply.data
    found = await diagnosis(tmp_path, *rpc(sim), "--nats-url", nats_server.url)
    assert found.failures == {"stream DRIFT", "canary stream"}
    assert "allow_direct, republish" in found.says("stream DRIFT")
    assert "no republish" in found.says("canary stream")
    assert found.result("stream DRIFT_FUNDING_HISTORY") == "warning"
    assert "max_bytes" in found.says("stream DRIFT_FUNDING_HISTORY")
    assert found.result("stream KV_drift_funding") == "warning", "it is not there"


async def test_buckets_of_a_stream_that_was_deleted_are_left_alone(
    sim: Simulator, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    """They follow again once it is there: nobody is told to delete them as well."""
    topology = Topology()
    async with nats_client(nats_server.url) as client:

        async def ask(action: str, body: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = json.loads(
                (await client.request(f"$JS.API.{action}", json.dumps(body).encode())).data
            )
            assert "error" not in answer, answer
            return answer

        for config in (topology.stream_config(), topology.bucket_config("price")):
            await ask(f"STREAM.CREATE.{config['name']}", config)
        await ask("STREAM.DELETE.DRIFT", {})

        async def complains() -> bool:
            return "error" in (await ask("STREAM.INFO.KV_drift_price", {}))["sources"][0]

        await wait_until(complains, 45, "the server tells that the source is gone")
    found = await diagnosis(tmp_path, *rpc(sim), "--nats-url", nats_server.url)
    assert found.result("stream DRIFT") == found.result("stream KV_drift_price") == "warning"
    assert "nothing to do here: it follows again by itself once DRIFT is there" in found.text
    assert not any("delet" in found.says(f"stream {name}") for name in ("DRIFT", "KV_drift_price"))


async def test_no_room(sim: Simulator, tmp_path: Path) -> None:
    async with LocalNatsServer(extra_config="jetstream { max_file_store: 50MB }") as server:
        found = await diagnosis(tmp_path, *rpc(sim), "--nats-url", server.url)
    assert found.failures == {"room"}
    assert "DRIFT_BUS_STREAM_MAX_BYTES" in found.says("room")


FAULTS = [
    ("rpc reachable", Fault(kind="http_5xx"), "HTTP 503"),
    ("rpc reachable", Fault(kind="http_429"), "HTTP 429"),
    ("rpc lag", Fault(kind="slot_stuck"), "stood still"),
    ("rpc websocket", Fault(kind="ws_refused"), "its URL comes from DRIFT_BUS_WS_URL"),
    ("rpc reachable", Fault(kind="http_refused", status=403), "this one: DRIFT_BUS_RPC_URL"),
    ("rpc websocket", Fault(kind="silent_stall"), "no slot within"),
    ("program", Fault(kind="missing_account", pubkey=DRIFT_V2.state_address), "no State account"),
    ("program", Fault(kind="wrong_layout", pubkey=DRIFT_V2.state_address), "not what it should be"),
    ("program", Fault(kind="short_account", pubkey=DRIFT_V2.perp_market_address(0)), "1 cannot (size: 1)"),
]


@pytest.mark.parametrize(("check", "fault", "said"), FAULTS, ids=lambda value: getattr(value, "kind", ""))
async def test_what_may_be_wrong_with_an_endpoint(
    sim: Simulator, tmp_path: Path, check: str, fault: Fault, said: str
) -> None:
    sim.faults.inject(fault)
    keyed = ("--rpc-url", f"{sim.http_url}/{CANARY}?api-key={CANARY}", "--ws-url", f"{sim.ws_url}/{CANARY}")
    found = await diagnosis(tmp_path, *keyed, "--nats-url", "nats://127.0.0.1:9")
    assert check in found.failures, found.findings
    assert said in found.says(check)
    assert found.findings[check]["remedy"]
    assert CANARY not in found.text


async def test_two_live_markets_of_one_name_are_told(sim: Simulator, tmp_path: Path) -> None:
    sim.cluster.add_perp_market("SOL-PERP", price=150.0, index=81)
    found = await diagnosis(tmp_path, *rpc(sim), "--markets", "perp:81", "--nats-url", "nats://127.0.0.1:9")
    assert found.result("program") == "warning"
    assert "are live and all named SOL-PERP" in found.says("program")
    found = await diagnosis(tmp_path, *rpc(sim), "--markets", "perp:80", "--nats-url", "nats://127.0.0.1:9")
    assert "unknown market perp:80" in found.says("program")


async def test_methods_that_are_not_served(sim: Simulator, tmp_path: Path) -> None:
    sim.faults.inject(Fault(kind="refuse_get_program_accounts"))
    found = await diagnosis(tmp_path, *rpc(sim), "--nats-url", "nats://127.0.0.1:9")
    assert found.result("rpc methods") == "warning"
    assert "getProgramAccounts" in found.says("rpc methods")
    sim.faults.clear()
    sim.faults.inject(Fault(kind="accounts_limit", most=20, status=413))
    found = await diagnosis(tmp_path, *rpc(sim), "--nats-url", "nats://127.0.0.1:9")
    assert found.result("rpc methods") == "warning"
    assert "takes 13 accounts a request" in found.says("rpc methods")
    assert found.result("program") == "ok"


async def test_settings_that_make_no_sense(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.write_text("SU" + "A" * 56)
    seed.chmod(0o644)
    (tmp_path / ".env").write_text("DRIFT_BUS_MARKTES=SOL-PERP\n")
    found = await diagnosis(
        tmp_path, "--nats-url", nats_server.url,
        DRIFT_BUS_RPC_URL=f"http://rpc.example.com/{CANARY}", DRIFT_BUS_COMMITMENT="quickly",
        DRIFT_BUS_NATS_NKEY_SEED_FILE=str(seed),
    )  # fmt: skip
    assert "DRIFT_BUS_COMMITMENT" in found.says("settings")
    assert "meant DRIFT_BUS_MARKETS?" in found.says("setting names")
    assert "chmod 600" in found.says("credential files")
    assert "https://" in found.says("plain text")
    assert found.result("rpc") == "skipped"
    assert found.status == 1
    assert CANARY not in found.text
    assert "SUAAAA" not in found.text
