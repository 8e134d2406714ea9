"""A nats-server in a container, behind the interface of the one that is a child process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import platform
import shutil
import signal
import socket
import tempfile
import warnings
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

from drift_bus.nats_server import LocalNatsServer, NatsServerFailed, find_nats_server

__all__ = ["Choice", "ContainerNatsServer", "Wish", "choose", "engine_version", "has_image", "image_name", "nats_image"]

Wish = Literal["auto", "container", "binary"]

_DOCKERFILE: Final = """\
FROM scratch
COPY nats-server /nats-server
VOLUME /data
ENTRYPOINT ["/nats-server"]
"""
_START_TIMEOUT_S: Final = 60


class Choice(NamedTuple):
    """What the tests' nats-server runs on, and why."""

    kind: Literal["container", "binary"]
    why: str


@cache
def engine_version() -> str | None:
    """The version of the Docker engine that answers; ``None`` where none does."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        version = _asked_version()
        gc.collect()  # a client that found no engine leaves its socket behind
    return version


def _asked_version() -> str | None:
    import docker
    from docker.errors import DockerException

    try:
        with contextlib.closing(docker.from_env(timeout=5)) as engine:
            return str(engine.version()["Version"])
    except (DockerException, OSError):
        return None


def has_image(name: str) -> bool:
    """The engine holds an image of this name."""
    import docker
    from docker.errors import ImageNotFound

    with contextlib.closing(docker.from_env(timeout=30)) as engine:
        try:
            engine.images.get(name)
        except ImageNotFound:
            return False
        return True


@cache
def choose(wish: Wish) -> Choice:
    """A container where a Docker engine answers and takes our binary, the binary itself elsewhere.

    Raises:
        RuntimeError: a container is wished for, and there is no engine.
    """
    if wish == "binary":
        return Choice("binary", "as asked for by --nats")
    version = engine_version()
    if wish == "container" and version is None:
        raise RuntimeError("--nats container: no Docker engine answers here; start one, or say --nats binary")
    if version is None:
        return Choice("binary", "no Docker engine answers")
    if platform.system() != "Linux":
        return Choice("binary", "a container cannot run the binary of this system")
    return Choice("container", f"Docker {version}, image {image_name()}")


@cache
def image_name() -> str:
    """Names the image by the binary's content, so that another binary makes another image."""
    with find_nats_server().open("rb") as binary:
        return f"drift-bus-test-nats:{hashlib.file_digest(binary, 'sha256').hexdigest()[:12]}"


@cache
def nats_image() -> str:
    """Builds an image of the bundled binary, and nothing else, where it is not there yet; returns its name."""
    import docker
    from docker.errors import ImageNotFound

    with contextlib.closing(docker.from_env(timeout=120)) as engine, tempfile.TemporaryDirectory() as folder:
        try:
            engine.images.get(image_name())
        except ImageNotFound:
            Path(folder, "Dockerfile").write_text(_DOCKERFILE)
            shutil.copy(find_nats_server(), Path(folder, "nats-server"))
            engine.images.build(path=folder, tag=image_name(), rm=True)
    return image_name()


class ContainerNatsServer(LocalNatsServer):
    """One nats-server in a container of its own, on a fixed port of the machine's loopback interface.

    Killed, frozen and started again by the engine; its store outlives that, for it belongs to the container. It uses
    the machine's network, so that the port of a killed server refuses connections: the engine's proxy would not.
    """

    def __init__(self) -> None:
        super().__init__()
        self._container: Any = None

    @property
    def pid(self) -> int:
        """Process id of the running server, as the engine's machine counts."""
        if not self.running:
            raise NatsServerFailed("nats-server is not running")
        return int(self._container.get_wrapped_container().attrs["State"]["Pid"])

    @property
    def running(self) -> bool:
        """The container is there and not at its end."""
        if self._container is None:
            return False
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return wrapped.status in {"running", "paused"}

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is not None:
            await asyncio.to_thread(self._remove)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def start(self) -> None:
        """Starts the container, the former one if there was one, and returns when the server takes connections.

        Raises:
            NatsServerFailed: it was not ready in time.
        """
        await asyncio.to_thread(self._start)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not await _answers(self._port):
                    if not self.running:
                        raise NatsServerFailed(
                            f"nats-server could not start on port {self._port}: {self._last_words()}"
                        )
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise NatsServerFailed(
                f"nats-server was not ready within {_START_TIMEOUT_S} s: {self._last_words()}"
            ) from None

    async def stop(self, *, timeout_s: float = 10.0) -> None:
        """Ends the server cleanly; the engine kills it when it does not go within ``timeout_s``."""
        await asyncio.to_thread(self._container.get_wrapped_container().stop, timeout=int(timeout_s))

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        await asyncio.to_thread(self._kill)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; SIGSTOP and SIGCONT freeze the container and thaw it."""
        if not self.running:
            return
        wrapped = self._container.get_wrapped_container()
        is_paused = wrapped.status == "paused"
        if number is signal.SIGSTOP:
            if not is_paused:
                wrapped.pause()
        elif number is signal.SIGCONT:
            if is_paused:
                wrapped.unpause()
        else:
            wrapped.kill(signal=number.name)

    def _start(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().start()
            return
        self._port = _free_port()
        self._container = _new_container(self._port)
        self._container.start()

    def _last_words(self) -> str:
        words: bytes = self._container.get_wrapped_container().logs(tail=1)
        return words.decode(errors="replace").strip()

    def _kill(self) -> None:
        if self.running:
            wrapped = self._container.get_wrapped_container()
            wrapped.kill(signal="SIGKILL")
            wrapped.wait()

    def _remove(self) -> None:
        container, self._container = self._container, None
        container.stop(force=True, delete_volume=True)


def _new_container(port: int) -> Any:
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    testcontainers_config.ryuk_disabled = True  # its image would have to be pulled; each test removes its own
    return (
        DockerContainer(nats_image())
        .with_kwargs(network_mode="host")
        .with_command(f"--jetstream --store_dir /data --addr 127.0.0.1 --port {port}")
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _answers(port: int) -> bool:
    """A server speaks first: a port that only passes on to nobody does not count."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        return (await reader.read(5)) == b"INFO "
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
