"""Fixtures: a simulation that lives, one that stands still, and clients that speak raw JSON-RPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from drift_simulator import Simulator, SimulatorConfig
from drift_simulator.layout import Record

PROGRAMS = ("drift-v2", "velocity-v1")
START = 1_700_000_123.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Channel:
    """A WebSocket that speaks JSON-RPC."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._number = 0
        self.notifications: list[dict[str, Any]] = []

    async def send(self, method: str, *params: Any) -> int:
        """Send a call and return its id."""
        self._number += 1
        call = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": list(params)}
        await self.socket.send_bytes(orjson.dumps(call))
        return self._number

    async def call(self, method: str, *params: Any) -> Any:
        """Send a call and return its whole answer; notifications on the way are kept."""
        number = await self.send(method, *params)
        while True:
            message = orjson.loads(await self.socket.receive_str(timeout=30))
            if message.get("id") == number:
                return message
            self.notifications.append(message)

    async def subscribe(self, kind: str, *params: Any) -> int:
        """Subscribe and return the subscription's number."""
        return int((await self.call(f"{kind}Subscribe", *params))["result"])

    async def notification(self, accept: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Return the params of the next notification that ``accept`` accepts."""
        while True:
            if self.notifications:
                message = self.notifications.pop(0)
            else:
                message = orjson.loads(await self.socket.receive_str(timeout=30))
            if "method" in message and accept(message):
                params: dict[str, Any] = message["params"]
                return params


class Client:
    """An HTTP and WebSocket client of one simulation."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session
        self.program = str(simulator.cluster.program.program_id)

    def read(self, kind: str, data: bytes) -> Record:
        """Read an account of the simulated program."""
        return self.simulator.cluster.program.idl.account(kind).record(data)

    async def post(self, body: Any, **headers: str) -> tuple[int, Any]:
        """Post a JSON body; return status and decoded answer."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(self.simulator.http_url, data=data, headers=named) as response:
            return response.status, orjson.loads(await response.read())

    async def call(self, method: str, *params: Any) -> Any:
        """Make one call and return its whole answer."""
        return (await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}))[1]

    async def result(self, method: str, *params: Any) -> Any:
        """Make one call and return its result."""
        answer = await self.call(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def connect(self, offset: int = 0) -> Channel:
        """Open a WebSocket on the port, or on one above it."""
        url = f"ws://{self.simulator.config.host}:{self.simulator.port + offset}"
        return Channel(await self.session.ws_connect(url))


@pytest.fixture
def clock() -> Clock:
    """A clock in the hands of the test."""
    return Clock()


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """The program that is simulated: a test that takes it, or a simulation, runs once for each."""
    return str(request.param)


@pytest.fixture
async def living(program: str) -> AsyncIterator[Simulator]:
    """A simulation that moves fast."""
    config = SimulatorConfig(program=program, updates_per_second=400, slot_interval_s=0.05)
    async with Simulator(config) as simulator:
        yield simulator


@pytest.fixture
async def still(program: str) -> AsyncIterator[Simulator]:
    """A simulation whose accounts change only when told to; slots go on."""
    async with Simulator(SimulatorConfig(program=program, updates_per_second=0, slot_interval_s=0.05)) as simulator:
        simulator.pause_walk()
        yield simulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as opened:
        yield opened


@pytest.fixture
def client(still: Simulator, session: aiohttp.ClientSession) -> Client:
    """A client of the simulation that stands still."""
    return Client(still, session)


@pytest.fixture
def living_client(living: Simulator, session: aiohttp.ClientSession) -> Client:
    """A client of the simulation that moves."""
    return Client(living, session)
