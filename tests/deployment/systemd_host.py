"""A machine on which docs/deployment.md is followed: by ``unshare --mount --net``, ``python -m`` this module.

It has this machine's programs, but an ``/etc``, ``/opt``, ``/run``, ``/usr/local/bin`` and ``/var/lib`` of its own, and
no network but its loopback interface. The blocks of the page's section on systemd are run as they stand there; services
are started as their units say. It prints one JSON object, or ends with a traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from drift_bus.nats_server import find_nats_server
from drift_schemas.access import NatsAccess
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import CannotConnect, DriftFeed, FeedError
from tests.deployment.systemd_unit import Service, Unit, hide, mount
from tests.support.wait import wait_until

ROOT: Final = Path(__file__).parents[2]
UNITS: Final = Path("/etc/systemd/system")
PROJECT: Final = Path("/run/project")
STATE: Final = Path("/var/lib/nats")

_PORT: Final = 4222
_RESTARTS: Final = 3
"""How often a service may begin again: a publisher that is quicker than its server ends, and comes again."""

# Lines that only systemd or a package registry can follow; what they bring is brought otherwise.
_BROUGHT: Final = ("python3 -m venv ", "/opt/drift-bus/bin/pip ", "systemctl ", "docker ")


def blocks(title: str, page: str = "deployment") -> list[list[str]]:
    """The commands of each block of a section, continued lines joined."""
    section = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    return [re.sub(r"\\\n\s*", "", block).splitlines() for block in found]


def follow(block: list[str], replaced: Mapping[str, str], *, cwd: Path = ROOT) -> None:
    """Runs a block, but for what is brought otherwise."""
    lines = [line for line in block if not line.startswith(_BROUGHT)]
    text = "\n".join(lines)
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    subprocess.run(
        ["bash", "-euc", text],
        check=True,
        stdout=sys.stderr,
        cwd=cwd,
        env={**os.environ, "PATH": f"/opt/drift-bus/bin:{os.environ['PATH']}"},
    )


def prepare() -> None:
    """Gives this process a machine that nobody else sees."""
    for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        for above in reversed(path.parents):
            if not above.stat().st_mode & stat.S_IXOTH:
                hide(above)
                break
    hide(Path("/tmp"), mode="1777")
    etc = Path("/tmp/etc")
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    hide(Path("/opt"))
    hide(Path("/run"))
    hide(Path("/usr/local/bin"))
    hide(Path("/var/lib"))
    mount("--bind", str(etc), "/etc")
    for folder in ("drift-bus", "systemd/system", "sysusers.d"):
        shutil.rmtree(Path("/etc", folder), ignore_errors=True)
    UNITS.mkdir(parents=True)
    Path("/etc/hosts").write_text("127.0.0.1 localhost nats.example.com\n")
    command = Path("/opt/drift-bus/bin/drift-bus")
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m drift_bus "$@"\n')
    command.chmod(0o755)
    with socket.socket() as any_socket:  # lo up
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1 | 64))


def start_all() -> dict[str, Service]:
    """The server, and a leader with its standby."""
    publisher = UNITS / "drift-bus-publisher@.service"
    units = [Unit(UNITS / "nats-server.service"), Unit(publisher, "a"), Unit(publisher, "b")]
    return {unit.name: Service(unit) for unit in units}


@contextlib.asynccontextmanager
async def services() -> AsyncIterator[dict[str, Service]]:
    """All of them, ended by their own signals; publishers first."""
    running = start_all()
    try:
        yield running
        for service in reversed(running.values()):
            status = await asyncio.to_thread(service.stop)
            assert status in {0, -signal.SIGTERM}, (service.unit.name, status, service.said())
    except BaseException:
        for service in running.values():
            sys.stderr.write(f"--- {service.unit.name}, status {service.status}\n{service.said()}\n")
        raise
    finally:
        for service in running.values():
            service.stop(at_once=True)


async def seen(running: dict[str, Service], url: str, access: NatsAccess) -> str:
    """The program of a fresh price, as an engine gets it; what ends meanwhile is started again, as by systemd."""
    async with asyncio.timeout(60):
        while not listens(_PORT):
            await asyncio.sleep(0.02)
        while True:
            for service in running.values():
                service.keep_alive()
                assert service.restarts <= _RESTARTS, f"{service.unit.name} ends again and again: {service.said()}"
            with contextlib.suppress(FeedError, AssertionError):
                async with DriftFeed(url, access=access, connect_timeout_s=5, snapshot_timeout_s=1) as feed:
                    price = await wait_until(partial(feed.price, "SOL-PERP"), 5, "a fresh price")
                    return str(price.program)
            await asyncio.sleep(0.05)


def listens(port: int) -> bool:
    """Somebody takes connections on this machine's port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def login_with(folder: Path) -> NatsAccess:
    """An engine's login with a folder that ``auth init`` wrote."""
    return NatsAccess(nkey_seed_file=f"{folder}/engine.nk", tls_ca=f"{folder}/ca.pem", tls_first=True)


async def refused(url: str, login: NatsAccess) -> bool:
    """Whether the server refuses this login, in the end: a reload takes a moment."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with DriftFeed(url, access=login):
                    pass
            except CannotConnect:
                return True


def owners(folder: Path) -> list[int]:
    """The users to whom what is in a folder belongs."""
    return sorted({path.stat().st_uid for path in folder.rglob("*")})


def container(name: str, *lines: str, command: str) -> Service:
    """What the images and the compose file give a program, said as a unit: user 10001, and a disk to read."""
    path = UNITS / f"{name}.service"
    common = ("[Service]", "User=drift", "ProtectSystem=strict", "PrivateTmp=yes", "Restart=always", "RestartSec=0.2")
    path.write_text("\n".join([*common, *lines, f"ExecStart={command}"]))
    return Service(Unit(path))


async def containers(sim: Simulator) -> str:
    """Follows the block about keys for Docker, and puts the folders where ``deploy/compose.keys.yml`` mounts them."""
    scratch, data = PROJECT, Path("/run/data")
    data.mkdir()
    os.chown(data, 10001, 10001)
    (block,) = (block for block in blocks("One machine, Docker"))
    follow(block, {}, cwd=scratch)
    with Path("/etc/passwd").open("a") as passwd, Path("/etc/group").open("a") as group:
        passwd.write("drift:x:10001:10001::/:/usr/sbin/nologin\n")
        group.write("drift:x:10001:\n")
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write("127.0.0.1 nats\n")
    override = yaml.safe_load((ROOT / "deploy/compose.keys.yml").read_text(encoding="utf-8"))["services"]
    for folder in ("/etc/nats", "/run/keys", "/data"):
        Path(folder).mkdir(exist_ok=True)
    mount("--bind", str(data), "/data")

    def mounted(service: str) -> dict[str, Any]:
        (volume,) = override[service]["volumes"]
        source, target, _ = volume.split(":")
        mount("--bind", str(scratch / source), target)
        return dict(override[service])

    nats = mounted("nats")
    publisher = mounted("publisher")
    (settings,) = publisher["env_file"]
    chain = f"Environment=DRIFT_BUS_RPC_URL={sim.http_url} DRIFT_BUS_WS_URL={sim.ws_url}"
    running = {
        "nats": container(
            "nats", "ReadWritePaths=/data", command=f"/usr/local/bin/nats-server {' '.join(nats['command'])}"
        ),
        "publisher": container(
            "publisher", chain, f"EnvironmentFile={scratch / settings}", command="/opt/drift-bus/bin/drift-bus publish"
        ),
    }
    try:
        keys = scratch / override["engine"]["volumes"][0].split(":")[0]
        login = NatsAccess(nkey_seed_file=f"{keys}/engine.nk", tls_ca=f"{keys}/ca.pem", tls_first=True)
        program = await seen(running, "tls://nats:4222", login)
        with urllib.request.urlopen("http://127.0.0.1:8222/healthz", timeout=10) as answer:  # the image's health check
            assert json.load(answer) == {"status": "ok"}
        assert owners(Path("/data")) == [10001]
        return program
    finally:
        for service in running.values():
            service.stop(at_once=True)


async def main() -> None:
    """Follows the page, looks from an engine's place, and tells what there was to see."""
    prepare()
    plain, guarded = blocks("systemd")
    told: dict[str, Any] = {}
    async with Simulator(SimulatorConfig(program="velocity-v1")) as sim:
        follow(plain, {"https://…": sim.http_url, ".venv/bin/nats-server": str(find_nats_server())})
        with Path("/etc/drift-bus/publisher.env").open("a") as file:
            file.write(f"DRIFT_BUS_WS_URL={sim.ws_url}\n")
        async with services() as running:
            told["plain"] = await seen(running, "nats://127.0.0.1:4222", NatsAccess())
            told["users"] = sorted({user for service in running.values() for user in service.user_ids})
        told["store"] = owners(STATE)
        PROJECT.mkdir()
        follow(guarded, {}, cwd=PROJECT)
        async with services() as running:
            url = "tls://nats.example.com:4222"
            login = login_with(PROJECT / "auth")
            told["guarded"] = await seen(running, url, login)
            told["store with keys"] = owners(STATE)
            told["stranger"] = await refused(url, replace(login, nkey_seed_file=None))
            (rotation,) = blocks("New keys", "operations")
            for line in rotation:
                if line.startswith("systemctl "):
                    _, verb, name = line.partition("#")[0].split()
                    service = running[name if name.endswith(".service") else f"{name}.service"]
                    await asyncio.to_thread(service.reload if verb == "reload" else service.restart)
                else:
                    follow([line], {}, cwd=PROJECT)
            told["new keys"] = await seen(running, url, login_with(PROJECT / "auth-2"))
            told["old keys"] = await refused(url, login)
        told["containers"] = await containers(sim)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
