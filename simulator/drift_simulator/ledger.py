"""The account store: bytes and owner by address, with listeners for every write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from solders.pubkey import Pubkey

__all__ = ["Account", "Ledger", "Listener", "rent"]

Listener = Callable[[str, "Account"], None]


@dataclass(slots=True)
class Account:
    """One account as the node stores it.

    Args:
        owner: The owning program, base58.
        data: The account's bytes. The cluster patches them in place and reports the write to the ledger.
        lamports: Balance.
        slot: Slot of the last write.
        pinned: True after a test replaced the content; the cluster's own writes then no longer reach it.
        original: For a pinned account, what the cluster holds there.
    """

    owner: str
    data: bytes | bytearray
    lamports: int
    slot: int
    pinned: bool = False
    original: Account | None = None


def rent(size: int) -> int:
    """Return the lamports that keep an account of so many bytes alive."""
    return (size + 128) * 6_960


class Ledger:
    """All accounts of the cluster, by base58 address, in insertion order."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._listeners: list[Listener] = []

    def __contains__(self, address: str) -> bool:
        return address in self._accounts

    def __len__(self) -> int:
        return len(self._accounts)

    def get(self, address: str) -> Account | None:
        """Return an account, or None."""
        return self._accounts.get(address)

    def owned_by(self, owner: str) -> Iterator[tuple[str, Account]]:
        """Iterate over the accounts of a program."""
        return ((address, account) for address, account in self._accounts.items() if account.owner == owner)

    def items(self) -> Iterator[tuple[str, Account]]:
        """Iterate over all accounts."""
        return iter(self._accounts.items())

    def listen(self, listener: Listener) -> None:
        """Call ``listener(address, account)`` after every write."""
        self._listeners.append(listener)

    def put(self, pubkey: Pubkey, data: bytes | bytearray, owner: Pubkey, slot: int) -> None:
        """Create an account, or give an existing one a new buffer; a pinned account keeps its content."""
        address = str(pubkey)
        current = self._accounts.get(address)
        if current is not None and current.pinned:
            current.original = Account(str(owner), data, rent(len(data)), slot)
            return
        self._accounts[address] = Account(str(owner), data, rent(len(data)), slot)
        self.touch(address, slot)

    def touch(self, address: str, slot: int) -> bool:
        """Report that an account's buffer was patched. Returns False for a pinned account."""
        account = self._accounts[address]
        if account.pinned:
            return False
        account.slot = slot
        for listener in self._listeners:
            listener(address, account)
        return True

    def close(self, pubkey: Pubkey, slot: int) -> None:
        """Take an account's last lamport, as when it is closed: listeners see it empty, then it is gone."""
        address = str(pubkey)
        current = self._accounts.get(address)
        if current is not None and current.pinned:
            current.original = None
            return
        self._accounts[address] = Account(str(Pubkey.default()), b"", 0, slot)
        self.touch(address, slot)
        del self._accounts[address]

    def pin(self, pubkey: Pubkey, data: bytes, owner: Pubkey | None, slot: int) -> None:
        """Replace an account's content for good; see :attr:`Account.pinned`."""
        address = str(pubkey)
        current = self._accounts.get(address)
        kept = current.owner if current is not None else str(Pubkey.default())
        original = current.original if current is not None and current.pinned else current
        program = str(owner) if owner is not None else kept
        account = Account(program, data, rent(len(data)), slot, pinned=True, original=original)
        self._accounts[address] = account
        for listener in self._listeners:
            listener(address, account)

    def unpin(self, pubkey: Pubkey, slot: int) -> None:
        """Undo :meth:`pin`: the account is again what the cluster holds, or gone when the cluster had none."""
        address = str(pubkey)
        current = self._accounts.get(address)
        if current is None or not current.pinned:
            return
        if current.original is None:
            del self._accounts[address]
            return
        self._accounts[address] = current.original
        self.touch(address, slot)
