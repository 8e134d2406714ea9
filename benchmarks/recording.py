"""Real traffic on record: what the simulated node sends a publisher, byte for byte."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.program import node_config, profile
from drift_publisher.interests import subscriptions_to
from drift_publisher.source import AccountUpdate, Subscriptions
from drift_publisher.store import AccountStore
from drift_publisher.subscription_table import SubscriptionTable, requests_of
from drift_simulator import Simulator

__all__ = ["Recording", "filled_store", "key_of", "record"]

_STEPS_AT_ONCE: Final = 10
_UPDATES_PER_S: Final = 500
_SLOT_S: Final = 0.4
_recorded: Final[dict[int, Recording]] = {}


@dataclass(frozen=True)
class Recording:
    """A stretch of a node's life, as fast as it can be written but on its own clock of 500 updates a second.

    Attributes:
        accounts: Every account before the first notification.
        numbers: Subscription request → the number that the notifications carry.
        frames: Account notifications as they came, oldest first.
        updates: The same, decoded as far as the account's bytes.
    """

    accounts: list[AccountUpdate]
    numbers: dict[str, int]
    frames: list[bytes]
    updates: list[AccountUpdate]

    def save(self, path: Path) -> None:
        """Writes numbers and frames for a process that replays them, a line each."""
        path.write_bytes(b"\n".join([orjson.dumps(self.numbers), *self.frames]))


def key_of(request: dict[str, Any]) -> str:
    """What makes a subscription request the same request on another socket."""
    return orjson.dumps([request["method"], request["params"]]).decode()


def filled_store(accounts: Sequence[AccountUpdate]) -> AccountStore:
    """A store that holds these accounts: the markets first, then what they name."""
    about = profile()
    store = AccountStore(about)
    layouts = (about.perp_market, about.spot_market)
    for update in accounts:
        if update.data is not None and update.data[:8] in {layout.discriminator for layout in layouts}:
            store.apply(update)
    named = {about.state_address, *store.oracles()}
    for update in accounts:
        if update.address in named:
            store.apply(update)
    return store


class _Clock:
    """The cluster's time: it goes on with its updates, so that averages move as they do at that rate."""

    def __init__(self, begin: float) -> None:
        self.now = begin

    def __call__(self) -> float:
        return self.now


async def _record(count: int) -> Recording:
    clock = _Clock(time.time() - count / _UPDATES_PER_S)
    config = node_config(updates_per_second=0, queue_limit=count, slot_interval_s=3600, clock=clock)
    async with Simulator(config) as simulator:
        ledger, slot = simulator.cluster.ledger, simulator.slot
        accounts = [
            AccountUpdate(address, account.owner, slot, bytes(account.data), int(clock.now * 1e9))
            for address, account in ledger.items()
        ]
        store = filled_store(accounts)
        async with connect(simulator.ws_url, compression=None, max_size=None, max_queue=count) as socket:
            numbers, targets = await _subscribe(socket, subscriptions_to(store))
            frames: list[bytes] = []
            moments: list[int] = []
            seen, begin, slots = simulator.counters.notifications, clock.now, 0
            while len(frames) < count:
                clock.now = begin + len(frames) / _UPDATES_PER_S
                while (clock.now - begin) / _SLOT_S > slots:
                    simulator.cluster.advance_slot()
                    slots += 1
                simulator.step(_STEPS_AT_ONCE)
                while seen < simulator.counters.notifications:
                    frame = str(await socket.recv()).encode()
                    seen += 1
                    if b'"slotNotification"' not in frame:
                        frames.append(frame)
                        moments.append(int(clock.now * 1e9))
    frames = frames[:count]
    updates = [_update(frame, targets, moment) for frame, moment in zip(frames, moments, strict=False)]
    return Recording(accounts, numbers, frames, updates)


async def _subscribe(socket: ClientConnection, subscriptions: Subscriptions) -> tuple[dict[str, int], dict[int, str]]:
    table = SubscriptionTable("confirmed")
    requests: dict[int, tuple[str, str]] = {}
    for request in table.missing(requests_of(subscriptions)):
        text = table.open(request)
        body = orjson.loads(text)
        requests[body["id"]] = (key_of(body), request.target)
        await socket.send(text)
    numbers: dict[str, int] = {}
    targets: dict[int, str] = {}
    while len(numbers) < len(requests):
        answer = orjson.loads(await socket.recv())
        if "id" in answer:
            key, target = requests[answer["id"]]
            numbers[key] = answer["result"]
            targets[answer["result"]] = target
    return numbers, targets


def _update(frame: bytes, targets: dict[int, str], received_ns: int) -> AccountUpdate:
    params = orjson.loads(frame)["params"]
    result = params["result"]
    value = result["value"]
    address = value.get("pubkey") or targets[params["subscription"]]
    account = value.get("account") or value
    data = b64decode(account["data"][0])
    return AccountUpdate(address, account["owner"], result["context"]["slot"], data, received_ns)


async def record(count: int) -> Recording:
    """Records ``count`` account notifications; the same recording for every bench of a run."""
    if count not in _recorded:
        _recorded[count] = await _record(count)
    return _recorded[count]
