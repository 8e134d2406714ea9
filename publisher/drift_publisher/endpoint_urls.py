"""Where the endpoints are, as the settings say it: ``http-url`` or ``http-url|ws-url``, several separated by commas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from drift_publisher.redact import redact_url

__all__ = ["EndpointUrls", "check_endpoint_urls", "check_url", "endpoint_urls"]

_HTTP: Final = ("http", "https")
_WEBSOCKET: Final = ("ws", "wss")


class EndpointUrls(NamedTuple):
    """One endpoint. The URLs may hold keys.

    Attributes:
        http, ws: Its URLs; without one of its own, the WebSocket has the address of the HTTP side.
        setting: Names the setting, and the entry in it, that chooses the HTTP URL.
        ws_setting: Names what chooses the WebSocket URL, or would.
    """

    http: str
    ws: str
    setting: str
    ws_setting: str


def endpoint_urls(settings: Sequence[tuple[str, str]], ws_url: str | None) -> list[EndpointUrls]:
    """The endpoints in order of preference; one that is named twice counts once, with the first WebSocket URL it has.

    Args:
        settings: Names and values of the settings that name endpoints.
        ws_url: The setting for the WebSocket of the first.

    Raises:
        ValueError: the first endpoint has two WebSocket URLs that differ; the text shows neither.
    """
    found: dict[str, EndpointUrls] = {}
    for variable, value in settings:
        for where, http, ws in _entries(variable, value):
            known = found.get(http)
            form = f"http-url|ws-url in {where}"
            if known is None:
                is_first = not found
                chosen_by = form if ws or not is_first else f"DRIFT_BUS_WS_URL, or {form}"
                found[http] = EndpointUrls(http, ws or "", where, chosen_by)
            elif ws and not known.ws:
                found[http] = known._replace(ws=ws, ws_setting=form)
    endpoints = list(found.values())
    if ws_url and endpoints:
        first = endpoints[0]
        if first.ws not in ("", ws_url):
            raise ValueError(
                f"the first endpoint has two WebSocket URLs: keep ws_url (DRIFT_BUS_WS_URL) or {first.ws_setting}"
            )
        endpoints[0] = first._replace(ws=ws_url, ws_setting="DRIFT_BUS_WS_URL")
    return [one if one.ws else one._replace(ws=_same_address(one.http)) for one in endpoints]


def check_endpoint_urls(value: str) -> None:
    """Checks the value of a setting that names endpoints.

    Raises:
        ValueError: an entry is wrong; the text says which one and never shows what may be secret in it.
    """
    for where, http, ws in _entries("", value):
        try:
            check_url(http, _HTTP)
            if ws is not None:
                if "|" in ws:
                    raise ValueError("more than two URLs: write http-url|ws-url, and a comma before the next endpoint")
                check_url(ws, _WEBSOCKET)
        except ValueError as wrong:
            raise ValueError(f"{where.removeprefix(', ')}: {wrong}" if where else str(wrong)) from None


def check_url(url: str, schemes: tuple[str, ...]) -> None:
    """Checks one URL.

    Raises:
        ValueError: it cannot be used; the text does not show what may be secret in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL: its port is no number between 1 and 65535") from None
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise ValueError(f"not a usable URL: it should begin with {wanted} and name a host, not {redact_url(url)!r}")


def _entries(variable: str, value: str) -> Iterator[tuple[str, str, str | None]]:
    """Where each entry stands, its HTTP URL, and its WebSocket URL if it has one."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    for number, entry in enumerate(entries, 1):
        http, bar, ws = (part.strip() for part in entry.partition("|"))
        yield f"{variable}, entry {number}" if len(entries) > 1 else variable, http, ws if bar else None


def _same_address(http_url: str) -> str:
    parts = urlsplit(http_url)
    return urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))
