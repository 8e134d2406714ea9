"""The servers that a caller names, as a list, however they were written."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["server_list"]


def server_list(url: str | Sequence[str]) -> list[str]:
    """Addresses one by one: ``"a, b"``, ``"a,b"`` and ``["a", "b"]`` are the same two servers.

    Raises:
        ValueError: there is none.
    """
    written = [url] if isinstance(url, str) else url
    servers = [part.strip() for entry in written for part in entry.split(",") if part.strip()]
    if not servers:
        raise ValueError(f"no NATS server in {url!r}: give one such as nats://127.0.0.1:4222")
    return list(dict.fromkeys(servers))
