"""Fixtures that every room's tests share: a real nats-server per test, each program, and no task left behind."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.profiles import PROFILES
from tests.support.nats_container import Choice, ContainerNatsServer, choose
from tests.support.wait import begin_test

_ENDING_S = 5.0

# A shell that runs the tests in the background has Ctrl-C ignored, and every process they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties hold however slow the machine is: no deadline for an example, and none for drawing it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nats`` says on what the tests' nats-server runs."""
    parser.addoption(
        "--nats",
        choices=("auto", "container", "binary"),
        default="auto",
        help="nats-server of the tests: in a container, as a process, or (auto) what is possible here",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Chooses once; a wish that cannot be fulfilled ends the run before its first test."""
    try:
        choose(config.getoption("--nats"))
    except RuntimeError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str:
    """Shows the choice at the head of the report."""
    choice = choose(config.getoption("--nats"))
    return f"nats-server: {choice.kind} ({choice.why})"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test waits for, all in all, ends before pytest-timeout ends the test without a word about it."""
    marker = item.get_closest_marker("timeout")
    begin_test(float(marker.args[0] if marker and marker.args else item.config.getini("timeout") or 0))


@pytest.fixture(scope="module", params=tuple(PROFILES))
def program(request: pytest.FixtureRequest) -> str:
    """The on-chain program: a test that takes it, itself or by another fixture, runs once for each that there is.

    ``tests.support.programs.drift_only`` keeps a test to one of them.
    """
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def nats_choice(pytestconfig: pytest.Config) -> Choice:
    """On what the tests' nats-server runs."""
    return choose(pytestconfig.getoption("--nats"))


@pytest.fixture
async def nats_server(nats_choice: Choice) -> AsyncIterator[LocalNatsServer]:
    """A nats-server with JetStream and an empty store: in a container where a Docker engine answers, else a process."""
    async with ContainerNatsServer() if nats_choice.kind == "container" else LocalNatsServer() as server:
        yield server


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fails any test that leaves an asyncio task running; one that is about to end may do so."""
    yield
    deadline = time.monotonic() + _ENDING_S
    while left := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.01)
    else:
        return
    names = [f"{task.get_name()}: {task.get_coro()}" for task in left]
    pytest.fail(f"tasks left running: {names}")
