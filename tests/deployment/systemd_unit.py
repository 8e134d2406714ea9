"""A systemd unit file, and a program started as systemd would: its user, its folders, the rest of the disk read-only.

What is done here is what decides whether a program finds its files: users, environment, folders with owners and modes,
file system protection. System call filters are left to ``systemd-analyze verify``.
"""

from __future__ import annotations

import grp
import os
import platform
import pwd
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

__all__ = ["Service", "Unit", "hide", "mount"]

_PROGRAMS: Final = (Path(__file__).parents[2], Path(sys.prefix), Path(sys.base_prefix))
"""What the programs under test consist of, wherever that is on this machine: an ordinary user has to reach it."""

# Which setting makes a folder where, under which name the program is told, and whether it gets it for its own.
_FOLDERS: Final = {
    "StateDirectory": ("/var/lib", "STATE_DIRECTORY", True),
    "RuntimeDirectory": ("/run", "RUNTIME_DIRECTORY", True),
    "CacheDirectory": ("/var/cache", "CACHE_DIRECTORY", True),
    "LogsDirectory": ("/var/log", "LOGS_DIRECTORY", True),
    "ConfigurationDirectory": ("/etc", "CONFIGURATION_DIRECTORY", False),
}
_NOT_MADE_READ_ONLY: Final = ("/dev", "/proc", "/sys")


class Unit:
    """What a unit file says.

    Args:
        path: The file.
        instance: Of a template, what stands between ``@`` and ``.service``.
    """

    def __init__(self, path: Path, instance: str = "") -> None:
        self.name = path.name.replace("@", f"@{instance}")
        self._instance = instance
        self._values: defaultdict[str, list[str]] = defaultdict(list)
        text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
        for line in text.splitlines():
            key, separator, value = line.strip().partition("=")
            if separator and not key.startswith(("#", ";")):
                self._values[key].append(self._filled_in(value))

    def all(self, key: str) -> list[str]:
        """The values of a setting that may stand there more than once."""
        return self._values[key]

    def one(self, key: str, default: str = "") -> str:
        """The last value of a setting."""
        return (self._values[key] or [default])[-1]

    def _filled_in(self, value: str) -> str:
        for letter, text in {"i": self._instance, "H": platform.node(), "S": "/var/lib", "t": "/run"}.items():
            value = value.replace(f"%{letter}", text)
        return value


class Service:
    """One running service. Start it as root in a mount namespace where it may make folders.

    Args:
        unit: What to run.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._user = pwd.getpwnam(unit.one("User"))
        self._group = grp.getgrnam(unit.one("Group") or self._user.pw_name)
        self._environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        for line in unit.all("Environment"):
            self._environment.update(_setting(word) for word in shlex.split(line))
        for file in unit.all("EnvironmentFile"):
            self._environment.update(_environment_in(file))
        self._writable = [Path(path) for line in unit.all("ReadWritePaths") for path in line.split()]
        for setting, (parent, variable, owned) in _FOLDERS.items():
            names = unit.one(setting).split()
            folders = [Path(parent, name) for name in names]
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(int(unit.one(f"{setting}Mode", "0755"), 8))
                if owned:
                    os.chown(folder, self._user.pw_uid, self._group.gr_gid)
                    self._writable.append(folder)
            if folders:
                self._environment[variable] = ":".join(map(str, folders))
        assert unit.one("ProtectSystem") == "strict", "the rest of the disk has to be read-only"
        self.log = Path(f"/tmp/{unit.name}.log")
        self.restarts = 0
        self._ended_at = 0.0
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["unshare", "--mount", "--", sys.executable, __file__, *self._arguments()],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                umask=int(self.unit.one("UMask", "0022"), 8),
            )

    def keep_alive(self) -> None:
        """Starts it again where it has ended, after the pause that the unit wants; call it now and then."""
        if self.status is None:
            self._ended_at = 0.0
        elif not self._ended_at:
            self._ended_at = time.monotonic()
        elif self.unit.one("Restart") == "always" and time.monotonic() > self._ended_at + float(
            self.unit.one("RestartSec")
        ):
            self.restarts += 1
            self._ended_at = 0.0
            self._process = self._started()

    def _arguments(self) -> list[str]:
        command = [
            re.sub(r"\$\{(\w+)\}", lambda name: self._environment.get(name[1], ""), word)
            for word in shlex.split(self.unit.one("ExecStart"))
        ]
        user = [str(self._user.pw_uid), str(self._group.gr_gid)]
        return [":".join(map(str, self._writable)), self.unit.one("PrivateTmp"), *user, *command]

    @property
    def pid(self) -> int:
        """Of the program itself: each step on the way to it takes the place of the one before."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; ``None`` while it runs."""
        return self._process.poll()

    @property
    def user_ids(self) -> set[int]:
        """Real, effective, saved and file system user of the running program."""
        found = re.search(r"^Uid:\s+(.*)$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return set(map(int, found[1].split()))

    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")

    def reload(self) -> None:
        """What ``ExecReload`` does, which has to be a ``kill`` of the main process."""
        _, name, _ = re.fullmatch(r"(/bin/kill) -(\w+) (\$MAINPID)", self.unit.one("ExecReload")).groups()  # type: ignore[union-attr]
        self._process.send_signal(signal.Signals[f"SIG{name}"])

    def restart(self) -> None:
        """Ends it, and starts it again."""
        self.stop()
        self._process = self._started()

    def stop(self, *, at_once: bool = False) -> int:
        """Ends it by the unit's signal; returns its status."""
        if self._process.poll() is None:
            name = "SIGKILL" if at_once else self.unit.one("KillSignal", "SIGTERM")
            self._process.send_signal(signal.Signals[name])
        return self._process.wait(timeout=30)


def _environment_in(setting: str) -> dict[str, str]:
    path = Path(setting.removeprefix("-"))
    if setting.startswith("-") and not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(_setting(line) for line in lines if line and not line.startswith(("#", ";")))


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value


def _become(writable: str, private_tmp: str, user: str, group: str, *command: str) -> None:
    """In a mount namespace of its own: takes away what the service may not have, then is the service."""
    kept = [path for path in writable.split(":") if path]
    for path in kept:
        mount("--bind", path, path)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        is_hidden = not os.path.lexists(point)  # under another mount, as what other programs have mounted in /run, /tmp
        if (
            not is_hidden
            and point not in kept
            and not any(point == place or point.startswith(f"{place}/") for place in _NOT_MADE_READ_ONLY)
        ):
            mount("-o", "remount,bind,ro", point)
    if private_tmp == "yes":
        hide(Path("/tmp"), mode="1777")
        hide(Path("/var/tmp"), mode="1777")
    rights = ("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
    os.execvp("setpriv", ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *rights, *command])


def hide(place: Path, *, mode: str = "0755") -> None:
    """Puts an empty folder over a folder; what the programs need of it stays in sight."""
    needed = [path for path in _PROGRAMS if path.is_relative_to(place)]
    needed = [path for path in needed if not any(path != other and path.is_relative_to(other) for other in needed)]
    handles = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in needed]
    mount("-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", str(place))
    for path, handle in zip(needed, handles, strict=True):
        path.mkdir(parents=True)
        mount("--no-canonicalize", "--bind", f"/proc/{os.getpid()}/fd/{handle}", str(path))
        os.close(handle)


def mount(*arguments: str) -> None:
    """Calls ``mount``."""
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    _become(*sys.argv[1:])
