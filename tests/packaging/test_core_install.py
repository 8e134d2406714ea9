"""An engine's environment: the wheel with the core dependencies, as pinned, and nothing else.

The wheel is built by the environment that runs the tests and installed into a fresh one, for which pip has
to ask a package registry. Where none answers, these tests skip.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.environments import ROOT, fresh_environment, install, run

pytestmark = pytest.mark.timeout(600)  # pip needs a minute of a machine that does nothing else

CONSTRAINTS = ROOT / "constraints.txt"

PACKAGES = ["drift_bus", "drift_publisher", "drift_schemas", "drift_simulator", "drift_subscribers"]

NOT_IN_AN_ENGINE = ["anchorpy", "driftpy", "duckdb", "grpc", "numpy", "pyarrow", "solana", "solders"]

# Imports every module of the two packages, and reports what came with them.
REPORT = """
import importlib, importlib.util, json, pkgutil, sys
import drift_schemas, drift_subscribers
modules = [
    module.name
    for package in (drift_schemas, drift_subscribers)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.endswith("__main__")
]
for name in modules:
    importlib.import_module(name)
names = json.loads(sys.argv[1])
print(json.dumps({
    "modules": modules,
    "importable": [name for name in names if importlib.util.find_spec(name)],
    "loaded": [name for name in names if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def engine_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the core install only."""
    programs = fresh_environment(Path(sys.executable), tmp_path_factory.mktemp("engine"))
    install(["--only-binary=:all:", "-c", str(CONSTRAINTS), str(wheel)], programs, cwd=ROOT)
    return programs / "python"


def test_an_engine_gets_by_without_driftpy(engine_python: Path) -> None:
    # -I: neither the work tree nor PYTHONPATH may help out
    imported = run(engine_python, "-I", "-W", "error", "-c", REPORT, json.dumps(NOT_IN_AN_ENGINE))
    assert imported.returncode == 0, imported.stderr
    report = json.loads(imported.stdout)
    assert {name.partition(".")[0] for name in report["modules"]} == {"drift_schemas", "drift_subscribers"}
    assert report["importable"] == []
    assert report["loaded"] == []


def test_the_core_install_is_small(engine_python: Path) -> None:
    listed = run(sys.executable, "-m", "pip", "--python", engine_python, "list", "--format=json")
    assert listed.returncode == 0, listed.stderr
    names = {entry["name"].lower().replace("_", "-") for entry in json.loads(listed.stdout)}
    direct = {"drift-bus", "msgpack", "nats-py", "pydantic", "tenacity"}
    of_pydantic = {"annotated-types", "pydantic-core", "typing-extensions", "typing-inspection"}
    assert names == direct | of_pydantic


def test_the_wheel_holds_the_five_packages_typed_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted({name.partition("/")[0] for name in names if ".dist-info/" not in name}) == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith("/entry_points.txt") for name in names)


def test_the_constraints_hold_names_and_exact_versions_only() -> None:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", line)] == []
    assert lines == sorted(lines)
    assert len({line.partition("==")[0] for line in lines}) == len(lines)
