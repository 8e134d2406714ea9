"""What goes wrong at a NATS server before it is one: the peer of a handshake, told at which step to fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

__all__ = ["Peer", "serving"]


@dataclass
class Peer:
    """A NATS server as far as a handshake goes, which can fall silent at each of its steps.

    Attributes:
        says_info: It greets whoever connects.
        reads: It reads what the client sends, and answers PING.
        tls: Its greeting asks for TLS, of which it never speaks a byte.
        refuses: It refuses the login, as after a reload with other users.
    """

    says_info: bool = True
    reads: bool = True
    tls: bool = False
    refuses: bool = False
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    closed: int = 0
    """Connections that the client has closed."""
    subscriptions: int = 0
    """How often a client has subscribed."""
    refusals: int = 0
    """Logins that it refused."""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.says_info:
            info = {"server_id": "peer", "version": "2.15.1", "max_payload": 2**20, "headers": True}
            writer.write(f"INFO {json.dumps({**info, 'tls_required': self.tls})}\r\n".encode())
        with contextlib.suppress(OSError):
            while self.tls or not self.says_info or (line := await reader.readline()):
                if self.tls or not self.says_info:
                    if not await reader.read(2**16):
                        break
                elif line.startswith(b"SUB "):
                    self.subscriptions += 1
                elif line == b"PING\r\n" and self.refuses:
                    self.refusals += 1
                    writer.write(b"PONG\r\n-ERR 'Authorization Violation'\r\n")
                    break
                elif line == b"PING\r\n":
                    writer.write(b"PONG\r\n")
                    if not self.reads:
                        writer.transport.pause_reading()  # type: ignore[attr-defined]
                        return
        self.closed += 1
        if self.refuses:
            writer.close()  # what it said before is read
        else:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[Peer]:
    """Listens on a free port until the end of the block."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for writer in peer.writers:
            writer.transport.abort()
