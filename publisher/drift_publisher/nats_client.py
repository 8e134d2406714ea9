"""nats-py's client, with a short way out for acknowledged publishing and a short way in for the acknowledgements.

What a publisher does thousands of times a second passes by what nats-py does for everybody: a check of every header,
a flush per message, a queue and a task between socket and callback. Connecting, authentication, TLS, pings,
reconnecting and what is pending meanwhile stay nats-py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

__all__ = ["NatsClient", "OnReply", "hpub"]

OnReply = Callable[[bytes, bytes, str | None], None]
"""Takes the reply subject's last tokens, the data, and the status where NATS answered in place of a subscriber."""


def hpub(subject: str, reply: str, headers: Mapping[str, str], payload: bytes) -> bytes:
    """Renders a message as it goes over the wire; no subject may hold a space, no header a line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    command = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n"
    return b"".join((command.encode(), head, payload, b"\r\n"))


class NatsClient(Client):
    """A client that sends rendered messages, and hears the replies of one inbox at once."""

    def __init__(self) -> None:
        super().__init__()
        self._prefix = b""
        self._on_reply: OnReply | None = None

    async def send(self, frames: bytes) -> None:
        """Hands over messages that :func:`hpub` rendered, in one piece; call it only while connected."""
        await self._send_command(frames)
        await self._flush_pending()

    async def hear_replies(self, inbox: str, on_reply: OnReply) -> Subscription:
        """Subscribes below ``inbox``: a reply to ``<inbox>.<tokens>`` calls ``on_reply(tokens, data, status)``.

        The call comes from the reading of the socket itself where the reply has no headers. An error that it raises
        is told to the connection's error callback.
        """

        async def with_headers(reply: Msg) -> None:
            on_reply(reply.subject.encode()[len(self._prefix) :], reply.data, (reply.headers or {}).get("Status"))

        self._prefix, self._on_reply = f"{inbox}.".encode(), on_reply
        return await self.subscribe(f"{inbox}.>", cb=with_headers)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if headers or self._on_reply is None or not subject.startswith(self._prefix):
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            self._on_reply(subject[len(self._prefix) :], data, None)
        except Exception as error:  # nats-py's reading would end with it
            await self._error_cb(error)
