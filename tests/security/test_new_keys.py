"""Keys are changed without an interruption: for a time the server accepts the old ones beside the new."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from drift_bus.authority import Written
from drift_bus.authority.earlier import EarlierUnusable
from drift_schemas.access import KeyPair, close_quietly
from drift_subscribers import DriftFeed
from tests.security.support import PATIENT, Guarded, authority, guarded_server
from tests.support.bus_writer import price_event
from tests.support.wait import wait_until


@contextlib.asynccontextmanager
async def engine(at: Guarded, keys: Written, name: str = "engine") -> AsyncIterator[DriftFeed]:
    """A feed that logs in with the keys of a folder."""
    async with DriftFeed(at.url, access=Guarded(at.server, keys).access(name), **PATIENT) as feed:
        yield feed


async def accepts(at: Guarded, keys: Written, name: str = "engine") -> bool:
    """Whether the server lets a new client in."""

    async def ignore(_: Exception) -> None:
        pass

    client = Client()
    options = Guarded(at.server, keys).access(name).login().options_for(client)
    try:
        await client.connect(at.url, error_cb=ignore, allow_reconnect=False, connect_timeout=30, **options)
        return True
    except (NatsError, OSError):
        return False
    finally:
        await close_quietly(client)


async def test_both_keys_work_until_the_old_ones_are_taken_away(tmp_path: Path) -> None:
    old = authority(tmp_path / "old")
    new = authority(tmp_path / "new", accept=tmp_path / "old")
    both = new.folder / "nats-server.both.conf"
    config = tmp_path / "old" / "nats-server.conf"  # where the server looks
    async with guarded_server(old) as guarded, guarded.writer() as publisher:
        async with engine(guarded, old) as before:
            await publisher.change(price_event("SOL-PERP", 1_000_000))
            await wait_until(lambda: before.price("SOL-PERP"))
            assert not await accepts(guarded, new)

            shutil.copy(both, config)
            guarded.server.signal(signal.SIGHUP)
            await wait_until(lambda: accepts(guarded, new), what="the new keys are accepted")
            assert await accepts(guarded, old)
            await publisher.change(price_event("SOL-PERP", 2_000_000))
            await wait_until(lambda: (price := before.price("SOL-PERP")) and price.oracle_price == 2_000_000)
            assert before.statistics().resyncs == 1, "nobody was sent away"

        shutil.copy(new.config, config)
        guarded.server.signal(signal.SIGHUP)

        async def old_ones_are_refused() -> bool:
            return not await accepts(guarded, old)

        await wait_until(old_ones_are_refused)
        assert await accepts(guarded, new)


def test_the_certificate_is_kept_and_a_role_that_is_gone_gets_no_key(tmp_path: Path) -> None:
    old = authority(tmp_path / "old")
    new = authority(tmp_path / "new", accept=tmp_path / "old", engines=("engine",))
    for name in ("ca.pem", "server.pem", "server-key.pem"):
        assert (new.folder / name).read_bytes() == (old.folder / name).read_bytes()
    both = (new.folder / "nats-server.both.conf").read_text()
    seeds = {role: (old.folder / f"{role}.nk").read_text() for role in ("engine", "rival", "publisher")}
    keys = {role: KeyPair.from_seed(seed.strip()).public for role, seed in seeds.items()}
    assert {role: key in both for role, key in keys.items()} == {"engine": True, "rival": False, "publisher": True}
    assert not any(key in new.config.read_text() for key in keys.values())
    assert f'store_dir: "{old.folder}/jetstream"' in new.config.read_text()


@pytest.mark.parametrize("missing", ["ca.pem", "*.nk"])
def test_a_folder_that_is_not_whole_is_named(missing: str, tmp_path: Path) -> None:
    old = authority(tmp_path / "old")
    for path in old.folder.glob(missing):
        path.unlink()
    with pytest.raises(EarlierUnusable, match=r"ca\.pem|holds no keys"):
        authority(tmp_path / "new", accept=tmp_path / "old")
    assert not (tmp_path / "new").exists()
