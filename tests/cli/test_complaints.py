"""What is wrong is told in one line on stderr, with a status, and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from tests.cli.support import drift_bus, drift_bus_anew

SECRET = "0123456789abcdef0123456789abcdef"

WRONG = {
    "unknown command": (("sell",), "No such command 'sell'"),
    "unknown option": (("watch", "--quietly"), "No such option: --quietly"),
    "negative seconds": (("watch", "--seconds", "-1"), "give a number above 0"),
    "not a number of seconds": (("up", "--demo", "--seconds", "nan"), "give a number above 0"),
    "endless seconds": (("watch", "--seconds", "inf"), "give a number above 0"),
    "words for seconds": (("watch", "--seconds", "soon"), "--seconds"),
    "count of zero": (("watch", "--count", "0"), "--count"),
    "port too high": (("simulate", "--port", "70000"), "--port"),
    "funding period of zero": (("simulate", "--funding-period", "0"), "--funding-period"),
    "negative rate": (("simulate", "--updates-per-second", "-5"), "give a number above 0"),
    "NATS URL without scheme": (("watch", "--nats-url", "localhost:4222"), "nats://HOST:4222"),
    "NATS URL of another scheme": (
        ("snapshot", "--nats-url", "http://localhost:4222"),
        "http:// is not possible",
    ),
    "NATS URL without host": (("watch", "--nats-url", "nats://"), "no host"),
    "NATS URL with a wrong port": (("watch", "--nats-url", "nats://localhost:99999"), "wrong host or port"),
    "RPC URL of another scheme": (
        ("publish", "--rpc-url", "ftp://rpc.example.com"),
        "ftp:// is not possible",
    ),
    "RPC URL without host": (("publish", "--rpc-url", "https:///path"), "no host"),
    "WebSocket URL with http": (
        ("publish", "--rpc-url", "https://rpc.example.com", "--ws-url", "https://rpc.example.com"),
        "--ws-url",
    ),
    "prefix with a wildcard": (("watch", "--prefix", "drift.*"), "subject prefix 'drift.*'"),
    "subject with a space": (("watch", "drift.a b"), "is no subject"),
    "subject of another prefix": (("watch", "orders.new"), "not under the prefix 'drift'"),
    "no RPC URL to publish from": (("publish",), "DRIFT_BUS_RPC_URL"),
    "no RPC URL to bring up": (("up",), "up --demo"),
    "no such program to publish": (
        ("publish", "--rpc-url", "https://rpc.example.com", "--program", "velocity"),
        "no program 'velocity': choose drift-v2, velocity-v1 or auto",
    ),
    "no such program to bring up": (("up", "--demo", "--program", "drift"), "--program (DRIFT_BUS_PROGRAM)"),
    "no such program to capture": (
        ("capture", "-o", "a.zst", "--rpc-url", "https://rpc.example.com", "--program", "V1"),
        "no program 'V1'",
    ),
    "two chains": (("up", "--demo", "--rpc-url", "https://rpc.example.com"), "leave out --rpc-url"),
}


@pytest.mark.parametrize(("arguments", "told"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_command_line_is_told_in_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = await drift_bus(*arguments, cwd=tmp_path)

    assert done.status == 2
    assert done.complaint.startswith("drift-bus: error: ")
    assert told in done.complaint
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["watch", "snapshot", "publish", "up"])
async def test_an_unreachable_server_is_told_within_seconds(command: str) -> None:
    rpc_url = "https://rpc.example.com"
    done = await drift_bus(command, "--nats-url", "nats://127.0.0.1:1", timeout_s=60, DRIFT_BUS_RPC_URL=rpc_url)

    assert done.status == 1
    assert "no NATS server at nats://127.0.0.1:1 (connection refused)" in done.complaint
    assert "connecting to nats://127.0.0.1:1 …" in done.stderr, "progress on anything over a second"


async def test_a_refused_login_is_told_at_once_and_without_the_password() -> None:
    config = 'authorization { user: "engine", password: "right" }'
    async with LocalNatsServer(extra_config=config) as server:
        done = await drift_bus("watch", "--nats-url", server.url.replace("//", f"//engine:{SECRET}@"))

    assert done.status == 1
    assert "refused the connection" in done.complaint
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://rpc.example.com/?api-key={SECRET}",
        f"https://rpc.example.com:99999/v2/{SECRET}",
        f"rpc.example.com/?api-key={SECRET}",
        f"https://user:{SECRET}@:80",
        f"https:// rpc.example.com/{SECRET}",
    ],
)
async def test_a_wrong_url_never_shows_its_key(url: str) -> None:
    done = await drift_bus("--debug", "publish", DRIFT_BUS_RPC_URL=url)

    assert done.status == 2
    assert SECRET not in done.stdout + done.stderr
    assert "--rpc-url (DRIFT_BUS_RPC_URL)" in done.stderr


async def test_settings_come_from_file_then_environment_then_flag(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DRIFT_BUS_NATS_URL=nats://127.0.0.1:1\n")

    from_file = await drift_bus_anew("snapshot", cwd=tmp_path)
    from_environment = await drift_bus("snapshot", cwd=tmp_path, DRIFT_BUS_NATS_URL="nats://127.0.0.1:2")
    from_flag = await drift_bus(
        "snapshot", "--nats-url", "nats://127.0.0.1:3", cwd=tmp_path, DRIFT_BUS_NATS_URL="nats://127.0.0.1:2"
    )

    assert "nats://127.0.0.1:1 " in from_file.complaint
    assert "nats://127.0.0.1:2 " in from_environment.complaint
    assert "nats://127.0.0.1:3 " in from_flag.complaint


async def test_debug_shows_the_traceback() -> None:
    done = await drift_bus("--debug", "snapshot", "nonsense")

    assert "Traceback" in done.stderr
    assert done.status == 1
