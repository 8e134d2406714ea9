"""Whatever a client sends, the node answers in JSON-RPC."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_simulator import Cluster, Counters, FaultBook, SimulatorConfig
from drift_simulator.errors import RpcError
from drift_simulator.jsonrpc import read_calls
from drift_simulator.node import Node
from drift_simulator.pubsub import PubSub
from drift_simulator.rpc import Rpc

from .conftest import PROGRAMS

METHODS = [
    "getAccountInfo", "getBalance", "getBlockHeight", "getGenesisHash", "getHealth", "getLatestBlockhash",
    "getMultipleAccounts", "getProgramAccounts", "getSignaturesForAddress", "getSlot", "getTransaction",
    "getVersion", "getBlockTime", "getEpochInfo", "getFeeForMessage", "getMinimumBalanceForRentExemption",
    "getRecentPrioritizationFees", "getSignatureStatuses", "isBlockhashValid",
    "accountSubscribe", "programSubscribe", "slotSubscribe", "logsSubscribe", "signatureSubscribe",
    "accountUnsubscribe", "slotUnsubscribe", "Subscribe", "Unsubscribe", "",
]  # fmt: skip
KEY = "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH"

scalars = st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=8) | st.just(KEY) | st.floats(0, 9)
names = st.sampled_from(
    ["encoding", "dataSlice", "filters", "memcmp", "dataSize", "offset", "length", "bytes", "limit", "before",
     "minContextSlot", "withContext", "mentions", "commitment"]
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
requests = values | st.fixed_dictionaries(
    {"id": scalars, "method": st.sampled_from(METHODS), "jsonrpc": st.just("2.0")},
    optional={"params": values | st.lists(values, max_size=2).map(lambda rest: [KEY, *rest])},
)


class _Ear:
    """Stands where a socket stands and keeps what is sent."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def send(self, frame: bytes, *_: str) -> None:
        self.heard.append(frame)

    confirm = send


@pytest.fixture(scope="module", params=PROGRAMS)
def node(request: pytest.FixtureRequest) -> Node:
    config = SimulatorConfig(program=request.param, perp_markets=3, spot_markets=3)
    return Node(Cluster(config), FaultBook(), Counters())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests)
def test_any_request_is_answered(node: Node, request: Any) -> None:
    try:
        calls, is_batch = read_calls(orjson.dumps(request))
    except RpcError as error:
        assert error.code == -32700
        return
    assert is_batch == isinstance(request, list)
    assert len(calls) == (len(request) if is_batch else 1), "none of these is a notification"
    for call in calls:
        answer = orjson.loads(Rpc(node).call(call))
        assert ("result" in answer) != ("error" in answer)
        if "error" in answer:
            assert answer["error"]["code"] <= -32000
            assert answer["error"]["message"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests)
def test_any_frame_is_answered(node: Node, request: Any) -> None:
    ear = _Ear()
    pubsub = PubSub(node)
    pubsub.handle(ear, orjson.dumps(request))  # type: ignore[arg-type]
    if request != []:  # jsonrpc-core has no answer to an empty batch
        (frame,) = ear.heard
        answer = orjson.loads(frame)
        for one in answer if isinstance(answer, list) else [answer]:
            assert ("result" in one) != ("error" in one)
    assert isinstance(node.cluster, Cluster)
    node.cluster.step()  # and what was subscribed to can be told
    pubsub.forget(ear)  # type: ignore[arg-type]
