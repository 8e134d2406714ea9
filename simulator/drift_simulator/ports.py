"""Two listening sockets on neighbouring ports."""

from __future__ import annotations

import errno
import socket
from typing import Final

from .config import PortInUse

__all__ = ["bind_pair"]

_ATTEMPTS: Final = 200


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Two listeners may share a bound port until one listens, so the port is claimed here.
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Listen on a port and the one above it.

    Raises:
        PortInUse: One of the two is taken, or no free pair was found.
    """
    for _ in range(_ATTEMPTS if port == 0 else 1):
        first: socket.socket | None = None
        try:
            first = _bind(host, port)
            return first, _bind(host, first.getsockname()[1] + 1)
        except (OSError, OverflowError) as error:
            if first is not None:
                first.close()
            if isinstance(error, OSError) and error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
    raise PortInUse(port)
