"""nats-py's client, with a short way out for acknowledged publishing and a short way in for the acknowledgements.

What a publisher does thousands of times a second passes by what nats-py does for everybody: a check of every header,
a flush per message, a queue and a task between socket and callback. Connecting, authentication, TLS, pings,
reconnecting and what is pending meanwhile stay nats-py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import AuthorizationError
from nats.errors import Error as NatsError
from nats.protocol.parser import AUTHORIZATION_VIOLATION, PERMISSIONS_ERR, STALE_CONNECTION

from drift_publisher.errors import NatsUnavailable
from drift_schemas.access import is_dead

__all__ = ["NatsClient", "OnReply", "hpub"]

_LOOK_S: Final = 1.0

OnReply = Callable[[bytes, bytes, str | None], None]
"""Takes the reply subject's last tokens, the data, and the status where NATS answered in place of a subscriber."""


def hpub(subject: str, reply: str, headers: Mapping[str, str], payload: bytes) -> bytes:
    """Renders a message as it goes over the wire; no subject may hold a space, no header a line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    command = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n"
    return b"".join((command.encode(), head, payload, b"\r\n"))


class NatsClient(Client):
    """A client that sends rendered messages, hears the replies of one inbox at once, and reconnects for ever."""

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

    async def ended(self) -> None:
        """Returns never: raises as soon as nats-py has given the connection up, which it does in rare states.

        Raises:
            NatsUnavailable: nobody will connect again.
        """
        while True:
            if is_dead(self):
                raise NatsUnavailable("the NATS connection has ended for good: start the publisher again")
            await asyncio.sleep(_LOOK_S)

    async def _process_connect_init(self) -> None:
        """nats-py leaves the socket of a try that the server refuses to the garbage collector; this one closes it."""
        try:
            await super()._process_connect_init()
        except BaseException:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]
            raise

    async def _process_err(self, err_msg: str) -> None:
        """nats-py closes for good when the server sends us away; a login that was refused may be accepted again."""
        if self.is_connecting or STALE_CONNECTION in err_msg or PERMISSIONS_ERR in err_msg:
            await super()._process_err(err_msg)
            return
        refused = AUTHORIZATION_VIOLATION in err_msg
        error = AuthorizationError() if refused else NatsError(f"nats: {err_msg.strip(chr(39))}")
        await self._error_cb(error)
        await self._process_op_err(error)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if headers or self._on_reply is None or not subject.startswith(self._prefix):
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            self._on_reply(subject[len(self._prefix) :], data, None)
        except Exception as error:  # nats-py's reading would end with it
            await self._error_cb(error)
