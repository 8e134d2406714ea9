"""Faults: what can be made to go wrong, for whom and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["ACCOUNT_FAULTS", "Fault", "FaultBook", "FaultKind"]


class FaultKind(StrEnum):
    """Every fault the node knows; the value is its name in the control API.

    ``deaf_subscription`` forgets every subscription that tells of an account, without a word.
    ``mute_socket`` with a ``count`` silences so many sockets for good, and leaves the others.
    """

    HTTP_429 = "http_429"
    HTTP_HTML_429 = "http_html_429"
    HTTP_5XX = "http_5xx"
    WS_429 = "ws_429"
    WS_REFUSED = "ws_refused"
    SILENT_STALL = "silent_stall"
    CLOSE_AFTER_ACCEPT = "close_after_accept"
    CLOSE_AFTER_MESSAGES = "close_after_messages"
    SLOT_BACKWARDS = "slot_backwards"
    SLOT_FROM_THE_FUTURE = "slot_from_the_future"
    DEAF_SUBSCRIPTION = "deaf_subscription"
    LOST_NOTIFICATION = "lost_notification"
    SLOT_STUCK = "slot_stuck"
    MISSING_ACCOUNT = "missing_account"
    GARBAGE_ACCOUNT = "garbage_account"
    GARBAGE_WS = "garbage_ws"
    WRONG_LAYOUT = "wrong_layout"
    SHORT_ACCOUNT = "short_account"
    UNKNOWN_ENUM = "unknown_enum"
    DELAY = "delay"
    HALF_OPEN = "half_open"
    REORDER_CONFIRMATIONS = "reorder_confirmations"
    JSONRPC_ERROR = "jsonrpc_error"
    REFUSE_GET_PROGRAM_ACCOUNTS = "refuse_get_program_accounts"
    HTTP_REFUSED = "http_refused"
    ACCOUNTS_LIMIT = "accounts_limit"
    SUBSCRIPTION_LIMIT = "subscription_limit"
    SUBSCRIPTION_RATE = "subscription_rate"
    IDLE_CUT = "idle_cut"
    MUTE_SOCKET = "mute_socket"


ACCOUNT_FAULTS = frozenset(
    {
        FaultKind.MISSING_ACCOUNT,
        FaultKind.GARBAGE_ACCOUNT,
        FaultKind.WRONG_LAYOUT,
        FaultKind.SHORT_ACCOUNT,
        FaultKind.UNKNOWN_ENUM,
    }
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. Only ``kind`` is needed; the rest narrows or tunes it.

    Args:
        kind: What goes wrong.
        duration_s: Ends by itself after so long; None: until cleared.
        count: Ends after so many occurrences; None: no limit.
        method: Only for this JSON-RPC method (for notifications: their subscribe method).
        pubkey: Only for calls and notifications about this account, base58. The account faults need it.
        retry_after_s: ``Retry-After`` of 429 answers; None: no such header.
        status: HTTP status of ``http_5xx``, ``http_refused`` and ``accounts_limit``; with 200, ``accounts_limit`` is a
            JSON-RPC error alone.
        code: Code of ``jsonrpc_error``, and of the error in the body of a refusal.
        message: Message of the same.
        data: Data of the same.
        body: What the body of ``http_refused`` and ``accounts_limit`` is: ``json``, ``html`` or ``empty``.
        most: ``accounts_limit``: addresses that one request may name; ``subscription_limit``: subscriptions that a
            socket may have, the next one is refused, or cuts it where ``body`` is ``empty``; ``subscription_rate``:
            subscriptions in so many ``seconds``.
        seconds: How long ``delay`` holds an answer or notification back; ``idle_cut``: how long a socket lives without
            a frame from its client, pings included.
        messages: ``close_after_messages``: frames until the close; ``reorder_confirmations``: how many
            confirmations are gathered and then answered in reverse.
        slots: How far ``slot_backwards`` goes back.
        field: Dotted field of ``unknown_enum``, as ``status`` or ``amm.oracle_source``.
        value: The byte that ``unknown_enum`` puts there.
        size: Length that ``short_account`` leaves; None: half.
        part: What ``wrong_layout`` replaces: ``owner``, ``discriminator`` or ``both``.
    """

    kind: FaultKind | str
    duration_s: float | None = None
    count: int | None = None
    method: str | None = None
    pubkey: str | None = None
    retry_after_s: int | None = 1
    status: int = 503
    code: int = -32005
    message: str = "Node is unhealthy"
    data: Any = None
    body: str = "json"
    most: int = 5
    seconds: float = 1.0
    messages: int = 3
    slots: int = 100
    field: str = "status"
    value: int = 200
    size: int | None = None
    part: str = "both"

    def __post_init__(self) -> None:
        """Check the fault.

        Raises:
            ValueError: The kind is unknown, or an account fault names no account.
        """
        kind = FaultKind(self.kind)
        object.__setattr__(self, "kind", kind)
        if self.pubkey is not None:
            object.__setattr__(self, "pubkey", str(self.pubkey))
        if kind in ACCOUNT_FAULTS and self.pubkey is None:
            raise ValueError(f"{kind} needs a pubkey")
        if self.part not in {"owner", "discriminator", "both"}:
            raise ValueError("part must be owner, discriminator or both")
        if self.body not in {"json", "html", "empty"}:
            raise ValueError("body must be json, html or empty")


@dataclass
class _Active:
    number: int
    fault: Fault
    deadline: float | None
    remaining: int | None
    hits: int = 0


class FaultBook:
    """The faults in force."""

    def __init__(self) -> None:
        self._active: list[_Active] = []
        self._number = 0
        self._listeners: list[Callable[[Fault, bool], None]] = []

    def __len__(self) -> int:
        return len(self._active)

    def listen(self, listener: Callable[[Fault, bool], None]) -> None:
        """Call ``listener(fault, begins)`` when a fault begins or is cleared (not when it runs out)."""
        self._listeners.append(listener)

    def inject(self, fault: Fault) -> int:
        """Put a fault in force and return its number."""
        self._number += 1
        deadline = None if fault.duration_s is None else time.monotonic() + fault.duration_s
        self._active.append(_Active(self._number, fault, deadline, fault.count))
        for listener in self._listeners:
            listener(fault, True)
        return self._number

    def clear(self, kind: FaultKind | str | None = None) -> int:
        """End all faults, or those of one kind; return how many."""
        wanted = None if kind is None else FaultKind(kind)
        ended = [entry for entry in self._active if wanted is None or entry.fault.kind == wanted]
        self._active = [entry for entry in self._active if entry not in ended]
        for entry in ended:
            for listener in self._listeners:
                listener(entry.fault, False)
        return len(ended)

    def listing(self) -> list[dict[str, Any]]:
        """Return the faults in force as JSON-ready objects, with ``id`` and ``hits``."""
        self._expire()
        return [{"id": entry.number, "hits": entry.hits, **asdict(entry.fault)} for entry in self._active]

    def take(self, kind: FaultKind, *, methods: Collection[str] = (), pubkeys: Collection[str] = ()) -> Fault | None:
        """Return a fault of a kind that applies now, and count the occurrence.

        Args:
            kind: What may go wrong.
            methods: The methods this is about; a fault limited to a method applies when it is among them.
            pubkeys: The accounts this is about, likewise.
        """
        entry = self._find(kind, methods, pubkeys)
        if entry is None:
            return None
        entry.hits += 1
        if entry.remaining is not None:
            entry.remaining -= 1
            if entry.remaining <= 0:
                self._active.remove(entry)
        return entry.fault

    def holds(self, kind: FaultKind, *, methods: Collection[str] = (), pubkeys: Collection[str] = ()) -> Fault | None:
        """Like :meth:`take`, without counting."""
        entry = self._find(kind, methods, pubkeys)
        return entry.fault if entry is not None else None

    def _find(self, kind: FaultKind, methods: Collection[str], pubkeys: Collection[str]) -> _Active | None:
        if not self._active:
            return None
        self._expire()
        for entry in self._active:
            fault = entry.fault
            if fault.kind != kind:
                continue
            if fault.method is not None and fault.method not in methods:
                continue
            if fault.pubkey is not None and fault.pubkey not in pubkeys:
                continue
            return entry
        return None

    def _expire(self) -> None:
        now = time.monotonic()
        self._active = [entry for entry in self._active if entry.deadline is None or now < entry.deadline]
