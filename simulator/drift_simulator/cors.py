"""What a browser needs to hear before it lets a page talk to the node, as Agave's HTTP server says it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from .control import CONTROL_PATHS

__all__ = ["ALLOWED", "allow_origin", "refused_origin"]

ALLOWED: Final = "OPTIONS, POST"
_MAX_AGE_S: Final = 86_400


def refused_origin(request: web.Request) -> web.Response | None:
    """Return the refusal of a page without an origin (a file, a sandboxed frame); ``None`` for all others."""
    if request.headers.get("Origin") != "null":
        return None
    said = "Origin of the request is not whitelisted. CORS headers would not be sent and any side-effects were "
    return web.Response(status=403, text=f"{said}cancelled as well.\n")


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Allow whatever page asks, and the headers that it wants to send; to be called before a response is sent."""
    origin = request.headers.get("Origin")
    if origin in {None, "null"} or response.status == 101 or request.path in CONTROL_PATHS:
        return
    if urlsplit(origin).netloc == request.host:
        return  # a page of the same host asks nobody
    headers = response.headers
    headers["Vary"] = "origin"
    headers["Access-Control-Allow-Methods"] = ALLOWED
    headers["Access-Control-Allow-Origin"] = str(origin)
    headers["Access-Control-Max-Age"] = str(_MAX_AGE_S)
    if wanted := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = ", ".join(name.strip() for name in wanted.split(","))
