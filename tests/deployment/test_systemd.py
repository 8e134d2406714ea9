"""The section on systemd of docs/deployment.md, followed line by line: everything starts, as ordinary users.

Without systemd: ``systemd_unit`` gives the programs what their units say. For that it takes root, and a kernel that
lets root make namespaces; nothing outside of them changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.systemd_unit import Unit

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))


def why_not() -> str:
    """What this machine lacks; empty where it lacks nothing."""
    if os.geteuid() != 0:
        return "only root can start programs as other users"
    for tool in ("bash", "install", "mount", "setpriv", "systemd-sysusers", "unshare"):
        if shutil.which(tool) is None:
            return f"there is no {tool} here"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], check=False, capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def test_what_is_documented_starts_and_serves_an_engine_with_and_without_keys() -> None:
    if why_not():
        pytest.skip(why_not())
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--", sys.executable, "-m", "tests.deployment.systemd_host"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("DRIFT_BUS_")},
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["plain"] == told["guarded"] == "velocity-v1"
    assert told["stranger"] is True, "who has no key is refused"
    assert (told["new keys"], told["old keys"]) == ("velocity-v1", True), "old keys are refused at the end"
    users = told["users"]
    assert len(users) == 2, "the server and the publishers are two users"
    assert 0 not in users
    assert len(told["store"]) == 1
    assert set(told["store"]) < set(users), "the store is the server's"
    assert told["store with keys"] == told["store"], "and stays so"
    assert told["containers"] == "velocity-v1", "the containers' user reads its keys too"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_gives_no_rights_and_is_restarted_for_ever(path: Path) -> None:
    unit = Unit(path, "a")
    assert unit.one("User") == unit.one("Group") not in ("", "root")
    assert f"u {unit.one('User')} " in re.sub(" +", " ", (ROOT / "deploy/systemd/drift-bus.sysusers").read_text())
    assert (unit.one("NoNewPrivileges"), unit.one("ProtectSystem"), unit.one("PrivateTmp")) == ("yes", "strict", "yes")
    assert unit.all("CapabilityBoundingSet") == [""]
    assert (unit.one("Restart"), unit.one("StartLimitIntervalSec")) == ("always", "0")
    assert unit.one("UMask") == "0077"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    for path in UNITS:
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        (tmp_path / path.name.replace("@", "@a")).write_text(
            re.sub(r"^ExecStart=\S+", f"ExecStart={program}", path.read_text(), flags=re.MULTILINE)
        )
    copies = sorted(tmp_path.glob("*.service"))
    done = subprocess.run(["systemd-analyze", "verify", *copies], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
