"""The house rules that can be read off the source: who imports whom, and what a package must carry.

Imports are read with ``ast``, so those inside functions and under ``TYPE_CHECKING`` count as well.
"""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PACKAGES = {
    "drift_schemas": ROOT / "schemas" / "drift_schemas",
    "drift_publisher": ROOT / "publisher" / "drift_publisher",
    "drift_subscribers": ROOT / "subscribers" / "drift_subscribers",
    "drift_simulator": ROOT / "simulator" / "drift_simulator",
    "drift_bus": ROOT / "cli" / "drift_bus",
}

OWN_IMPORTS = {
    "drift_schemas": set[str](),
    "drift_publisher": {"drift_schemas"},
    "drift_subscribers": {"drift_schemas"},
    "drift_simulator": {"drift_schemas"},
    "drift_bus": {"drift_schemas", "drift_publisher", "drift_subscribers", "drift_simulator"},
}

CORE_PACKAGES = ["drift_schemas", "drift_subscribers"]
CORE_DEPENDENCIES = {"msgpack", "nats", "pydantic", "pydantic_core", "tenacity"}
EXTRAS = {
    "drift_schemas": {"nacl", "nkeys", "zstandard"},
    "drift_subscribers": {"duckdb", "prometheus_client", "pyarrow"},
}


def parsed(text: str) -> ast.Module:
    """The syntax tree; Python 3.11 fails at it where other tests' coroutines become garbage in the middle of it."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


def sources(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found, f"{package} has no modules"
    return found


def top_level_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.partition(".")[0]]
    return []


def imports(node: ast.AST, *, inside_functions: bool = True) -> Iterator[tuple[str, int]]:
    """The top-level names that are imported below a node, each with its line."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions:
            continue
        for name in top_level_names(child):
            yield name, child.lineno  # type: ignore[attr-defined]
        yield from imports(child, inside_functions=inside_functions)


def strangers(package: str, allowed: set[str], *, among: set[str], inside_functions: bool = True) -> list[str]:
    """The imports of a package that are in ``among``, but not allowed, as readable lines."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for name, line in imports(parsed(path.read_text(encoding="utf-8")), inside_functions=inside_functions)
        if name in among and name not in allowed
    ]


def third_parties(package: str) -> set[str]:
    """Everything that the package imports and that is neither ours nor of the standard library."""
    found = {name for path in sources(package) for name, _ in imports(parsed(path.read_text(encoding="utf-8")))}
    return found - PACKAGES.keys() - sys.stdlib_module_names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_of_ours_that_the_design_allows(package: str) -> None:
    allowed = OWN_IMPORTS[package] | {package}
    assert strangers(package, allowed, among=set(PACKAGES)) == []


@pytest.mark.parametrize("package", CORE_PACKAGES)
def test_what_an_engine_imports_knows_no_driftpy_and_no_undeclared_dependency(package: str) -> None:
    assert strangers(package, CORE_DEPENDENCIES | EXTRAS[package], among=third_parties(package)) == []


@pytest.mark.parametrize("package", CORE_PACKAGES)
def test_what_an_extra_brings_is_imported_inside_functions_only(package: str) -> None:
    assert strangers(package, set(), among=EXTRAS[package], inside_functions=False) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_exports(package: str) -> None:
    tree = parsed((PACKAGES[package] / "__init__.py").read_text(encoding="utf-8"))
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    assert "__all__" in assigned


def test_the_command_starts_without_the_heavy_packages() -> None:
    heavy = {"anchorpy", "driftpy", "duckdb", "grpc", "numpy", "pyarrow", "solana", "solders"}
    code = "import sys, drift_bus.main; print(*(name for name in sys.modules if '.' not in name))"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert started.returncode == 0, started.stderr
    assert heavy & set(started.stdout.split()) == set()
