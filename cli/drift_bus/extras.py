"""Says in one line which extra a command lacks; imports nothing that an extra brings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

__all__ = ["EXTRAS", "missing_extra"]

EXTRAS: Final = {
    "drift_bus": "cli",
    "drift_publisher": "publisher",
    "drift_simulator": "simulator",
    "drift_subscribers": "replay",
    "drift_schemas": "auth",
}
"""Package → the extra without which parts of it do not import."""


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The line for a user: what is missing, for what, and what to type.

    Args:
        error: As it was raised, with its traceback.

    Returns:
        ``None`` where the module belongs to a package of ours: then the installation is broken, not incomplete.
    """
    missing = (error.name or "").partition(".")[0]
    importers = [package for package in _own_packages(error) if package in EXTRAS]
    if not missing or missing in EXTRAS or not importers:
        return None
    wanted = dict.fromkeys(("cli", EXTRAS[importers[-1]]))
    return (
        f"the extra {EXTRAS[importers[-1]]!r} is not installed (there is no {missing} for "
        f"{sys.executable}): pip install 'drift-bus[{','.join(wanted)}]'"
    )


def _own_packages(error: ModuleNotFoundError) -> Iterator[str]:
    """The top-level package of each frame that the error came through, outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        trace = trace.tb_next
