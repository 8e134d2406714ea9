"""The gate: nothing goes through before it opens, then the newest of everything does, and memory stays bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drift_publisher.gate import Gate
from drift_publisher.source import AccountUpdate


def told(address: str, slot: int, data: bytes = b"", *, was_read: bool = False) -> AccountUpdate:
    return AccountUpdate(address, "Owner", slot, data, 0, was_read)


def test_nothing_goes_through_before_it_opens() -> None:
    delivered: list[AccountUpdate] = []
    gate = Gate(delivered.append)
    gate.tell(told("A", 1))
    assert delivered == []
    gate.open([])
    gate.tell(told("A", 2))
    assert delivered == [told("A", 1), told("A", 2)]


def test_a_notification_of_the_slot_of_a_read_is_the_newer_one() -> None:
    delivered: list[AccountUpdate] = []
    gate = Gate(delivered.append)
    gate.tell(told("A", 5, b"notified"))
    gate.tell(told("B", 4, b"notified"))
    gate.open([told("A", 5, b"read", was_read=True), told("B", 5, b"read", was_read=True), told("C", 5)])
    assert {update.address: update.data for update in delivered} == {"A": b"notified", "B": b"read", "C": b""}
    assert len(delivered) == 3


def test_memory_is_bounded_whatever_a_node_tells() -> None:
    delivered: list[AccountUpdate] = []
    gate = Gate(delivered.append, most_accounts=3)
    for number in range(1000):
        gate.tell(told(str(number % 10), number))
    gate.open([])
    assert len(delivered) == 3
    assert gate.dropped == 700


_TOLD = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 20)), max_size=30)


@given(_TOLD, _TOLD)
def test_of_every_account_the_newest_comes_through_once(
    notified: list[tuple[str, int]], read: list[tuple[str, int]]
) -> None:
    delivered: list[AccountUpdate] = []
    gate, reads = Gate(delivered.append), [told(*one, was_read=True) for one in dict(read).items()]
    for one in notified:
        gate.tell(told(*one))
    gate.open(reads)
    newest: dict[str, int] = {}
    for address, slot in [*notified, *((update.address, update.slot) for update in reads)]:
        newest[address] = max(slot, newest.get(address, 0))
    assert sorted((update.address, update.slot) for update in delivered) == sorted(newest.items())
