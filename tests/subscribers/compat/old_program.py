"""A program as there are many: an event loop by hand, the old names, and no thought of its end.

It is run by ``test_ends.py`` as a process of its own; the argument says how it ends.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed


def main(end: str) -> None:
    """Connects, reads, and ends."""
    if end == "asyncio.run twice":
        for _ in range(2):
            asyncio.run(read(DriftAdapter()))
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    adapter = DriftAdapter(use_singleton=end != "a feed of its own")
    if end == "interrupted while connecting":
        loop.call_later(0.2, lambda: print("ready", flush=True))
        try:
            loop.run_until_complete(adapter.connect(None, 0, 1000))
        except KeyboardInterrupt:
            loop.close()
        return
    loop.run_until_complete(read(adapter))
    if end == "left in a thread":
        threading.Thread(target=loop.run_forever, daemon=True).start()
        print(asyncio.run_coroutine_threadsafe(adapter.get_mark_price("SOL-PERP"), loop).result(), flush=True)
    elif end == "exit":
        sys.exit(3)
    elif end in ("interrupted", "interrupted, and not caught"):
        try:
            loop.run_until_complete(forever(adapter))
        except KeyboardInterrupt:
            if end != "interrupted":
                raise
        finally:
            loop.close()
    elif end == "server gone":
        print("ready", flush=True)
        sys.stdin.readline()
        loop.close()
    elif end in ("closed", "a feed of its own"):
        tasks = [loop.create_task(forever(adapter))]
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
        del tasks


async def read(adapter: DriftAdapter) -> None:
    """Reads by every old name."""
    print(await adapter.connect(), await DriftClientManager.get_client() is not None, flush=True)
    print((await adapter.get_market_stats("SOL-PERP"))["markPrice"], flush=True)
    print(await DriftFundingFeed(adapter).get_funding_rate("SOL-PERP") is not None, flush=True)


async def forever(adapter: DriftAdapter) -> None:
    """Polls."""
    print("ready", flush=True)
    while True:
        await adapter.get_market_stats("SOL-PERP")
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1])
