"""One client's WebSocket: a bounded queue between the chain and a reader that may be slow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web

from .faults import FaultKind
from .node import Node

__all__ = ["Socket"]

logger = logging.getLogger(__name__)

_REORDER_WAIT_S: Final = 0.1
_GARBAGE: Final = b"\x7b<not json> \xc3\xa9 }"
_NORMAL_CLOSE: Final = 1001


class Socket:
    """Sends frames in order from a bounded queue; a client that does not read is dropped.

    Args:
        response: The upgraded response.
        transport: The connection below it.
        node: The node it talks to.
        queue_limit: Frames that may wait.
    """

    def __init__(
        self, response: web.WebSocketResponse, transport: asyncio.Transport, node: Node, queue_limit: int
    ) -> None:
        self._response = response
        self._transport = transport
        self._node = node
        self._limit = queue_limit
        self._queue: deque[tuple[float, bytes]] = deque()
        self._wake = asyncio.Event()
        self._held: list[bytes] = []
        self._since_fault = 0
        self._is_mute = False
        self._heard_at = time.monotonic()
        self._asked_at: deque[float] = deque()
        self.is_open = True

    @property
    def waiting(self) -> int:
        """Frames queued and not yet sent."""
        return len(self._queue)

    def heard(self) -> None:
        """Note that the client sent a frame, be it a ping."""
        self._heard_at = time.monotonic()

    def subscribes_too_often(self, most: int, seconds: float) -> bool:
        """Whether one more subscription now is more than ``most`` in ``seconds``; it counts if it is not."""
        now = time.monotonic()
        while self._asked_at and now - self._asked_at[0] >= seconds:
            self._asked_at.popleft()
        if len(self._asked_at) >= most:
            return True
        self._asked_at.append(now)
        return False

    def confirm(self, frame: bytes) -> None:
        """Queue a subscription's confirmation, out of order while that fault is in force."""
        fault = self._node.faults.take(FaultKind.REORDER_CONFIRMATIONS)
        if fault is None:
            self.send(frame)
            return
        self._held.append(frame)
        if len(self._held) >= max(2, fault.messages):
            self._release()
        elif len(self._held) == 1:
            asyncio.get_running_loop().call_later(_REORDER_WAIT_S, self._release)

    def send(self, frame: bytes, method: str = "", address: str = "") -> None:
        """Queue a frame; drop the connection when the queue is full.

        Args:
            frame: Text frame.
            method: For a notification, the method that subscribed to it.
            address: For a notification, the account it is about.
        """
        if not self.is_open:
            return
        due = 0.0
        faults = self._node.faults
        if self._is_mute:
            return
        if len(faults):
            if faults.take(FaultKind.MUTE_SOCKET):
                self._is_mute = True
                return
            if faults.take(FaultKind.SILENT_STALL, methods=[method], pubkeys=[address]):
                return
            delay = faults.take(FaultKind.DELAY, methods=[method], pubkeys=[address])
            if delay is not None:
                due = asyncio.get_running_loop().time() + delay.seconds
            if faults.take(FaultKind.GARBAGE_WS, methods=[method], pubkeys=[address]):
                frame = _GARBAGE
        if len(self._queue) >= self._limit:
            self._node.counters.sockets_dropped += 1
            logger.warning("a client reads too slowly, its connection is dropped")
            self.abort()
            return
        self._queue.append((due, frame))
        self._wake.set()

    def abort(self) -> None:
        """Cut the connection without a closing handshake."""
        self.is_open = False
        self._wake.set()
        self._transport.abort()

    def freeze(self, *, frozen: bool) -> None:
        """Stop or resume reading from the connection (half-open)."""
        with suppress(RuntimeError):
            if frozen:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
                self._wake.set()

    async def write(self) -> None:
        """Send queued frames until the socket closes. Runs as the socket's writer task."""
        counters, loop = self._node.counters, asyncio.get_running_loop()
        while self.is_open:
            if self._is_idle():
                self.abort()
                return
            if not self._queue or self._node.faults.holds(FaultKind.HALF_OPEN):
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self._wake.wait()
                continue
            due, frame = self._queue.popleft()
            if due > (now := loop.time()):
                await asyncio.sleep(due - now)
            try:
                await self._response.send_frame(frame, WSMsgType.TEXT)
            except (ConnectionError, RuntimeError):
                self.is_open = False
                return
            counters.bytes_out += len(frame)
            if await self._close_if_due():
                return

    def _is_idle(self) -> bool:
        fault = self._node.faults.holds(FaultKind.IDLE_CUT)
        if fault is None or time.monotonic() - self._heard_at <= fault.seconds:
            return False
        return self._node.faults.take(FaultKind.IDLE_CUT) is not None

    async def _close_if_due(self) -> bool:
        fault = self._node.faults.holds(FaultKind.CLOSE_AFTER_MESSAGES)
        if fault is None:
            self._since_fault = 0
            return False
        self._since_fault += 1
        if self._since_fault < fault.messages:
            return False
        self._node.faults.take(FaultKind.CLOSE_AFTER_MESSAGES)
        self.is_open = False
        await self._response.close(code=_NORMAL_CLOSE)
        return True

    def _release(self) -> None:
        held, self._held = self._held, []
        for frame in reversed(held):
            self.send(frame)
