"""Asks the hosted data API: one GET, bounded in time and size, with its key kept out of every message."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from drift_bus.errors import CommandError, UsageProblem
from drift_bus.reconcile.shape import HostedMarkets, WrongShape, read_answer
from drift_bus.redaction import learn_secrets, redact

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "ask", "stats_url"]

_PATH: Final = "/stats/markets"
_LARGEST_ANSWER: Final = 8 * 1024 * 1024
_FORM: Final = "write https://HOST or https://HOST/stats/markets"
_SCHEMES: Final = ("https", "http")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the hosted API said.

    Attributes:
        hosted: Its perp markets.
        where: Scheme and host, without anything secret.
        received_at_ns: When the last byte of it was here, Unix nanoseconds.
        took_s: From the request to then.
    """

    hosted: HostedMarkets
    where: str
    received_at_ns: int
    took_s: float


def stats_url(given: str) -> str:
    """The address to ask, from a host, a base URL or the whole address.

    Raises:
        UsageProblem: it is none; the text shows no secret.
    """
    text = given.strip()
    if "://" not in text:
        text = f"https://{text}"
    learn_secrets(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageProblem(f"--against: wrong host or port: {_FORM}") from None
    if parts.scheme.lower() not in _SCHEMES:
        raise UsageProblem(f"--against: {parts.scheme}:// is not possible here ({', '.join(_SCHEMES)}): {_FORM}")
    if not host or port == 0 or any(character.isspace() or not character.isprintable() for character in text):
        raise UsageProblem(f"--against: there is no host in it: {_FORM}")
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment=""))


async def ask(url: str, *, timeout_s: float) -> Answer:
    """Gets the markets.

    Redirects are not followed: what a URL carries would go to a host that nobody named.

    Args:
        url: From :func:`stats_url`.
        timeout_s: For the whole answer.

    Raises:
        CommandError: there is no usable answer; the text names the reason and no secret.
    """
    try:
        import httpx
    except ImportError:
        raise CommandError("reconcile needs httpx: pip install 'drift-bus[cli]'") from None
    where = _without_secrets(url)
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s), httpx.AsyncClient(timeout=timeout_s, follow_redirects=False) as client:
            body = await _body(client, url, where)
    except (TimeoutError, httpx.TimeoutException):
        raise CommandError(f"{where} gave no whole answer within {timeout_s:g} s: try a larger --timeout") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"{where} cannot be reached: {redact(str(error)) or type(error).__name__}") from None
    took_s = time.monotonic() - began
    try:
        return Answer(read_answer(body), where, time.time_ns(), took_s)
    except WrongShape as error:
        raise CommandError(f"{where} answers, but not as {_PATH} should: {redact(str(error))}") from None


async def _body(client: httpx.AsyncClient, url: str, where: str) -> bytes:
    headers = {"Accept": "application/json", "User-Agent": "drift-bus reconcile"}
    async with client.stream("GET", url, headers=headers) as response:
        if response.is_redirect:
            target = _without_secrets(response.headers.get("location", ""))
            raise CommandError(f"{where} answers with a redirect to {target}: name the last address with --against")
        if response.status_code != 200:
            raise CommandError(f"{where} answers with HTTP {response.status_code}{_meaning(response)}")
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LARGEST_ANSWER:
                raise CommandError(
                    f"{where} answers with more than {_LARGEST_ANSWER >> 20} MiB: is it the right address?"
                )
        return bytes(body)


def _meaning(response: httpx.Response) -> str:
    if response.status_code == 429:
        after = response.headers.get("retry-after", "")
        return " (too many requests): try again " + (f"in {after} s" if after.isdigit() else "later")
    meanings = {401: "a key is needed or wrong", 403: "not allowed", 404: f"there is no {_PATH} there"}
    meaning = meanings.get(response.status_code)
    if meaning is None:
        meaning = (
            "the fault is on its side: try again later" if response.status_code >= 500 else "not what was asked for"
        )
    return f": {meaning}"


def _without_secrets(url: str) -> str:
    """Scheme, host and port; a relative address is only called that."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that is none"
    if not host or not parts.scheme:
        return f"a {parts.scheme}: address" if parts.scheme else "another path"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
