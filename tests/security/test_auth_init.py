"""``drift-bus auth init``: what it writes, what it refuses to overwrite, and what it tells."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from drift_bus.authority import FolderRefused, InvalidEngineName
from drift_bus.nats_server import find_nats_server
from drift_schemas import Topology
from drift_schemas.access import KeyPair
from tests.cli.support import drift_bus, drift_bus_anew
from tests.security.support import Guarded, authority, guarded_server, refused_connection
from tests.support.wait import wait_until


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_everything_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        told = await drift_bus_anew("auth", "init", "auth", "--json", cwd=tmp_path)
    finally:
        os.umask(before)
    folder = tmp_path / "auth"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes(folder) == {0o600}
    (answer,) = told.objects
    assert set(answer["files"]) == {str(path) for path in folder.iterdir()}
    assert set(answer["settings"]) == {"publisher", "operator", "replay", "system", "engine"}
    assert [step.split()[0] for step in answer["next"]] == ["nats-server", "drift-bus", "drift-bus"]
    assert list(tmp_path.iterdir()) == [folder]


async def test_it_tells_people_what_comes_next_and_shows_no_seed(tmp_path: Path) -> None:
    wanted = ("--debug", "auth", "init", "auth", "--engine", "funding", "--engine", "scalp")
    told = await drift_bus(*wanted, cwd=tmp_path)
    assert told.status == 0, told.stderr
    assert f"nats-server -c {tmp_path / 'auth' / 'nats-server.conf'}" in told.stdout
    assert f"drift-bus --env-file {tmp_path / 'auth' / 'funding.env'} watch" in told.stdout
    refused = await drift_bus(*wanted, cwd=tmp_path)
    assert refused.status == 1
    seeds = {path.name: path.read_text().strip() for path in (tmp_path / "auth").glob("*.nk")}
    assert len(seeds) == 6
    anew = await drift_bus(*wanted, "--force", "--json", cwd=tmp_path)
    newer = {f"new {path.name}": path.read_text().strip() for path in (tmp_path / "auth").glob("*.nk")}
    assert seeds.keys() == {name for name in seeds if name in told.stdout}
    for run in (told, refused, anew):
        assert not [name for name, seed in (seeds | newer).items() if seed in run.stdout + run.stderr]


async def test_keys_are_overwritten_only_when_that_is_wanted(tmp_path: Path) -> None:
    assert (await drift_bus("auth", "init", "auth", cwd=tmp_path)).status == 0
    seed = tmp_path / "auth" / "engine.nk"
    before = seed.read_text()
    refused = await drift_bus("auth", "init", "auth", cwd=tmp_path)
    assert refused.status == 1
    assert "--force" in refused.complaint
    assert seed.read_text() == before
    (tmp_path / "auth" / "jetstream").mkdir()
    (tmp_path / "auth" / "jetstream" / "kept").write_text("history")
    assert (await drift_bus("auth", "init", "auth", "--force", cwd=tmp_path)).status == 0
    assert seed.read_text() != before
    assert (tmp_path / "auth" / "jetstream" / "kept").read_text() == "history"


def test_a_folder_of_something_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderRefused, match="holds something else"):
        authority(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderRefused, match="no folder"):
        authority(tmp_path / "file")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["", "publisher", "system", "server", "Engine", "a.b", "a/b", "../x", "x" * 33])
def test_names_that_no_engine_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidEngineName):
        authority(tmp_path / "auth", engines=(name,))
    assert not (tmp_path / "auth").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ("--listen", "4222"),
        ("--listen", "host:0"),
        ("--host", "a b"),
        ("--prefix", "a b"),
        ("--days", "0"),
        ("--server-dir", "etc/nats"),
        ("--client-dir", "../login"),
        ("--store-dir", "/var/$HOME"),
    ],
)
async def test_wrong_flags_are_named(wrong: tuple[str, str], tmp_path: Path) -> None:
    told = await drift_bus("auth", "init", "auth", *wrong, cwd=tmp_path)
    assert told.status == 2
    assert wrong[0].lstrip("-") in told.complaint


async def test_the_configuration_starts_a_server_as_it_stands(tmp_path: Path) -> None:
    written = authority(tmp_path / "auth", listen=("127.0.0.1", 14222))
    checking = await asyncio.create_subprocess_exec(
        find_nats_server(), "-t", "-c", str(written.config), stderr=asyncio.subprocess.PIPE
    )
    _, told = await checking.communicate()
    assert checking.returncode == 0, told.decode()
    assert "U" + "A" * 5 not in told.decode()


async def test_a_container_finds_its_files_elsewhere(tmp_path: Path) -> None:
    told = await drift_bus(
        *("auth", "init", "auth", "--server-dir", "/etc/nats", "--listen", "0.0.0.0:4222", "--host", "nats", "--json"),
        cwd=tmp_path,
    )
    (answer,) = told.objects
    assert answer["next"][0] == "nats-server -c /etc/nats/nats-server.conf"
    config = Path(answer["config"]).read_text()
    assert str(tmp_path) not in config
    assert '"0.0.0.0:4222"' in config
    assert "DRIFT_BUS_NATS_URL=tls://nats:4222\n" in Path(answer["settings"]["engine"]).read_text()


async def test_what_is_moved_is_named_where_it_will_be(tmp_path: Path) -> None:
    told = await drift_bus(
        *("auth", "init", "auth", "--server-dir", "/etc/drift-bus/nats", "--client-dir", "/etc/drift-bus/login"),
        *("--store-dir", "/var/lib/nats", "--json"),
        cwd=tmp_path,
    )
    (answer,) = told.objects
    config = Path(answer["config"]).read_text()
    assert 'store_dir: "/var/lib/nats"' in config
    assert 'key_file: "/etc/drift-bus/nats/server-key.pem"' in config
    settings = Path(answer["settings"]["engine"]).read_text()
    assert "DRIFT_BUS_NATS_NKEY_SEED_FILE=/etc/drift-bus/login/engine.nk\n" in settings
    assert "DRIFT_BUS_NATS_TLS_CA=/etc/drift-bus/login/ca.pem\n" in settings
    assert str(tmp_path) not in config + settings


async def test_another_prefix_has_other_rights(tmp_path: Path) -> None:
    written = authority(tmp_path / "auth", topology=Topology("devnet"))
    async with guarded_server(written) as guarded, guarded.login("publisher") as publisher:
        created = await publisher.ask("$JS.API.STREAM.CREATE.DEVNET", Topology("devnet").stream_config())
        assert "error" not in created
        await publisher.client.publish("in.drift.price.SOL-PERP", b"")
        await wait_until(lambda: publisher.refusals == 1)


async def test_old_keys_stop_working_with_new_ones(tmp_path: Path) -> None:
    old = authority(tmp_path / "old")
    new = authority(tmp_path / "new")
    async with guarded_server(new) as guarded:
        stale = Guarded(guarded.server, old).access("publisher")
        pair = KeyPair.from_seed(Path(stale.nkey_seed_file or "").read_text())
        assert pair.public not in new.config.read_text()
        access = guarded.access("publisher")
        options = {**access.login().options_for(object_with_key(pair)), "signature_cb": pair.sign}
        await refused_connection(guarded.url, **options)


def object_with_key(pair: KeyPair) -> object:
    """Stands for a client that is not connected."""

    class _Client:
        _public_nkey = pair.public

    return _Client()


async def test_it_says_where_the_env_file_is_wrong(tmp_path: Path) -> None:
    told = await drift_bus_anew("--env-file", str(tmp_path / "absent.env"), "watch")
    assert told.status == 2
    assert "absent.env: No such file" in told.complaint
    (tmp_path / "other.env").write_text("SHELL=/bin/sh\n")
    told = await drift_bus("--env-file", str(tmp_path / "other.env"), "watch")
    assert "no DRIFT_BUS_ setting" in told.complaint
    (tmp_path / "seed.env").write_text(f"DRIFT_BUS_NATS_NKEY_SEED_FILE={KeyPair.generate().seed()}\n")
    told = await drift_bus("--debug", "--env-file", str(tmp_path / "seed.env"), "watch")
    assert told.status == 2
    assert "holds a secret itself" in told.stderr
    assert json.dumps(told.stderr).count("DRIFT_BUS_NATS_NKEY_SEED_FILE=") == 0
