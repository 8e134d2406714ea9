"""A base image made of this machine's own files, for where the usual ones cannot be pulled.

It holds a shell, Python, nats-server, what else the Dockerfiles call, and the wheels of the images' requirements: a
build needs no network then. Dockerfiles and compose file are those that are deployed; only the base below them differs.
"""

from __future__ import annotations

import contextlib
import io
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from drift_bus.nats_server import find_nats_server
from tests.deployment.compose import ROOT

__all__ = ["CannotStandIn", "stand_in_image"]

_NAME: Final = "drift-bus-test-base"
_TOOLS: Final = ("sh", "cat", "chown", "cp", "env", "ls", "mkdir", "rm", "useradd", "wget")
_BUILD_TOOLS: Final = ("hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")
_ENVIRONMENT: Final = ("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/opt/wheels")
_ALSO: Final = (
    *("libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0"),
    *("libresolv.so.2", "librt.so.1", "libstdc++.so.6", "libutil.so.1"),
)
"""What wheels expect of every Linux."""
_NO_PART: Final = re.compile(r"/(site-packages|tests?|idlelib|tkinter|turtledemo|__pycache__|config-[^/]+)(/|$)|\.a$")
_ETC: Final = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "shadow": "root:*:1:0:99999:7:::\n",
    "gshadow": "root:*::\n",
    "login.defs": "UID_MAX 60000\nGID_MAX 60000\nCREATE_HOME no\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class CannotStandIn(RuntimeError):
    """This machine has not what an image needs."""


@cache
def stand_in_image() -> str:
    """Makes the image, anew in every run, and returns its name.

    Raises:
        CannotStandIn: with what is missing.
    """
    import docker

    if platform.system() != "Linux" or shutil.which("ldd") is None:
        raise CannotStandIn("this machine's programs do not run in a container")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root.tar")
        with tarfile.open(root, "w") as tar:
            _fill(tar, _wheels(Path(folder, "wheels")))
        with contextlib.closing(docker.from_env(timeout=600)) as engine:
            changes = [f"ENV {setting}" for setting in _ENVIRONMENT]
            engine.api.import_image_from_file(str(root), repository=_NAME, tag="latest", changes=changes)
    return f"{_NAME}:latest"


def _fill(tar: tarfile.TarFile, wheels: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = Path(sys.base_prefix, "bin", version).resolve()
    library = Path(sys.base_prefix, "lib", version)
    programs = [_found(tool) for tool in _TOOLS]
    root = _Root(tar)
    for program in programs:
        root.put(program, f"bin/{program.name}")
    root.put(python, "usr/local/bin/python3")
    root.put(library, f"usr/local/lib/{version}")
    root.put(find_nats_server(), "usr/local/bin/nats-server")
    root.put(wheels, "opt/wheels")
    for path in _libraries([*programs, python, *library.glob("lib-dynload/*.so")]):
        root.put(Path(path), path.lstrip("/"))
    for name, text in _ETC.items():
        root.write(f"etc/{name}", text.encode())
    root.make_folder("tmp", mode=0o1777)


class _Root:
    """A root file system on its way into a tar archive: everything is root's, and everybody may read it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        tar.dereference = True
        self._tar = tar
        self._made = {"."}

    def put(self, source: Path, name: str) -> None:
        """Adds a file, or a folder with all that is needed of it."""
        self.make_folder(str(Path(name).parent))
        self._tar.add(source, name, filter=_part)

    def write(self, name: str, content: bytes) -> None:
        """Adds a file with this content."""
        self.make_folder(str(Path(name).parent))
        entry = tarfile.TarInfo(name)
        entry.mode, entry.size = 0o644, len(content)
        self._tar.addfile(entry, io.BytesIO(content))

    def make_folder(self, name: str, mode: int = 0o755) -> None:
        """Adds a folder and those that it is in; without an entry of their own nobody but root could open them."""
        if name in self._made:
            return
        self.make_folder(str(Path(name).parent))
        self._made.add(name)
        entry = tarfile.TarInfo(name)
        entry.mode, entry.type = mode, tarfile.DIRTYPE
        self._tar.addfile(entry)


def _found(tool: str) -> Path:
    where = shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if where is None:
        raise CannotStandIn(f"{tool} is not here, which the Dockerfiles call")
    return Path(where)


def _part(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if _NO_PART.search(f"/{entry.name}"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode |= 0o555 if entry.isdir() else 0o444
    return entry


def _libraries(programs: Iterable[Path]) -> set[str]:
    """Where the loader finds what the programs need, the loader itself among them."""
    told = subprocess.run(["ldd", *map(str, programs)], check=False, capture_output=True, text=True).stdout
    known = subprocess.run(["/sbin/ldconfig", "-p"], check=False, capture_output=True, text=True).stdout
    also = re.findall(
        rf"^\s*(?:{'|'.join(map(re.escape, _ALSO))}) .*(?:x86-64|AArch64).* => (\S+)$", known, re.MULTILINE
    )
    return {*re.findall(r"(/\S+\.so\S*) \(0x", told), *also}


def _wheels(folder: Path) -> Path:
    """Downloads what the Dockerfiles install, by pip's own settings."""
    wanted = [part for name in ("publisher", "subscribers", "simulator") for part in ("-r", f"{name}/requirements.txt")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--dest", str(folder), "-c", "constraints.txt", *wanted, *_BUILD_TOOLS]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotStandIn(f"pip cannot get the images' wheels: {done.stderr.strip().splitlines()[-1:]}")
    return folder
