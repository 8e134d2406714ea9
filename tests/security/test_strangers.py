"""Without a key nothing gets in, and whoever is refused reads why in one line."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher, PublisherError, PublisherSettings
from drift_schemas.access import KeyPair, NatsAccess, close_quietly
from drift_simulator import Simulator
from drift_subscribers import CannotConnect, DriftFeed
from tests.cli.support import drift_bus
from tests.security.support import Guarded, authority, refused_connection
from tests.support.line import Line
from tests.support.wait import wait_until

REFUSED = "refuses this login: name credentials that it knows with DRIFT_BUS_NATS_NKEY_SEED_FILE"
UNTRUSTED = "is not signed by a CA that we trust: name its CA's file with DRIFT_BUS_NATS_TLS_CA"
NO_TLS = "the server answers without TLS, or not with TLS from the first byte"
TRIES_S = 6.0
"""How long those that try again are let try; the first answer is what they tell."""


@pytest.fixture
def strange_key(tmp_path: Path) -> str:
    """A well-formed seed that the server does not know."""
    path = tmp_path / "stranger.nk"
    path.write_text(KeyPair.generate().seed())
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def strangers(guarded: Guarded, strange_key: str) -> dict[str, NatsAccess]:
    """Logins that must not get in; all of them trust the server."""
    access = guarded.access("engine")
    return {"no key": replace(access, nkey_seed_file=None), "another key": replace(access, nkey_seed_file=strange_key)}


@pytest.mark.parametrize("who", ["no key", "another key"])
async def test_a_stranger_is_refused_everywhere(
    who: str, strangers: dict[str, NatsAccess], guarded: Guarded, sim: Simulator
) -> None:
    access = strangers[who]
    client = Client()
    await refused_connection(guarded.url, **access.login().options_for(client))
    with pytest.raises(CannotConnect, match=REFUSED):
        async with DriftFeed(guarded.url, access=access, connect_timeout_s=TRIES_S):
            pass
    settings = PublisherSettings(
        _env_file=None,
        rpc_url=sim.http_url,
        nats_url=guarded.url,
        nats_nkey_seed_file=access.nkey_seed_file,
        nats_tls_ca=access.tls_ca,
        nats_tls_first=True,
        start_timeout_s=TRIES_S,
    )
    with pytest.raises(PublisherError, match=REFUSED):
        await Publisher(settings).run(asyncio.Event())
    environment = guarded.environment("engine") | {"DRIFT_BUS_NATS_NKEY_SEED_FILE": access.nkey_seed_file or ""}
    environment["DRIFT_BUS_START_TIMEOUT_S"] = str(TRIES_S)
    for command in (["watch"], ["snapshot"], ["publish", "--rpc-url", sim.http_url]):
        told = await drift_bus(*command, **environment)
        assert told.status == 1
        assert REFUSED in told.complaint


async def test_user_and_password_do_not_help(guarded: Guarded) -> None:
    access = replace(guarded.access("engine"), nkey_seed_file=None)
    for options in ({"user": "publisher", "password": ""}, {"token": "engine"}, {"user": "$SYS", "password": "sys"}):
        arguments = {**access.login().options_for(Client()), **options}
        await refused_connection(guarded.url, **arguments)


async def test_a_public_key_without_its_seed_does_not_help(guarded: Guarded) -> None:
    publisher = KeyPair.from_seed(Path(guarded.access("publisher").nkey_seed_file or "").read_text())
    client = Client()
    options = guarded.access("engine").login().options_for(client)
    client._public_nkey = publisher.public  # signed by the engine's key

    async def ignore(_: Exception) -> None:
        pass

    with pytest.raises((NatsError, OSError)):
        await client.connect(guarded.url, allow_reconnect=False, error_cb=ignore, **options)
    assert not client.is_connected
    await close_quietly(client)  # nats-py leaves the socket of a refusal open where it may not try again


async def test_a_server_with_another_ca_is_not_believed(guarded: Guarded, tmp_path: Path, sim: Simulator) -> None:
    other = authority(tmp_path / "other")
    access = replace(guarded.access("engine"), tls_ca=str(other.folder / "ca.pem"))
    with pytest.raises(CannotConnect, match=UNTRUSTED):
        async with DriftFeed(guarded.url, access=access, connect_timeout_s=TRIES_S):
            pass
    environment = guarded.environment("engine") | {"DRIFT_BUS_NATS_TLS_CA": access.tls_ca or ""}
    environment["DRIFT_BUS_START_TIMEOUT_S"] = str(TRIES_S)
    for command in (["watch"], ["publish", "--rpc-url", sim.http_url]):
        told = await drift_bus(*command, **environment)
        assert told.status == 1
        assert UNTRUSTED in told.complaint


async def test_a_server_under_another_name_is_not_believed(tmp_path: Path) -> None:
    written = authority(tmp_path / "auth", hosts=("nats.example.com",))
    async with LocalNatsServer(config_file=written.config) as server:
        access = replace(Guarded(server, written).access("engine"))
        with pytest.raises(CannotConnect, match="is not for this host"):
            async with DriftFeed(server.url, access=access, connect_timeout_s=TRIES_S):
                pass


async def test_a_server_that_poses_without_tls_is_not_believed(guarded: Guarded) -> None:
    """Its plain greeting is no TLS; the key's signature, and our trust, never reach it."""
    async with LocalNatsServer() as impostor:
        with pytest.raises(CannotConnect, match=NO_TLS):
            async with DriftFeed(impostor.url, access=guarded.access("engine"), connect_timeout_s=TRIES_S):
                pass
        environment = guarded.environment("engine") | {"DRIFT_BUS_NATS_URL": impostor.url}
        told = await drift_bus("watch", **environment)
        assert told.status == 1
        assert NO_TLS in told.complaint


async def test_garbage_on_the_servers_port_harms_nobody(guarded: Guarded) -> None:
    host, port = "127.0.0.1", int(guarded.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=guarded.access("engine").tls_ca)
    garbage = (os.urandom(100_000), b"PUB in.drift.price.SOL-PERP 3\r\nhey\r\n" * 100, b"CONNECT " + b"{" * 200_000)
    async with (
        guarded.writer() as bus,
        DriftFeed(guarded.url, access=guarded.access("engine"), connect_timeout_s=60, snapshot_timeout_s=60) as feed,
    ):
        for tls in (None, context):
            for data in garbage:
                reader, writer = await asyncio.open_connection(host, port, ssl=tls)
                writer.write(data)
                async with asyncio.timeout(60):
                    while await _read(reader):
                        pass
                writer.close()
        await bus.beat()
        await wait_until(feed.status)
        assert feed.statistics().disconnects == 0


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


async def test_a_feed_gives_up_a_server_that_never_ends_its_handshake(guarded: Guarded) -> None:
    """The connection stands and no TLS comes; nats-py's own ``close()`` would wait for that socket for ever."""
    async with Line(guarded.url) as line:
        line.hold()
        with pytest.raises(CannotConnect, match=r"within 0\.5 s"):
            async with asyncio.timeout(60), DriftFeed(line.url, access=guarded.access("engine"), connect_timeout_s=0.5):
                pass
