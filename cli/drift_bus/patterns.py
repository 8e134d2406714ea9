"""Subjects as people type them, and which subject falls under which."""

from __future__ import annotations

import re
from collections.abc import Sequence

from drift_bus.errors import UsageProblem
from drift_schemas import KINDS, Subjects

__all__ = ["matches", "subject_patterns"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]+|\*|>")


def subject_patterns(typed: Sequence[str], names: Subjects) -> list[str]:
    """Completes what was typed to full subjects; nothing typed means everything under the prefix.

    ``funding`` becomes ``drift.funding.*``, ``SOL-PERP`` becomes ``drift.*.SOL-PERP``, ``price.SOL`` becomes
    ``drift.price.SOL``.

    Raises:
        UsageProblem: no subject can be made of it.
    """
    return list(dict.fromkeys(_complete(subject, names) for subject in typed)) or [names.everything]


def matches(pattern: str, subject: str) -> bool:
    """NATS's own rule: ``*`` is one token, ``>`` is all that follow."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else []
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def _complete(typed: str, names: Subjects) -> str:
    tokens = typed.split(".")
    if not all(_TOKEN.fullmatch(token) for token in tokens) or ">" in tokens[:-1]:
        raise UsageProblem(f"{typed!r} is no subject: write {names.public('funding', 'SOL-PERP')} or funding")
    if typed == names.status or typed.startswith(f"{names.prefix}."):
        return typed
    if typed == ">":
        return names.everything
    if tokens[0] in (*KINDS, "*") and len(tokens) == 2:
        return f"{names.prefix}.{typed}"
    if len(tokens) > 1:
        raise UsageProblem(f"{typed!r} is not under the prefix {names.prefix!r} (--prefix)")
    if typed in KINDS:
        return f"{names.prefix}.{typed}.*"
    return names.status if typed == "status" else f"{names.prefix}.*.{typed}"
