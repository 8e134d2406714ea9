"""The faults that the recovery bench injects, each in the setting in which a publisher meets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from drift_simulator import Fault

__all__ = ["CASES", "CUT", "Case"]

CUT: Final = Fault(kind="close_after_messages", messages=1, count=1)
"""Ends the socket that is open, so that what only a new one meets is met."""

_MARKET: Final = "SOL-PERP"


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        kind: The fault.
        lasts_s: How long.
        cut: The open socket is lost at the same moment.
        noticed_by: The publisher's count that tells of it; ``None`` where nothing needs to be noticed.
        noticed_at: By how much that count is higher then.
        about: The account that an account fault bends.
        at_start: The publisher starts under it.
        options: The fault's other settings.
    """

    kind: str
    lasts_s: float
    cut: bool = False
    noticed_by: Literal["reconnects", "failures", "refused", "renewed"] | None = "reconnects"
    noticed_at: int = 1
    about: Literal["market", "oracle"] | None = None
    at_start: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.kind}{f' ({self.about})' if self.about else ''}{' + cut' if self.cut else ''}"

    @property
    def market(self) -> str:
        """The market that the fault bends, or nothing."""
        return _MARKET if self.about else ""


# Where a program subscription filters the bent account out, only a read after a cut brings it.
CASES: Final = (
    Case("http_429", 60, cut=True, noticed_by="failures"),
    Case("close_after_accept", 30, cut=True, noticed_at=2),
    Case("ws_refused", 20, cut=True, noticed_at=2),
    Case("ws_429", 20, cut=True, noticed_at=2),
    Case("silent_stall", 12),
    Case("half_open", 12),
    Case("slot_stuck", 12),
    Case("slot_backwards", 12),
    Case("slot_from_the_future", 12, options={"slots": 10**9}),
    Case("slot_from_the_future", 8, about="oracle", noticed_by="refused", options={"slots": 10**9}),
    Case("deaf_subscription", 60, about="oracle", noticed_by="renewed"),
    Case("close_after_messages", 15),
    Case("garbage_ws", 12),
    Case("http_html_429", 15, cut=True, noticed_by="failures"),
    Case("http_5xx", 15, cut=True, noticed_by="failures"),
    Case("jsonrpc_error", 12, cut=True, noticed_at=2),
    Case("delay", 12, noticed_by=None),
    Case("reorder_confirmations", 8, cut=True, noticed_by=None),
    Case("refuse_get_program_accounts", 8, at_start=True, noticed_by="failures"),
    Case("missing_account", 8, cut=True, about="market", noticed_by="refused"),
    Case("missing_account", 8, cut=True, about="oracle", noticed_by="refused"),
    Case("garbage_account", 8, cut=True, about="market", noticed_by="refused"),
    Case("garbage_account", 8, about="oracle", noticed_by="refused"),
    Case("short_account", 8, about="market", noticed_by="refused"),
    Case("short_account", 8, about="oracle", noticed_by="refused"),
    Case("wrong_layout", 8, cut=True, about="market", noticed_by="refused"),
    Case("wrong_layout", 8, about="oracle", noticed_by="refused"),
    Case("unknown_enum", 8, about="market", noticed_by=None),
)
