"""The compose file, brought up as a project of its own, and always taken down again."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "ComposeFailed", "Project", "compose_command", "project"]

ROOT: Final = Path(__file__).parent.parent.parent
_UP_S: Final = 1500
_COMMAND_S: Final = 180


class ComposeFailed(AssertionError):
    """A compose command failed; the text is the end of what it said."""


@cache
def compose_command() -> tuple[str, ...] | None:
    """``docker compose``, else ``docker-compose``, else nothing."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version"], check=False, capture_output=True)
            if done.returncode == 0:
                return command
    return None


class Project:
    """One project under a name that no other has.

    Attributes:
        urls: Where its nats-servers are reached from here.
    """

    def __init__(self, mode: str, profiles: Sequence[str]) -> None:
        self._name = f"driftbustest{uuid.uuid4().hex[:8]}"
        self._profiles = [part for profile in profiles for part in ("--profile", profile)]
        ports = _free_ports(4)
        self.urls = [f"nats://127.0.0.1:{port}" for port in ports[:3]]
        names = ("NATS_PORT", "NATS_2_PORT", "NATS_3_PORT", "PROMETHEUS_PORT")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DRIFT_BUS_")},
            **{name: str(port) for name, port in zip(names, ports, strict=True)},
            "NATS_MODE": mode,
        }

    async def compose(self, *arguments: str, timeout_s: float = _COMMAND_S) -> str:
        """Runs a compose command; returns its stdout.

        Raises:
            ComposeFailed: its status was not 0.
        """
        process = await asyncio.create_subprocess_exec(
            *(compose_command() or ()),
            *("-p", self._name, "-f", str(ROOT / "docker-compose.yml"), *self._profiles, *arguments),
            cwd="/",  # a .env file beside the compose file is the user's, not the test's
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(timeout_s):
            out, error = await process.communicate()
        if process.returncode:
            raise ComposeFailed(f"{arguments[0]}: {(out + error).decode(errors='replace')[-3000:]}")
        return out.decode(errors="replace")

    async def health_of(self, service: str) -> str:
        """``starting``, ``healthy`` or ``unhealthy``; empty where there is no such container."""
        found = (await self.compose("ps", "-q", service)).split()
        if not found:
            return ""
        inspect = ("docker", "inspect", "--format", "{{.State.Health.Status}}", found[0])
        done = await asyncio.to_thread(subprocess.run, inspect, check=False, capture_output=True, text=True)
        return str(done.stdout).strip()

    async def service_on(self, host: str, services: Sequence[str]) -> str:
        """Which of these services has a container that calls itself ``host``."""
        for service in services:
            if (await self.compose("ps", "-q", service)).startswith(host):
                return service
        raise AssertionError(f"no container of {', '.join(services)} calls itself {host}")


@asynccontextmanager
async def project(mode: str, profiles: Sequence[str], services: Sequence[str]) -> AsyncIterator[Project]:
    """Builds and starts these services, and removes them with their volumes at the end."""
    started = Project(mode, profiles)
    try:
        try:
            await started.compose("up", "-d", "--build", *services, timeout_s=_UP_S)
        except ComposeFailed as error:
            raise ComposeFailed(f"{error}\n{await started.compose('logs', '--no-color', '--tail', '20')}") from None
        yield started
    finally:
        await started.compose("down", "-v", "--timeout", "20")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
