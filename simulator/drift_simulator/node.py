"""What a client of the node sees of the cluster: accounts and slots, bent by the faults in force."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from .counters import Counters
from .faults import ACCOUNT_FAULTS, Fault, FaultBook, FaultKind
from .ledger import Account
from .programs import PROGRAMS, program_at
from .world import World

__all__ = ["Node"]

_OTHER_DISCRIMINATOR: Final = hashlib.sha256(b"account:SomethingElse").digest()[:8]


class Node:
    """The cluster through the eyes of RPC and pubsub."""

    def __init__(self, cluster: World, faults: FaultBook, counters: Counters) -> None:
        self.cluster = cluster
        self.faults = faults
        self.counters = counters
        self._stuck_at: int | None = None
        self._past: dict[str, Account] = {}
        faults.listen(self._on_fault)

    @property
    def slot(self) -> int:
        """The slot the node says it is at."""
        if self.faults.holds(FaultKind.SLOT_STUCK) and self._stuck_at is not None:
            return self._stuck_at
        return self.cluster.slot

    @property
    def is_stuck(self) -> bool:
        """Whether the node lags: data goes on, its slot does not."""
        return self.faults.holds(FaultKind.SLOT_STUCK) is not None

    def view(self, address: str) -> Account | None:
        """Return an account as this node answers it, or None."""
        account = self.cluster.ledger.get(address) or self.cluster.sysvar(address)
        if account is None or not len(self.faults):
            return account
        return self._bend(address, account)

    def owned_by(self, program: str) -> Iterator[tuple[str, Account]]:
        """Iterate over a program's accounts as this node answers them."""
        for address, _ in list(self.cluster.ledger.items()):
            account = self.view(address)
            if account is not None and account.owner == program:
                yield address, account

    def notified(self, address: str) -> tuple[int, Account] | None:
        """Return slot and content for a notification about an account; None: nothing is to be sent."""
        backwards = self.faults.take(FaultKind.SLOT_BACKWARDS, pubkeys=[address])
        if backwards is not None and address in self._past:
            return self.slot - backwards.slots, self._past[address]
        account = self.view(address)
        return None if account is None else (self.slot + self.slots_ahead(address), account)

    def slots_ahead(self, address: str | None = None) -> int:
        """How far the slot of a notification is to lie in the future: of the heartbeat, or of this account."""
        fault = self.faults.holds(FaultKind.SLOT_FROM_THE_FUTURE, pubkeys=[] if address is None else [address])
        return 0 if fault is None or fault.pubkey != address else fault.slots

    def _bend(self, address: str, account: Account) -> Account | None:
        for kind in ACCOUNT_FAULTS:
            fault = self.faults.holds(kind, pubkeys=[address])
            if fault is None:
                continue
            if kind == FaultKind.MISSING_ACCOUNT:
                return None
            account = self._distort(address, account, fault)
        return account

    def _distort(self, address: str, account: Account, fault: Fault) -> Account:
        data, owner = bytes(account.data), account.owner
        if fault.kind == FaultKind.GARBAGE_ACCOUNT:
            data = hashlib.shake_128(address.encode() + data).digest(len(data))
        elif fault.kind == FaultKind.SHORT_ACCOUNT:
            data = data[: fault.size if fault.size is not None else len(data) // 2]
        elif fault.kind == FaultKind.WRONG_LAYOUT:
            owner = owner if fault.part == "discriminator" else _other_program(owner)
            data = data if fault.part == "owner" else _OTHER_DISCRIMINATOR + data[8:]
        else:
            data = _with_byte(data, owner, fault.field, fault.value)
        return Account(owner, data, account.lamports, account.slot)

    def _on_fault(self, fault: Fault, begins: bool) -> None:
        if fault.kind == FaultKind.SLOT_STUCK:
            self._stuck_at = self.cluster.slot if begins else None
        if fault.kind == FaultKind.SLOT_BACKWARDS:
            self._past = {
                address: Account(account.owner, bytes(account.data), account.lamports, account.slot)
                for address, account in self.cluster.ledger.items()
                if begins
            }


def _other_program(owner: str) -> str:
    """Return a program with the same discriminators and other layouts."""
    return next(str(program.program_id) for program in PROGRAMS.values() if str(program.program_id) != owner)


def _with_byte(data: bytes, owner: str, field: str, value: int) -> bytes:
    program = program_at(owner)
    if program is None:
        return data
    for name in program.account_types:
        layout = program.idl.account(name)
        if data[:8] == layout.discriminator and field in layout.paths:
            offset = layout.fields[layout.paths[field]].offset
            return data[:offset] + bytes([value]) + data[offset + 1 :]
    return data
