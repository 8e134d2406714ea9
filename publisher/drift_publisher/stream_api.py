"""Asks JetStream about streams and for changes to them, and asks again what nobody answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from drift_publisher.asking import ask
from drift_publisher.errors import NatsUnavailable
from drift_schemas import JetStreamApi

__all__ = ["PATIENCE_S", "StreamApi"]

PATIENCE_S: Final = 10.0
"""How long JetStream of a publisher that runs may take to answer, in seconds."""

_NOT_FOUND: Final = 10059
_LOOK_S: Final = 0.2
_ASK_AGAIN_S: Final = {"INFO": 1.0, "CREATE": 3.0, "UPDATE": 3.0}
"""By verb: how long one answer may take before the same is asked again; a cluster takes its time to make a stream."""


@dataclass(frozen=True)
class StreamApi:
    """What a publisher asks of JetStream about streams.

    Each request is asked again while nobody answers, for asking twice changes nothing: of a stream that is there with
    the same settings, the server says that it has been created.

    Attributes:
        nats: A connection that may manage streams.
        api: Where JetStream listens.
        patience_s: How long it may take to answer one request, in seconds, however often it is asked.
    """

    nats: Client
    api: JetStreamApi
    patience_s: float = PATIENCE_S

    async def info(self, name: str, *, subjects: str = "") -> dict[str, Any] | None:
        """What the server says about a stream, with the subjects that ``subjects`` matches; ``None`` without a stream.

        Raises:
            NatsUnavailable: JetStream does not answer, or with another error.
        """
        answer = await self.request("INFO", name, {"subjects_filter": subjects} if subjects else {})
        if error := answer.get("error"):
            if error.get("err_code") == _NOT_FOUND:
                return None
            raise NatsUnavailable(f"JetStream: {name}: {error.get('description')}")
        return answer

    async def request(self, verb: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer about a stream, be it an error.

        Args:
            verb: ``INFO``, ``CREATE`` or ``UPDATE``.
            name: Of the stream.
            body: What the verb takes.

        Raises:
            NatsUnavailable: JetStream does not answer.
        """
        subject = self.api.subject(f"STREAM.{verb}.{name}")
        try:
            reply = await self._ask(subject, json.dumps(body).encode(), again_s=_ASK_AGAIN_S[verb])
        except NoRespondersError:
            raise NatsUnavailable(self.api.silence) from None
        except NatsError as error:
            raise NatsUnavailable(f"JetStream does not answer {subject} ({type(error).__name__})") from None
        answer: dict[str, Any] = json.loads(reply.data)
        return answer

    async def _ask(self, subject: str, body: bytes, *, again_s: float) -> Msg:
        """Asks until there is an answer.

        In a cluster nobody answers for a stream that another publisher is just creating, not even once it is there.
        And nobody listens for a domain while a leaf node that was just started has not found its hub.
        """
        deadline = time.monotonic() + self.patience_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                return await ask(self.nats, subject, body, timeout_s=max(min(again_s, left_s), _LOOK_S))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise NatsTimeout from None
            except NoRespondersError:
                if self.api.domain is None or time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_LOOK_S)
