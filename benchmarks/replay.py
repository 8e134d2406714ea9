"""A bench process: a WebSocket node that sends recorded notifications, as many as it is told to, at full speed."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import orjson
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.processes import say
from benchmarks.recording import key_of

__all__: list[str] = []


class _Replay:
    def __init__(self, recording: Path) -> None:
        numbers, *self._frames = recording.read_text().split("\n")
        self._numbers: dict[str, int] = orjson.loads(numbers)
        self._credits: asyncio.Queue[int] = asyncio.Queue()

    async def take_credits(self) -> None:
        """Each line on stdin is a number of frames to send; stdin's end is ours."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            self._credits.put_nowait(int(line))

    async def serve(self, socket: ServerConnection) -> None:
        """Confirms subscriptions under their recorded numbers, and sends on credit."""
        sender = asyncio.create_task(self._send(socket), name="replay-sender")
        try:
            async for text in socket:
                request = orjson.loads(text)
                answer = {"jsonrpc": "2.0", "id": request["id"], "result": self._numbers[key_of(request)]}
                await socket.send(orjson.dumps(answer).decode())
                if request["method"] == "slotSubscribe":
                    await socket.send(_first_slot(answer["result"]))
        finally:
            sender.cancel()

    async def _send(self, socket: ServerConnection) -> None:
        frames: Iterator[str] = iter(self._frames)
        try:
            while True:
                for frame in islice(frames, await self._credits.get()):
                    await socket.send(frame)
        except ConnectionClosed:
            return


def _first_slot(subscription: int) -> str:
    params = {"result": {"parent": 0, "root": 0, "slot": 1}, "subscription": subscription}
    return orjson.dumps({"jsonrpc": "2.0", "method": "slotNotification", "params": params}).decode()


async def _main(recording: Path) -> None:
    replay = _Replay(recording)
    async with serve(replay.serve, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        say(ws_url=f"ws://127.0.0.1:{port}")
        await replay.take_credits()


def main() -> int:
    """Serves until stdin closes."""
    parser = argparse.ArgumentParser(prog="benchmarks.replay")
    parser.add_argument("recording", type=Path)
    asyncio.run(_main(parser.parse_args().recording))
    return 0


if __name__ == "__main__":
    sys.exit(main())
