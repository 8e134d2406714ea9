"""The programs that a simulation can play, by name and by address."""

from __future__ import annotations

from typing import Final

from .drift.program import DriftV2
from .program import Program
from .velocity.program import VelocityV1

__all__ = ["PROGRAMS", "program_at", "program_named"]

PROGRAMS: Final[dict[str, Program]] = {program.name: program for program in (DriftV2(), VelocityV1())}


def program_named(name: str) -> Program:
    """Return a program by its name.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    if name not in PROGRAMS:
        raise ValueError(f"program {name!r} is unknown: choose {' or '.join(PROGRAMS)}")
    return PROGRAMS[name]


def program_at(address: str) -> Program | None:
    """Return the program at an address, or None."""
    return next((program for program in PROGRAMS.values() if str(program.program_id) == address), None)
