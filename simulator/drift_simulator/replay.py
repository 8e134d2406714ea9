"""A Solana node that serves a capture in place of a living cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import zstandard

from drift_schemas.capture import CaptureHeader, CaptureReader, CaptureRecord, CutShort

from .captured import CapturedChain
from .counters import Counters
from .faults import FaultBook
from .node import Node
from .player import Player
from .pubsub import PubSub
from .rpc import Rpc
from .server import Server

__all__ = ["CaptureReplay", "open_capture"]

_QUIET_S: Final = 2.0
_PATIENCE_S: Final = 20.0
_LOOK_S: Final = 0.1
_LAST_LOOKS: Final = 100


def open_capture(path: Path) -> CaptureReader:
    """Open a capture file.

    Raises:
        CaptureError: It is none, or its beginning is damaged.
        OSError: It cannot be read.
    """
    zstd = zstandard.ZstdDecompressor()
    return CaptureReader(path, lambda body, size: zstd.decompress(body, max_output_size=size))


class CaptureReplay:
    """A node on which a capture happens again: same accounts, same slots, same order.

    Its genesis hash is the simulation's own, whatever chain the capture is of, so that it is never taken for live.
    Use it as an async context manager; inside, :attr:`http_url` and :attr:`ws_url` are reachable.

    The state in which the capture begins is there at once. Time starts with the first client: two seconds after its
    last new subscription, or twenty after its first request where it subscribes nothing. At the end slots stop.

    Args:
        path: The capture file, which may be cut short.
        host: Address to listen on.
        port: HTTP port; the next one serves WebSockets as well. 0 finds a free pair.
        speed: 1 keeps the recorded pace, infinity is as fast as clients take it.
        loop: Begin again at the end. Slots go on; what accounts themselves say of slots stays as recorded.
        waits_for_client: False: time stands still until :meth:`play`.
        queue_limit: Messages that may wait for one WebSocket before the node drops the connection.

    Raises:
        CaptureError: The file is no capture, or its beginning is damaged.
        OSError: It cannot be read.
        ValueError: ``speed`` is not above 0.
    """

    def __init__(
        self,
        path: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        loop: bool = False,
        waits_for_client: bool = True,
        queue_limit: int = 4096,
    ) -> None:
        self.reader = open_capture(path)
        self.chain = CapturedChain()
        self.counters = Counters()
        self.faults = FaultBook()
        self._host = host
        self._asked_port = port
        self._waits_for_client = waits_for_client
        node = Node(self.chain, self.faults, self.counters)
        self._pubsub = PubSub(node)
        self._server = Server(node, Rpc(node), self._pubsub, queue_limit=queue_limit)
        self._player = Player(
            self.reader,
            self._tell,
            speed=speed,
            loop=loop,
            has_room=lambda: self._server.backlog < queue_limit // 2,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Listen, in the state in which the capture begins.

        Raises:
            PortInUse: The port or the one above is taken.
            CaptureError: The file is damaged at its beginning.
        """
        try:
            self._player.open()
            await self._server.start(self._host, self._asked_port)
        except BaseException:
            self._player.close()
            raise
        work = {"capture-player": self._player.run()}
        if self._waits_for_client:
            work["capture-client"] = self._await_client()
        self._tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening.

        Raises:
            CaptureError: The file turned out to be damaged while it was played.
        """
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._player.close()
        await self._server.stop()
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def header(self) -> CaptureHeader:
        """What the capture is of."""
        return self.reader.header

    @property
    def cut_short(self) -> CutShort | None:
        """Where the file ends too early, once it was told to its end; None for a whole one."""
        return self.reader.cut_short

    @property
    def port(self) -> int:
        """The HTTP port; the next one serves WebSockets as well."""
        return self._server.port

    @property
    def http_url(self) -> str:
        """Where JSON-RPC is answered."""
        return f"http://{self._host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where WebSockets are accepted (the port above accepts them too)."""
        return f"ws://{self._host}:{self.port}"

    @property
    def slot(self) -> int:
        """The newest slot told."""
        return self.chain.told_slot

    @property
    def played(self) -> int:
        """Records told."""
        return self._player.played

    @property
    def is_playing(self) -> bool:
        """Whether time goes on: a client is there, and nobody paused it."""
        return self._player.is_playing

    @property
    def has_ended(self) -> bool:
        """Whether everything was told, and sent to whoever listens."""
        return self._player.ended.is_set() and self._server.backlog == 0

    def play(self) -> None:
        """Let time go on."""
        self._player.play()

    def pause(self) -> None:
        """Hold time; slots stop too."""
        self._player.pause()

    def step(self, count: int = 1) -> int:
        """Tell the next ``count`` records at once; return how many there were."""
        return self._player.step(count)

    async def run_until(self, stop: asyncio.Event, *, or_end: bool = False) -> None:
        """Wait until ``stop`` is set or a task dies, whose error leaving the context raises; ``or_end``: or the end."""
        waiter = asyncio.create_task(stop.wait(), name="capture-stop")
        try:
            await asyncio.wait({waiter, self._tasks[0]}, return_when=asyncio.FIRST_COMPLETED)
            if self._player.ended.is_set() and not or_end:
                await waiter
            for _ in range(_LAST_LOOKS):
                await asyncio.sleep(_LOOK_S)
                if stop.is_set() or self._server.backlog == 0:
                    break
        finally:
            waiter.cancel()

    def _tell(self, record: CaptureRecord, shift: int) -> None:
        self.chain.tell(record, self._pubsub.publish_slot, shift=shift)

    async def _await_client(self) -> None:
        loop = asyncio.get_running_loop()
        seen, since = 0, loop.time()
        while not self.is_playing:
            await asyncio.sleep(_LOOK_S)
            subscribed = self.counters.subscriptions_total.total()
            if subscribed != seen or not self.counters.requests + subscribed:
                seen, since = subscribed, loop.time()
            if loop.time() - since >= (_QUIET_S if seen else _PATIENCE_S):
                self.play()
