"""Whatever a client sends, the node answers in JSON-RPC."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_simulator import Cluster, Counters, FaultBook, SimulatorConfig
from drift_simulator.node import Node
from drift_simulator.pubsub import PubSub
from drift_simulator.rpc import Rpc

from .conftest import PROGRAMS

METHODS = [
    "getAccountInfo", "getBalance", "getBlockHeight", "getGenesisHash", "getHealth", "getLatestBlockhash",
    "getMultipleAccounts", "getProgramAccounts", "getSignaturesForAddress", "getSlot", "getTransaction",
    "getVersion", "accountSubscribe", "programSubscribe", "slotSubscribe", "logsSubscribe", "signatureSubscribe",
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
    {"id": scalars, "method": st.sampled_from(METHODS)},
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
    answer = orjson.loads(Rpc(node).call(request))
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
    (frame,) = ear.heard
    answer = orjson.loads(frame)
    assert ("result" in answer) != ("error" in answer)
    assert isinstance(node.cluster, Cluster)
    node.cluster.step()  # and what was subscribed to can be told
    pubsub.forget(ear)  # type: ignore[arg-type]
