"""The project as a wheel, and fresh environments to install it into."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.environments import ROOT, run


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built and installed, so that the work tree stays as it is."""
    copy = tmp_path_factory.mktemp("source") / "drift-bus"
    copy.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "LICENSE", "README.md"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, copy)
    for folder in ("schemas", "publisher", "subscribers", "simulator", "cli"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="session")
def wheel(source: Path) -> Path:
    """The project as a wheel."""
    built = run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", source / "dist", source,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (path,) = (source / "dist").glob("*.whl")
    return path
