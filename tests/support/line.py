"""A TCP line of ours between a client and a server, which can be cut, or hold back all that is sent over it."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

__all__ = ["Line"]

_CHUNK: Final = 65536


class Line:
    """Passes bytes on, both ways, for as long as the ``async with`` lasts.

    Args:
        url: The server behind it, with a port.
    """

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self.connections = 0
        """Connections ever asked for, those refused included."""

    @property
    def url(self) -> str:
        """Where the client connects instead."""
        assert self._server is not None
        return f"{self._far.scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Resets every connection, and each new one until :meth:`mend`."""
        self._cut = True
        for end in self._ends:
            end.transport.abort()

    def hold(self) -> None:
        """Passes nothing on until :meth:`mend`, as when packets are lost: no end is told, and new ones hang too."""
        self._passes.clear()

    def mend(self) -> None:
        """Passes everything on again, what was held back first."""
        self._cut = False
        self._passes.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer), name="line")
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection until either end closes it."""
        ends = {writer}
        self._ends.add(writer)
        try:
            if self._cut:
                return
            await self._passes.wait()
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
                ends.add(far_writer)
                self._ends.add(far_writer)
                ways = {
                    asyncio.ensure_future(self._pump(reader, far_writer)),
                    asyncio.ensure_future(self._pump(far_reader, writer)),
                }
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
