"""Takes secrets out of text: an RPC URL's key sits in its path, its query, or before an @; an nkey seed is one."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from drift_schemas.access import hide_seeds

__all__ = ["learn_secrets", "redact", "redact_url"]

_SHORTEST_SECRET: Final = 8
_known: set[str] = set()

_UNREADABLE: Final = "(an unreadable URL)"
_URL: Final = re.compile(r"(?:https?|wss?|nats|tls)://(?:(?![,|][a-z]+://)[^\s'\"<>])+", re.IGNORECASE)
_CLOSING: Final = re.compile(r"[).,;:}]*$")


def redact_url(url: str) -> str:
    """Returns scheme, host and port only; ``…`` stands for whatever followed.

    >>> redact_url("https://rpc.example.com/v2/SECRET?api-key=SECRET")
    'https://rpc.example.com/…'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return _UNREADABLE
    # An @ that follows a slash: the slash belongs to a password, and what looks like the host is the user.
    if not host or ("@" in url and "@" not in parts.netloc):
        return _UNREADABLE
    hidden = parts.path.strip("/") or parts.query or parts.fragment
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}{'/…' if hidden else ''}"


def learn_secrets(url: str) -> None:
    """Remembers what may be secret in ``url``, so that :func:`redact` removes it wherever an endpoint repeats it."""
    try:
        parts = urlsplit(url)
        found = [parts.password or "", *parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    except ValueError:
        return
    _known.update(secret for secret in found if len(secret) >= _SHORTEST_SECRET)


def redact(text: str) -> str:
    """Redacts every URL and every nkey seed in ``text``, and every secret that was learnt."""
    text = hide_seeds(_URL.sub(_redact_match, text))
    for secret in _known:
        text = text.replace(secret, "…")
    return text


def _redact_match(match: re.Match[str]) -> str:
    url = match[0]
    closing = _CLOSING.search(url)
    end = closing.start() if closing else len(url)
    if "[" not in url:
        end = len(url[:end].rstrip("])"))
    return redact_url(url[:end]) + url[end:]
