"""A connection that asks, and hears at once where it may not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_bus.errors import CommandError
from drift_bus.redaction import redact
from drift_schemas import JetStreamApi
from drift_schemas.access import AccessError, NatsAccess, close_quietly, explain

__all__ = ["ApiError", "Denied", "Link", "NoOneAnswers", "linked"]

_CONNECT_S: Final = 5
_ANSWER_S: Final = 6.0
_CLOSE_S: Final = 1.0
_NOT_ENABLED: Final = 10039


class Denied(CommandError):
    """The login may not publish there."""


class NoOneAnswers(CommandError):
    """Nobody listens to that request."""


class ApiError(CommandError):
    """JetStream answered with an error. ``code`` is its number."""

    def __init__(self, action: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{action}: {error.get('description', 'an error')} ({error.get('err_code')})")
        self.code = error.get("err_code")


class Link:
    """What one login at one server may ask.

    Attributes:
        client: The connection.
        where: Where JetStream listens.
        refusal: Why the server would not have us, in words that name the remedy.
    """

    def __init__(self, client: Client, where: JetStreamApi) -> None:
        self.client = client
        self.where = where
        self.refusal: str | None = None
        self._denied: set[str] = set()
        self._news = asyncio.Event()

    async def on_error(self, error: Exception) -> None:
        """nats-py's error callback."""
        if not self.client.is_connected:
            self.refusal = self.refusal or explain(error, logging_in=True)
        text = str(error).lower()
        if "permissions violation" in text:
            self._denied.add(text.partition('"')[2].partition('"')[0])
            self._news.set()

    async def ask(self, subject: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Msg:
        """Sends a request and returns the answer.

        Raises:
            Denied: this login may not send it.
            NoOneAnswers: nobody listens.
            TimeoutError: no answer in time.
        """
        asking = asyncio.ensure_future(self.client.request(subject, body, timeout=_ANSWER_S, headers=headers))
        hearing = asyncio.ensure_future(self._denial(subject))
        try:
            await asyncio.wait({asking, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return await asking
            raise Denied(f"this login may not send to {subject}")
        except nats.errors.NoRespondersError:
            raise NoOneAnswers(f"nobody answers {subject}") from None
        except nats.errors.TimeoutError:
            raise TimeoutError from None
        finally:
            for task in (asking, hearing):
                task.cancel()
            await asyncio.gather(asking, hearing, return_exceptions=True)

    async def api(self, action: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Asks JetStream.

        Raises:
            ApiError: it answered with an error.
        """
        reply = await self.ask(self.where.subject(action), json.dumps(body).encode() if body else b"")
        answer: dict[str, Any] = json.loads(reply.data)
        if error := answer.get("error"):
            raise ApiError(action, error)
        return answer

    async def stream_info(self, stream: str) -> dict[str, Any]:
        """Asks for a stream; an engine's account has another name for that request."""
        try:
            return await self.api(f"STREAM.INFO.{stream}")
        except (Denied, NoOneAnswers):
            pass
        except ApiError as error:
            if error.code != _NOT_ENABLED:
                raise
        answer: dict[str, Any] = json.loads((await self.ask(f"drift-bus.info.{stream}")).data)
        if failure := answer.get("error"):
            raise ApiError(f"STREAM.INFO.{stream}", failure)
        return answer

    async def _denial(self, subject: str) -> None:
        while subject.lower() not in self._denied:
            self._news.clear()
            await self._news.wait()


@contextlib.asynccontextmanager
async def linked(server: str, access: NatsAccess) -> AsyncIterator[Link]:
    """A connection to one server, which is tried once.

    Raises:
        CommandError: it does not answer, or refuses us; the text ends with the remedy.
    """
    client = Client()
    link = Link(client, JetStreamApi(access.domain))
    try:
        login = access.login()
        await client.connect(
            server,
            name="drift-bus doctor",
            error_cb=link.on_error,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_S,
            **login.options_for(client),
        )
    except AccessError as error:
        raise CommandError(f"{error}: name a file such as 'drift-bus auth init' writes") from None
    except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
        await close_quietly(client, timeout_s=_CLOSE_S)
        raise CommandError(f"{redact(server)}: {link.refusal or _why(error)}") from None
    try:
        yield link
    finally:
        await close_quietly(client, timeout_s=_CLOSE_S)


def _why(error: Exception) -> str:
    remedy = "start a nats-server there (nats-server -js), or correct DRIFT_BUS_NATS_URL"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused: {remedy}"
    said = str(error).removeprefix("nats: ") or "no answer in time"
    return f"{redact(said)}: {remedy}"
