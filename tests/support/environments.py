"""Fresh Python environments, filled from a package registry; without one, tests of them skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

__all__ = ["ROOT", "fresh_environment", "install", "newer_pythons", "python_of", "run"]

ROOT: Final = Path(__file__).parents[2]

_PLACES: Final = (
    *("/usr/bin", "/usr/local/bin", "/opt/*/bin", "/opt/*/*/bin"),
    *(f"{Path.home()}/{place}/*/bin" for place in (".pyenv/versions", ".local/share/uv/python")),
)
_ASK: Final = "import sys, venv; print(*sys.version_info[:2], sys.version_info.releaselevel, sys.implementation.name)"


def run(
    *command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None, timeout_s: float = 500
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, check=False, timeout=timeout_s, cwd=cwd, env=environment,
    )  # fmt: skip


@cache
def pythons() -> dict[tuple[int, int], Path]:
    """Each CPython on this machine that runs and can make environments, one for each version."""
    found: dict[tuple[int, int], Path] = {}
    for candidate in _candidates():
        try:
            said = run(candidate, "-I", "-c", _ASK, timeout_s=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        words = said.stdout.split()
        if said.returncode == 0 and words[2:] == ["final", "cpython"]:
            found.setdefault((int(words[0]), int(words[1])), candidate)
    return found


def _candidates() -> Iterator[Path]:
    for minor in range(11, 30):
        name = f"python3.{minor}"
        on_path = shutil.which(name)
        if on_path:
            yield Path(on_path)
        for place in _PLACES:
            yield from sorted(Path("/").glob(f"{place.lstrip('/')}/{name}"))


def python_of(version: tuple[int, int]) -> Path | None:
    """The interpreter of one version; none where the machine has none."""
    return Path(sys.executable) if version == sys.version_info[:2] else pythons().get(version)


def newer_pythons() -> list[tuple[int, int]]:
    """The versions on this machine that are newer than the one that runs the tests."""
    return sorted(version for version in pythons() if version > sys.version_info[:2])


def fresh_environment(python: Path, folder: Path) -> Path:
    """An environment of that interpreter with nothing in it, not even pip; its ``bin``."""
    made = run(python, "-I", "-m", "venv", "--without-pip", folder)
    assert made.returncode == 0, made.stderr
    return folder / "bin"


def install(arguments: list[str], bin_folder: Path, *, cwd: Path) -> None:
    """Installs with pip into an environment, or skips the test where no registry answers.

    Args:
        arguments: As after ``pip install``.
        bin_folder: The environment's.
        cwd: Where paths among the arguments begin.
    """
    done = run(
        sys.executable, "-m", "pip", "--python", bin_folder / "python", "install", "--quiet", "--no-input",
        "--no-compile",  # half of pip's time; as a setting, pip takes PIP_NO_COMPILE=1 for "compile"
        "--retries", "1", "--timeout", "10", *arguments,
        cwd=cwd, environment={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    if done.returncode != 0 and "connection broken by" in done.stderr:
        pytest.skip("pip reaches no package registry, so nothing can be installed")
    assert done.returncode == 0, done.stderr
