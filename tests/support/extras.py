"""What pyproject.toml declares for each extra, and a Python that has no more than some of them."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

__all__ = ["CORE", "DISTRIBUTIONS", "EXTRAS", "PROJECT", "normalized", "python_with"]

PROJECT: Final = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))


def normalized(requirement: str) -> str:
    """The name in a requirement, as package indexes compare names."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


CORE: Final = {normalized(line) for line in PROJECT["project"]["dependencies"]} | {"pydantic-core"}
"""The core dependencies; pydantic-core is pydantic's other half, of a version that pydantic chooses."""
EXTRAS: Final[Mapping[str, set[str]]] = {
    extra: {normalized(line) for line in lines} for extra, lines in PROJECT["project"]["optional-dependencies"].items()
}
DISTRIBUTIONS: Final[Mapping[str, set[str]]] = {
    name: {normalized(distribution) for distribution in found} for name, found in packages_distributions().items()
}
"""Name to import → the distributions that bring it, of what is installed here."""

_WITHOUT: Final = """
import sys
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {names!r} else PathFinder.find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def python_with(*extras: str, folder: Path, never: frozenset[str] = frozenset()) -> dict[str, str]:
    """The environment of a Python that has the core, these extras, and nothing else that some extra declares.

    Args:
        extras: Those that are installed.
        folder: An empty one, for as long as that Python runs; its children have the same.
        never: Names that cannot be imported in any case: what comes with a dependency of an extra.
    """
    there = CORE.union(*(EXTRAS[extra] for extra in extras))
    optional = set[str]().union(*EXTRAS.values()) - there
    names = {name for name, found in DISTRIBUTIONS.items() if found & optional and not found & there}
    (folder / "sitecustomize.py").write_text(_WITHOUT.format(names=names | never))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("DRIFT_BUS_")},
        "PYTHONPATH": str(folder),
    }
