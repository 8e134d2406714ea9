"""Keeps secrets out of everything that is printed: API keys and passwords live in URLs, nkey seeds anywhere."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["learn_secrets", "redact"]

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<user>[^\s/?#\"'<>\x1b]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]*\](?::\d*)?|[^\s/?#\"'<>\\,;)\]}\x1b]*)"
    r"(?P<rest>[/?#][^\s\"'<>\x1b]*)?"
)
_KEY_VALUE: Final = re.compile(r"(?i)\b(api[-_]?key|token|password|secret)(=)[^\s&\"'<>\x1b]+")
_SECRET_PART: Final = re.compile(r"[A-Za-z0-9_.~%+-]{12,}")
_NKEY_SEED: Final = re.compile(r"(?<![A-Z0-9])S[A-Z][A-Z2-7]{56}(?![A-Z0-9])")
_known: set[str] = set()


def learn_secrets(url: str) -> None:
    """Remembers the secret parts of ``url``, so that :func:`redact` also removes them outside a URL."""
    match = _URL.search(url)
    if match is None:
        return
    user = (match["user"] or "").removesuffix("@")
    _known.update(part for part in user.split(":")[-1:] if part)
    _known.update(_SECRET_PART.findall(match["rest"] or ""))


def redact(text: str) -> str:
    """Returns ``text`` with each URL cut down to scheme, host and port, and every known secret removed.

    >>> redact("429 from https://rpc.example.com/v2/k3y?api-key=abc")
    '429 from https://rpc.example.com/***'
    """
    text = _KEY_VALUE.sub(r"\1\2***", _URL.sub(_without_secrets, text))
    text = _NKEY_SEED.sub("***", text)
    for secret in _known:
        text = text.replace(secret, "***")
    return text


def _without_secrets(match: re.Match[str]) -> str:
    user = "***@" if match["user"] else ""
    rest = match["rest"] or ""
    tail = rest if rest.strip("/") in ("", ".", ",", ")", "):", ":") else "/***"
    return f"{match['scheme']}://{user}{match['host']}{tail}"
