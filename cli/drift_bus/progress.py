"""Tells what is going on while a step takes longer than a second."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from drift_bus.errors import complain
from drift_bus.redaction import redact

__all__ = ["progress"]


@contextlib.asynccontextmanager
async def progress(message: str) -> AsyncIterator[None]:
    """Shows a spinner on a terminal, else one line on stderr once a second has passed."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"{redact(message)} …"):
            yield
        return
    notice = asyncio.get_running_loop().call_later(1.0, complain, f"{message} …")
    try:
        yield
    finally:
        notice.cancel()
