"""Where JetStream listens: its subjects stand in one place, for the server's own and for a domain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drift_schemas import InvalidDomain, JetStreamApi, Topology
from drift_schemas.access import AccessError, NatsAccess

HOUSE = Path(__file__).parents[2]


def test_a_domain_stands_in_every_subject() -> None:
    own, hub = JetStreamApi(), JetStreamApi("hub")
    assert own.subject("STREAM.INFO.DRIFT") == "$JS.API.STREAM.INFO.DRIFT"
    assert hub.subject("STREAM.INFO.DRIFT") == "$JS.hub.API.STREAM.INFO.DRIFT"
    assert hub.direct_get("DRIFT") == "$JS.hub.API.DIRECT.GET.DRIFT"
    assert hub.direct_get("DRIFT", "drift.price.SOL") == "$JS.hub.API.DIRECT.GET.DRIFT.drift.price.SOL"
    assert Topology(domain="hub").api == hub
    assert Topology().api == own


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "hub\n", "x" * 65, "API", "$JS"])
def test_a_name_that_no_domain_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidDomain, match="JetStream domain"):
        JetStreamApi(name)


def test_the_setting_is_read_and_checked_with_the_others() -> None:
    assert NatsAccess.from_environment({"DRIFT_BUS_NATS_DOMAIN": " hub "}).domain == "hub"
    assert NatsAccess.from_environment({"DRIFT_BUS_NATS_DOMAIN": ""}).domain is None
    with pytest.raises(AccessError, match="DRIFT_BUS_NATS_DOMAIN: JetStream domain"):
        NatsAccess.from_environment({"DRIFT_BUS_NATS_DOMAIN": "a.b"})


def test_the_apis_subjects_are_written_nowhere_else() -> None:
    """A literal would be silent behind a leaf node, and only there."""
    rooms = ("schemas", "subscribers", "publisher", "cli", "rpc", "jetstream", "gateway", "engines", "dashboard")
    found = [
        f"{path.relative_to(HOUSE)}: {line.strip()}"
        for room in rooms
        for path in (HOUSE / room).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"[\"'f]\$JS\.", line) and path.name != "jetstream_api.py"
    ]
    assert found == []
