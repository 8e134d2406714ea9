"""Limits of the streams on a server that has little room."""

from __future__ import annotations

from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.errors import TopologyConflict
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import Topology
from tests.support.connecting import nats_client


async def test_a_server_without_room_for_the_limits_is_told_with_the_remedy() -> None:
    async with (
        LocalNatsServer(extra_config="jetstream { max_file_store: 100MB }") as server,
        nats_client(server.url) as client,
    ):
        small: dict[str, Any] = {"max_bytes": 50 * 10**6, "funding_max_bytes": 20 * 10**6}
        with pytest.raises(TopologyConflict, match=r"DRIFT_FUNDING_HISTORY.*DRIFT_BUS_FUNDING_MAX_BYTES"):
            await ensure_topology(client, Topology(**{**small, "funding_max_bytes": 60 * 10**6}))
        await ensure_topology(client, Topology(**small))


async def test_other_limits_are_taken_on_in_place(nats_server: LocalNatsServer) -> None:
    async with nats_client(nats_server.url) as client:
        await ensure_topology(client, Topology())
        await ensure_topology(
            client, Topology(max_age_s=60, max_bytes=10**9, funding_max_age_s=0, funding_max_bytes=10**7)
        )
        streams = client.jetstream(timeout=30)
        stream, history = [(await streams.stream_info(name)).config for name in ("DRIFT", "DRIFT_FUNDING_HISTORY")]
        assert (stream.max_age, stream.max_bytes) == (60, 10**9)
        assert (history.max_age, history.max_bytes) == (0, 10**7)
