"""What the commands on history share: choices as people type them, and errors in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from drift_bus.errors import CommandError, UsageProblem
from drift_schemas import KINDS, InvalidMarketName, Kind, market_token
from drift_subscribers.history import BadMoment, BadSelection, HistoryError

__all__ = ["chosen_kinds", "chosen_markets", "history_errors_in_one_line"]


def chosen_kinds(typed: Sequence[str] | None) -> tuple[Kind, ...]:
    """The kinds of ``--kind``, which may be repeated or hold commas; nothing typed means all.

    Raises:
        UsageProblem: there is no such kind.
    """
    names = _split(typed)
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise UsageProblem(f"--kind: unknown kind {unknown[0]!r}: there are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in names) or KINDS


def chosen_markets(typed: Sequence[str] | None) -> tuple[str, ...]:
    """The markets of ``--market``, which may be repeated or hold commas; nothing typed means all: ``()``.

    Raises:
        UsageProblem: no market can be called so.
    """
    names = _split(typed)
    for name in names:
        try:
            market_token(name)
        except InvalidMarketName as error:
            raise UsageProblem(f"--market: {error}") from None
    return names


@contextlib.contextmanager
def history_errors_in_one_line() -> Iterator[None]:
    """Turns what reading, exporting and importing raise into what the command says.

    Raises:
        UsageProblem: a time or a range is wrong.
        CommandError: any other of their errors.
    """
    try:
        yield
    except (BadMoment, BadSelection) as error:
        raise UsageProblem(str(error)) from None
    except HistoryError as error:
        raise CommandError(str(error)) from None


def _split(typed: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for text in typed or () for name in text.split(",") if name.strip()))
