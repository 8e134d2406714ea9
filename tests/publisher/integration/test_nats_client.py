"""The short ways of our NATS client: what it sends is what nats-py would send, what it hears is heard at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.client import Client

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.nats_client import NatsClient, hpub
from drift_publisher.nats_connection import connect_nats
from tests.support.wait import wait_until

TOKENS = st.from_regex(r"[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20}){0,4}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9_./-]{1,40}", fullmatch=True)


class _Recorder(Client):
    """nats-py, up to the bytes that it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:
        self.sent += cmd


@settings(deadline=None)
@given(TOKENS, TOKENS, st.dictionaries(TOKENS, VALUES, min_size=1, max_size=6), st.binary(max_size=2000))
def test_a_rendered_message_is_nats_pys_own(subject: str, reply: str, headers: dict[str, str], payload: bytes) -> None:
    recorder = _Recorder()
    asyncio.run(recorder._send_publish(subject, reply, payload, len(payload), headers))
    assert hpub(subject, reply, headers, payload) == recorder.sent


@pytest.fixture
async def client(nats_server: LocalNatsServer) -> AsyncIterator[NatsClient]:
    reconnected = asyncio.Event()
    async with connect_nats([nats_server.url], name="test", timeout_s=30, reconnected=reconnected) as client:
        yield client


async def test_many_messages_in_one_piece_arrive_in_order_with_their_headers(client: NatsClient) -> None:
    subscription = await client.subscribe("some.*")
    frames = [hpub(f"some.{n}", "reply.to", {"Number": str(n), "Kind": "price"}, b"\r\n" * n) for n in range(200)]
    await client.send(b"".join(frames))
    for n in range(200):
        message = await subscription.next_msg(30)
        assert (message.subject, message.reply, message.data) == (f"some.{n}", "reply.to", b"\r\n" * n)
        assert message.headers == {"Number": str(n), "Kind": "price"}


def _noting(heard: list[tuple[bytes, bytes, str | None]]) -> Callable[[bytes, bytes, str | None], None]:
    return lambda tokens, data, status: heard.append((bytes(tokens), data, status))


async def test_replies_are_heard_with_what_they_answer(client: NatsClient) -> None:
    heard: list[tuple[bytes, bytes, str | None]] = []
    inbox = client.new_inbox()
    await client.hear_replies(inbox, _noting(heard))
    await client.publish(f"{inbox}.7.12", b"stored")
    await client.publish(f"{inbox}.8.1", b"with headers", headers={"Some": "header"})
    await client.send(hpub("nobody.listens", f"{inbox}.9.3", {"Some": "header"}, b""))
    await wait_until(lambda: len(heard) == 3, what="three replies")
    assert set(heard) == {(b"7.12", b"stored", None), (b"8.1", b"with headers", None), (b"9.3", b"", "503")}


async def test_other_subscriptions_and_requests_go_on_as_ever(client: NatsClient) -> None:
    await client.hear_replies(client.new_inbox(), _noting([]))

    async def echo(message: object) -> None:
        await message.respond(message.data)  # type: ignore[attr-defined]

    await client.subscribe("echo", cb=echo)
    assert (await client.request("echo", b"hello", timeout=30)).data == b"hello"


async def test_an_error_in_the_callback_does_not_end_the_reading(
    client: NatsClient, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    def on_reply(tokens: bytes, data: bytes, status: str | None) -> None:
        heard.append(data)
        if data == b"bad":
            raise ValueError("no such number")

    inbox = client.new_inbox()
    await client.hear_replies(inbox, on_reply)
    for data in (b"bad", b"good"):
        await client.publish(f"{inbox}.1", data)
    await wait_until(lambda: heard == [b"bad", b"good"], what="both replies")
    assert "no such number" in caplog.text


async def test_replies_are_heard_after_a_reconnect(client: NatsClient, nats_server: LocalNatsServer) -> None:
    heard: list[tuple[bytes, bytes, str | None]] = []
    inbox = client.new_inbox()
    await client.hear_replies(inbox, _noting(heard))
    await nats_server.kill()
    await wait_until(lambda: not client.is_connected, what="the loss is noticed")
    await nats_server.start()
    await wait_until(lambda: client.is_connected, what="it is connected again")
    await client.publish(f"{inbox}.1", b"back")
    await wait_until(lambda: heard == [(b"1", b"back", None)], what="the reply")


async def test_a_connection_that_is_cancelled_half_way_leaves_no_socket() -> None:
    """The server has taken it and says nothing; whoever starts a publisher then stops it."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()
        writer.close()
        ended.set()

    async def connect(url: str) -> None:
        async with connect_nats([url], name="test", timeout_s=60, reconnected=asyncio.Event()):
            pass

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    connecting = asyncio.create_task(connect(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    await begun.wait()
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    await wait_until(ended.is_set, what="its socket is closed")
    server.close()
