"""The promise of the old manager's calls: whatever goes wrong, a caller sees emptiness and the log sees why."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from drift_subscribers.compat.notes import NOTES

__all__ = ["never_raises"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Empty = TypeVar("_Empty")


def never_raises(
    empty: Callable[[], _Empty],
) -> Callable[[Callable[_P, Awaitable[_R]]], Callable[_P, Coroutine[Any, Any, _R | _Empty]]]:
    """Makes a coroutine function return ``empty()`` where it would raise; cancellation still passes."""

    def decorate(call: Callable[_P, Awaitable[_R]]) -> Callable[_P, Coroutine[Any, Any, _R | _Empty]]:
        @wraps(call)
        async def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R | _Empty:
            try:
                return await call(*args, **kwargs)
            except Exception as error:
                what, cause = call.__qualname__, type(error).__name__
                NOTES.say(what, cause, text=f"{what} failed: {cause}: {error}", level=logging.ERROR)
                return empty()

        return guarded

    return decorate
