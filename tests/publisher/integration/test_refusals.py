"""Providers that refuse: a method of the plan, a size, the key, or anything because they are busy."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drift_publisher import PublisherSettings, RpcUnavailable
from drift_publisher.chain import Chain
from drift_publisher.chain_setup import open_chain
from drift_publisher.rpc import RpcRefused
from drift_simulator import Fault, Simulator
from tests.support.programs import drift_only

pytestmark = drift_only("it is about the endpoint, not about the program")

BUSY = (-32603, -32000, -32003, -32005, -32007, -32029, -32097, -32429, 7)
ANSWERS: dict[str, dict[str, Any]] = {
    "HTTP 403 with JSON-RPC": {"kind": "http_refused", "status": 403, "code": -32000, "message": "not on your plan"},
    "HTTP 403 with HTML": {"kind": "http_refused", "status": 403, "body": "html"},
    "HTTP 403 without a body": {"kind": "http_refused", "status": 403, "body": "empty"},
    "HTTP 410 with JSON-RPC": {"kind": "http_refused", "status": 410, "code": -32601, "message": "disabled"},
    "HTTP 413 with HTML": {"kind": "http_refused", "status": 413, "body": "html"},
    "HTTP 413 with JSON-RPC": {"kind": "http_refused", "status": 413, "code": -32600, "message": "too large"},
    "HTTP 504 with HTML": {"kind": "http_refused", "status": 504, "body": "html"},
    "an error with HTTP 200": {"kind": "jsonrpc_error", "code": -32601, "message": "Method not found"},
    "an error that nobody knows": {"kind": "jsonrpc_error", "code": 35, "message": "method disabled"},
}


@contextlib.asynccontextmanager
async def started(*nodes: Simulator, **settings: Any) -> AsyncIterator[Chain]:
    """A chain that has read every market, as the publisher starts it."""
    first, *others = (f"{node.http_url}/k3yk3yk3yk3y" for node in nodes)
    values = {"rpc_url": first, "rpc_urls": ",".join(others), "rpc_rate_per_s": 500, "rpc_burst": 500, **settings}
    async with open_chain(PublisherSettings(_env_file=None, **values)) as chain:
        await chain.cluster(settings.get("cluster"))
        await chain.client.account_subscriber.subscribe()
        assert len(chain.store.market_keys()) == len(nodes[0].cluster.markets)
        yield chain


@pytest.mark.parametrize("refusal", ANSWERS)
async def test_each_method_with_a_fallback_uses_it_however_the_refusal_comes(
    sim: Simulator, refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    message = {"message": "see http://node/k3yk3yk3yk3y", "retry_after_s": None} | ANSWERS[refusal]
    sim.faults.inject(Fault(method="getProgramAccounts", **message))
    sim.faults.inject(Fault(method="getGenesisHash", **message))
    async with started(sim, start_timeout_s=3600) as chain:
        assert (chain.cluster_name, chain.genesis) == ("unknown", None)
    assert "reading the markets by their indexes" in caplog.text
    assert "DRIFT_BUS_CLUSTER" in caplog.text, "what to do is said"
    assert "k3yk3yk3yk3y" not in caplog.text


async def test_the_cluster_is_as_set_where_no_endpoint_tells_its_genesis(sim: Simulator) -> None:
    sim.faults.inject(Fault(kind="http_refused", status=403, body="empty", method="getGenesisHash"))
    async with started(sim, cluster="devnet") as chain:
        assert (chain.cluster_name, chain.genesis) == ("devnet", None)


LIMITS: dict[str, dict[str, Any]] = {
    "5 by an error": {"most": 5, "status": 200, "code": -32602, "message": "Too many inputs provided; max 5"},
    "7 by HTTP 413": {"most": 7, "status": 413, "body": "html"},
    "3 by HTTP 400": {"most": 3, "status": 400, "code": -32602, "message": "Invalid params"},
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_plan_that_limits_the_accounts_of_a_request_is_lived_with(sim: Simulator, limit: str) -> None:
    """From the first request on, which asks for six accounts; every account has its own bytes."""
    sim.pause_walk()
    sim.faults.inject(Fault(kind="accounts_limit", **LIMITS[limit]))
    async with started(sim) as chain:
        learned = chain.pool.current.batch.learned
        assert LIMITS[limit]["most"] / 2 < learned <= LIMITS[limit]["most"]
        store = chain.store
        for market in sim.cluster.markets:
            version = store.version(str(market.pubkey))
            assert version is not None
            assert version.data == sim.account(market.pubkey)
        await chain.client.account_subscriber.fetch()
        refused = sim.faults.listing()[0]["hits"]
        await chain.client.account_subscriber.fetch()
        assert sim.faults.listing()[0]["hits"] == refused, "the size is known"


async def test_a_busy_answer_ends_no_start(sim: Simulator) -> None:
    """Of each kind, one to each method that a start needs; the same endpoint answers all of them in the end."""
    methods = ("getMultipleAccounts", "getGenesisHash", "getProgramAccounts")
    for code in BUSY:
        for method in methods:
            sim.faults.inject(Fault(kind="jsonrpc_error", method=method, code=code, message="busy", count=1))
        async with started(sim) as chain:
            assert chain.cluster_name == "simulated"
            assert chain.pool.current.traffic.failures == dict.fromkeys(methods, 1)


async def test_an_endpoint_that_stays_busy_is_left_for_the_next(sim: Simulator, second: Simulator) -> None:
    sim.faults.inject(Fault(kind="jsonrpc_error", code=-32003, message="daily limit", data={"retry_after": 3600}))
    async with started(sim, second) as chain:
        assert chain.pool.current is chain.pool.endpoints[1]
        assert sim.counters.requests == 1, "it said when to come back"


async def test_it_gives_up_after_start_timeout_s_and_says_what_it_heard(sim: Simulator) -> None:
    sim.faults.inject(Fault(kind="jsonrpc_error", code=-32097, message="overloaded"))
    with pytest.raises(RpcUnavailable, match=r"failed for 1 s \(JSON-RPC error -32097: overloaded\)"):
        async with started(sim, start_timeout_s=1):
            pass


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_is_one_clear_error_that_names_the_setting(
    sim: Simulator, second: Simulator, status: int
) -> None:
    """At once, and not before every endpoint has refused."""
    sim.faults.inject(Fault(kind="http_refused", status=status, code=-32401, message="invalid key k3yk3yk3yk3y"))
    async with started(sim, second) as chain:
        assert chain.pool.current is chain.pool.endpoints[1]
    with pytest.raises(RpcRefused, match=rf"HTTP {status}.*invalid key.*DRIFT_BUS_RPC_URL") as caught:
        async with started(sim):
            pass
    assert "k3yk3yk3yk3y" not in str(caught.value)
