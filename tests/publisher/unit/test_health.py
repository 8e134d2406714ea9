"""Whether the publisher is ready, judged from its parts; and the small HTTP server that says so."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.deliveries import StreamEntry
from drift_publisher.health import Fault, Health
from drift_publisher.http_server import Answer, serving_http
from drift_publisher.market_names import MarketKey
from drift_publisher.nats_client import NatsClient
from drift_publisher.source import AccountUpdate
from drift_publisher.vitals import serving_vitals
from tests.support.wait import wait_until

from .accounts import NOW, pubkey
from .program_accounts import ProgramAccounts

ORACLE, SPOT_ORACLE = pubkey(7), pubkey(9)
SOL_PERP = MarketKey("perp", 0)
KINDS = {"SOL-PERP": ("price", "funding", "market"), "SOL": ("price", "spot")}


def tell(chain: Chain, address: str, data: bytes, *, slot: int = 100, owner: str | None = None) -> None:
    owner = chain.profile.program_id if owner is None else owner
    chain.store.apply(AccountUpdate(address, owner, slot, data, NOW * 10**9))
    chain.heard.note(address, was_read=False)


def entries_of(health: Health) -> dict[tuple[str, str], StreamEntry]:
    assert health.bus is not None
    return {(entry.kind, entry.market): entry for entry in health.bus.deliveries.entries.values()}


class _Connected(NatsClient):
    """A client that says that it is connected."""

    @property
    def is_connected(self) -> bool:
        return True


@pytest.fixture
def health(chain: Chain, own: ProgramAccounts) -> Health:
    """A publisher that has read and stored a perp and a spot market."""
    tell(chain, own.perp_at(0), own.perp(0))
    tell(chain, own.spot_at(1), own.spot(1, oracle=SPOT_ORACLE))
    tell(chain, own.profile.state_address, own.state())
    for oracle in (ORACLE, SPOT_ORACLE):
        tell(chain, oracle, own.lazer(100 * 10**8, 10**5, slot=99))
    chain.status.histories = 1
    chain.status.note_slot(100)
    chain.status.state, chain.status.reason = "live", ""
    health = Health()
    health.nats, health.chain, health.bus = _Connected(), chain, Bus(NatsClient())
    health.epoch = lambda: 3
    health.note_initialized()
    for market, kinds in KINDS.items():
        for kind in kinds:
            subject = f"in.drift.{kind}.{market}"
            health.bus.deliveries.entries[subject] = StreamEntry(kind, market, 1, 0, time.monotonic())
    return health


def reasons(health: Health) -> set[str]:
    return {fault.reason for fault in health.readiness().reasons}


def faults(health: Health) -> dict[str, set[str]]:
    return {name: {fault.reason for fault in found} for name, found in health.readiness().markets.items()}


async def test_all_is_well(health: Health) -> None:
    readiness = health.readiness()
    assert (readiness.ready, readiness.reasons, readiness.markets) == (True, (), {})
    assert (readiness.leads, readiness.epoch, readiness.slot, readiness.source_state) == (True, 3, 100, "live")


def test_nothing_is_there_yet() -> None:
    readiness = Health().readiness()
    assert not readiness.ready
    assert {fault.reason for fault in readiness.reasons} == {"starting", "NATS down"}


async def test_a_standby_is_not_ready(health: Health) -> None:
    health.is_leading = lambda: False
    entries_of(health)["price", "SOL"].stored_at -= 1000
    assert reasons(health) == {"not leading"}
    assert faults(health) == {}, "what it does not publish cannot be late"
    assert not health.readiness().leads


async def test_the_source_is_down(health: Health, chain: Chain) -> None:
    chain.status.lost("no new slot for 5 s")
    assert health.readiness().reasons == (Fault("source down", "no new slot for 5 s"),)


async def test_nats_is_down(health: Health) -> None:
    health.nats = NatsClient()
    assert reasons(health) == {"NATS down"}


async def test_the_oracle_is_older_than_the_program_allows(health: Health, chain: Chain, own: ProgramAccounts) -> None:
    oldest = own.profile.state.read(own.state()).slots_before_stale_for_margin
    chain.status.note_slot(99 + oldest)
    assert faults(health) == {}
    chain.status.note_slot(100 + oldest)
    assert faults(health) == {"SOL-PERP": {"oracle stale"}, "SOL": {"oracle stale"}}
    assert not health.readiness().ready


async def test_an_oracle_that_is_gone(health: Health, chain: Chain) -> None:
    chain.store.apply(AccountUpdate(ORACLE, "", 101, None, NOW * 10**9))
    assert faults(health) == {"SOL-PERP": {"oracle stale"}}


async def test_nobody_waits_for_the_oracle_of_a_market_that_ended(
    health: Health, chain: Chain, own: ProgramAccounts
) -> None:
    for number, status in enumerate(("Settlement", "Delisted")):
        tell(chain, own.perp_at(0), own.perp(0, status=status), slot=101 + number)
        assert chain.store.perp_markets[0].status == status
        chain.store.apply(AccountUpdate(ORACLE, "", 101 + number, None, NOW * 10**9))
        assert faults(health) == {}


async def test_an_account_that_was_refused(health: Health, chain: Chain, own: ProgramAccounts) -> None:
    tell(chain, own.perp_at(0), own.perp(0), slot=101, owner=pubkey(1))
    assert faults(health) == {"SOL-PERP": {"account stale"}}


async def test_what_the_stream_has_not_confirmed_within_the_ttl(health: Health) -> None:
    entries_of(health)["price", "SOL-PERP"].stored_at -= 11
    entries_of(health)["funding", "SOL-PERP"].stored_at -= 11
    [fault] = health.readiness().markets["SOL-PERP"]
    assert (fault.reason, fault.detail) == ("not stored", "the stream has not confirmed price for 11 s")


async def test_a_renamed_market_has_its_time_to_be_stored_under_its_new_name(
    health: Health, chain: Chain, own: ProgramAccounts
) -> None:
    health.began_at -= 1000
    health.note_initialized()
    assert health.readiness().ready
    tell(chain, own.perp_at(0), own.perp(0, "WSOL-PERP"), slot=101)
    assert health.readiness().ready
    health._named_at[SOL_PERP, "WSOL-PERP"] -= 31
    [fault] = health.readiness().markets["WSOL-PERP"]
    assert fault.detail == "the stream has not confirmed price for 31 s, funding for 31 s"
    assert len(health._named_at) == 2  # old names are forgotten


async def test_two_live_markets_of_one_name(health: Health, chain: Chain, own: ProgramAccounts) -> None:
    """However many stale markets are allowed: nobody can say which is meant."""
    health._most_stale_markets = 100
    tell(chain, own.perp_at(82), own.perp(82, "SOL-PERP"))
    readiness = health.readiness()
    assert not readiness.ready
    [fault] = readiness.reasons
    assert fault.reason == "name clash"
    assert "perp market 0 and perp market 82 are live and all named SOL-PERP" in fault.detail
    tell(chain, own.perp_at(0), own.perp(0, "SOL-PERP", status="Delisted"), slot=101)
    assert health.readiness().reasons == ()


async def test_some_stale_markets_may_be_allowed(health: Health) -> None:
    entries_of(health)["price", "SOL-PERP"].stored_at -= 11
    assert not health.readiness().ready
    health._most_stale_markets = 1
    assert health.readiness().ready
    entries_of(health)["price", "SOL"].stored_at -= 11
    assert not health.readiness().ready


async def test_what_the_port_says(health: Health, chain: Chain) -> None:
    async with serving_vitals(health, host="127.0.0.1", port=0) as port, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{port}"
        ready = await http.get(f"{url}/readyz?verbose=1")
        assert (ready.status_code, ready.json()["ready"], ready.json()["reasons"]) == (200, True, [])
        chain.store.apply(AccountUpdate(ORACLE, "", 101, None, NOW * 10**9))
        health.is_leading = lambda: False
        unready = await http.get(f"{url}/readyz")
        assert unready.status_code == 503
        assert unready.json()["reasons"][0]["reason"] == "not leading"
        assert unready.json()["markets"]["SOL-PERP"][0]["reason"] == "oracle stale"
        alive = await http.get(f"{url}/livez")
        assert (alive.status_code, alive.json()["alive"]) == (200, True)
        metrics = await http.get(f"{url}/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert 'drift_unready{reason="not leading"} 1.0' in metrics.text
        assert 'drift_market_stale{market="SOL-PERP",reason="oracle stale"} 1.0' in metrics.text
        assert 'drift_markets_stale{reason="oracle stale"} 1.0' in metrics.text
        assert "process_resident_memory_bytes" in metrics.text


async def test_who_asks_for_something_else_is_told_so() -> None:
    async def hello() -> Answer:
        return Answer(200, "text/plain", b"hello")

    async with serving_http({"/hello": hello}, host="127.0.0.1", port=0) as port, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{port}"
        assert (await http.get(f"{url}/hello")).text == "hello"
        head = await http.head(f"{url}/hello")
        assert (head.status_code, head.text, head.headers["content-length"]) == (200, "", "5")
        assert (await http.get(f"{url}/else")).status_code == 404
        assert (await http.post(f"{url}/hello")).status_code == 405


async def test_garbage_and_silence_harm_nobody() -> None:
    async def hello() -> Answer:
        return Answer(200, "text/plain", b"hello")

    async with serving_http({"/hello": hello}, host="127.0.0.1", port=0) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        for sent in (b"\x00\xff\r\n\r\n", b"A" * 20_000, b"GET /hello\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            assert b" 200 " not in await _rest(reader)
            writer.close()
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{port}/hello")).text == "hello"
    for reader, writer in silent:
        assert await _rest(reader) == b"", "the server leaves nobody behind"
        writer.close()
    await wait_until(lambda: len(asyncio.all_tasks()) == 1)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
