"""A file of settings named on the command line."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from drift_bus.errors import UsageProblem

__all__ = ["load_env_file"]


def load_env_file(path: Path) -> None:
    """Puts the file's ``DRIFT_BUS_*`` settings into the environment, under those that are there.

    Raises:
        UsageProblem: it cannot be read, or holds no such setting.
    """
    try:
        with path.open(encoding="utf-8") as file:
            values = {
                name: value for name, value in dotenv_values(stream=file).items() if name.startswith("DRIFT_BUS_")
            }
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"--env-file {path}: {getattr(error, 'strerror', None) or 'no text'}") from None
    if not values:
        raise UsageProblem(f"--env-file {path}: there is no DRIFT_BUS_ setting in it")
    for name, value in values.items():
        if not os.environ.get(name):
            os.environ[name] = value or ""
