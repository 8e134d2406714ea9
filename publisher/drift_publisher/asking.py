"""NATS requests inside a task that may be cancelled, and writes that hold only behind what we know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

__all__ = ["IN_PROCESS", "WRONG_SEQUENCE", "ask", "behind"]

WRONG_SEQUENCE: Final = 10071
"""JetStream's error number for a message that was not stored, for another one stands where :func:`behind` said."""

IN_PROCESS: Final = 10164
"""The same where a replicated stream has not yet decided about an earlier message behind that subject."""


def behind(subject: str, sequence: int) -> dict[str, str]:
    """Headers with which the stream stores a message only while ``sequence`` is the last one of ``subject``."""
    return {
        "Nats-Expected-Last-Subject-Sequence": str(sequence),
        "Nats-Expected-Last-Subject-Sequence-Subject": subject,
    }


async def ask(
    nats: Client, subject: str, payload: bytes = b"", *, timeout_s: float, headers: Mapping[str, str] | None = None
) -> Msg:
    """Sends a request and returns its answer; a cancellation always gets through.

    With a limit of its own, nats-py waits by ``asyncio.wait_for``, which on Python 3.11 can swallow a cancellation.

    Raises:
        TimeoutError: no answer within ``timeout_s``.
        nats.errors.Error: there is no connection, or nobody listens.
    """
    async with asyncio.timeout(timeout_s):
        return await nats.request(subject, payload, timeout=None, headers=dict(headers or {}))  # type: ignore[arg-type]
