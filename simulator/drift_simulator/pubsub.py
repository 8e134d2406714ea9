"""Subscriptions: who wants which account, program, slot, log or signature, and how each is told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson

from .blocks import ROOT_DEPTH, confirmation_of
from .encoding import AccountForm, Filter, account_json, parse_filters, parse_form
from .errors import RpcError, invalid_params, method_not_found
from .faults import Fault, FaultKind
from .history import signature_param
from .jsonrpc import Call, answer, read_calls
from .ledger import Account
from .node import Node
from .params import address_param, addresses_in, commitment_in, options_param
from .sockets import Socket
from .transactions import ChainTransaction

__all__ = ["PubSub", "Subscription"]

_ANY: Final = ""


@dataclass
class Subscription:
    """One subscription of one socket.

    Attributes:
        key: The address, program or signature it is about.
        is_deaf: The node has forgotten it, and has not said so.
        commitment: For a signature, how settled its transaction is to be.
        wants_received: For a signature, whether its arrival at the node is told as well.
    """

    number: int
    kind: str
    key: str
    socket: Socket
    form: AccountForm = field(default_factory=lambda: AccountForm("base64"))
    filters: list[Filter] = field(default_factory=list)
    is_deaf: bool = False
    commitment: str = "finalized"
    wants_received: bool = False


_Group = dict[int, Subscription]


class PubSub:
    """All subscriptions of the node.

    Args:
        node: The node whose changes are told.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._next = 1
        self._by_number: dict[int, Subscription] = {}
        self._by_kind: dict[str, dict[str, _Group]] = {
            kind: defaultdict(dict) for kind in ("account", "program", "slot", "logs", "signature")
        }
        node.cluster.ledger.listen(self._on_write)
        node.cluster.transactions.listen(self._on_transaction)
        node.faults.listen(self._on_fault)

    def handle(self, socket: Socket, text: str | bytes) -> None:
        """Answer one frame of a client."""
        try:
            calls, is_batch = read_calls(text)
        except RpcError as error:
            self._count(error.code)
            socket.send(orjson.dumps({"jsonrpc": "2.0", "error": error.body(), "id": None}))
            return
        errors: list[int] = []
        answers = [answer(call, partial(self._dispatch, socket), errors.append) for call in calls]
        for code in errors:
            self._count(code)
        if is_batch and answers:
            answers = [b"[" + b",".join(answers) + b"]"]
        for frame in answers:
            (socket.send if errors else socket.confirm)(frame)

    def forget(self, socket: Socket) -> None:
        """End all subscriptions of a socket."""
        for subscription in [entry for entry in self._by_number.values() if entry.socket is socket]:
            self._end(subscription)

    def publish_account(self, address: str) -> None:
        """Tell the subscribers of an account what it holds now."""
        direct = self._by_kind["account"].get(address)
        programs = self._by_kind["program"]
        if not direct and not programs:
            return
        seen = self._node.notified(address)
        if seen is not None:
            self._tell(address, *seen, direct=direct or {}, programs=programs)

    def publish_slot(self) -> None:
        """Tell the slot's subscribers about the current slot."""
        for signature in list(self._by_kind["signature"]):
            if (landed := self._node.cluster.transactions.find(signature)) is not None:
                self._tell_signature(landed)
        subscribers = self._by_kind["slot"].get(_ANY)
        if not subscribers or self._node.is_stuck:
            return
        slot = self._node.slot
        backwards = self._node.faults.holds(FaultKind.SLOT_BACKWARDS)
        if backwards is not None and backwards.pubkey is None:
            slot -= backwards.slots
        slot += self._node.slots_ahead()
        result = b'{"parent":%d,"root":%d,"slot":%d}' % (slot - 1, slot - ROOT_DEPTH, slot)
        for subscription in list(subscribers.values()):
            self._notify(subscription, b"slotNotification", result)

    def _count(self, code: int) -> None:
        self._node.counters.rpc_errors[code] += 1

    def _dispatch(self, socket: Socket, call: Call) -> int | bool:
        method, params = call.method, call.params or []
        if not isinstance(params, list):
            raise invalid_params("invalid type: map, expected a sequence")
        fault = self._node.faults.take(FaultKind.JSONRPC_ERROR, methods=[method], pubkeys=addresses_in(params))
        if fault is not None:
            raise RpcError(fault.code, fault.message, fault.data)
        kind, _, suffix = method.partition("Unsub") if "Unsub" in method else method.partition("Sub")
        if kind not in self._by_kind or suffix != "scribe":
            raise method_not_found()
        if "Unsub" in method:
            return self._unsubscribe(socket, kind, params)
        self._ration(socket, method)
        return self._subscribe(socket, kind, params)

    def _ration(self, socket: Socket, method: str) -> None:
        """Refuse a subscription, or cut its socket, as a provider's plan does."""
        faults = self._node.faults
        rate = faults.holds(FaultKind.SUBSCRIPTION_RATE, methods=[method])
        if rate is not None and socket.subscribes_too_often(rate.most, rate.seconds):
            faults.take(FaultKind.SUBSCRIPTION_RATE, methods=[method])
            raise RpcError(rate.code, rate.message, rate.data)
        limit = faults.holds(FaultKind.SUBSCRIPTION_LIMIT)
        if limit is not None and sum(entry.socket is socket for entry in self._by_number.values()) >= limit.most:
            faults.take(FaultKind.SUBSCRIPTION_LIMIT)
            if limit.body == "empty":
                socket.abort()
            raise RpcError(limit.code, limit.message, limit.data)

    def _subscribe(self, socket: Socket, kind: str, params: list[Any]) -> int:
        subscription = Subscription(self._next, kind, _ANY, socket)
        if kind == "account":
            options = options_param(params)
            subscription.key, subscription.form = address_param(params), parse_form(options)
        elif kind == "program":
            options = options_param(params)
            subscription.key, subscription.form = address_param(params), parse_form(options)
            subscription.filters = parse_filters(options)
        elif kind == "logs":
            subscription.key = _logs_key(params)
        elif kind == "signature":
            options = options_param(params)
            subscription.key = signature_param(params)
            subscription.commitment = commitment_in(options)
            subscription.wants_received = options.get("enableReceivedNotification") is True
        self._next += 1
        self._by_number[subscription.number] = subscription
        self._by_kind[kind][subscription.key][subscription.number] = subscription
        counters = self._node.counters
        counters.subscriptions_open[f"{kind}Subscribe"] += 1
        counters.subscriptions_total[f"{kind}Subscribe"] += 1
        return subscription.number

    def _unsubscribe(self, socket: Socket, kind: str, params: list[Any]) -> bool:
        subscription = self._by_number.get(params[0]) if params and isinstance(params[0], int) else None
        if subscription is None or subscription.socket is not socket or subscription.kind != kind:
            raise invalid_params("Invalid subscription id.")
        self._end(subscription)
        return True

    def _end(self, subscription: Subscription) -> None:
        if self._by_number.pop(subscription.number, None) is None:
            return
        same = self._by_kind[subscription.kind][subscription.key]
        same.pop(subscription.number, None)
        if not same:
            del self._by_kind[subscription.kind][subscription.key]
        self._node.counters.subscriptions_open[f"{subscription.kind}Subscribe"] -= 1

    def _on_write(self, address: str, _account: Account) -> None:
        self._node.counters.updates += 1
        self.publish_account(address)

    def _tell(self, address: str, slot: int, content: Account, *, direct: _Group, programs: dict[str, _Group]) -> None:
        written: dict[AccountForm, bytes] = {}
        for subscription in list(direct.values()):
            value = _write(content, subscription.form, written)
            result = b'{"context":{"slot":%d},"value":%b}' % (slot, value)
            self._notify(subscription, b"accountNotification", result, address)
        for subscription in list(programs.get(content.owner, {}).values()):
            if all(accepts(content.data) for accepts in subscription.filters):
                value = _write(content, subscription.form, written)
                result = b'{"context":{"slot":%d},"value":{"pubkey":"%b","account":%b}}' % (
                    slot,
                    address.encode(),
                    value,
                )
                self._notify(subscription, b"programNotification", result, address)

    def _on_fault(self, fault: Fault, begins: bool) -> None:
        if fault.kind == FaultKind.DEAF_SUBSCRIPTION and begins:
            for subscription in self._that_tell_of(str(fault.pubkey)):
                subscription.is_deaf = True

    def _that_tell_of(self, address: str) -> list[Subscription]:
        account = self._node.view(address)
        programs = self._by_kind["program"].get(account.owner, {}).values() if account is not None else ()
        covering = [entry for entry in programs if account and all(accepts(account.data) for accepts in entry.filters)]
        return [*self._by_kind["account"].get(address, {}).values(), *covering]

    def _on_transaction(self, transaction: ChainTransaction) -> None:
        context = b'{"context":{"slot":%d},"value":' % transaction.slot
        logs = self._by_kind["logs"]
        if logs:
            value = orjson.dumps({"signature": transaction.signature, "err": None, "logs": list(transaction.logs)})
            for key in (_ANY, *transaction.accounts):
                for subscription in list(logs.get(key, {}).values()):
                    self._notify(subscription, b"logsNotification", context + value + b"}")
        for subscription in list(self._by_kind["signature"].get(transaction.signature, {}).values()):
            if subscription.wants_received:
                self._notify(subscription, b"signatureNotification", context + b'"receivedSignature"}')
        self._tell_signature(transaction)

    def _tell_signature(self, transaction: ChainTransaction) -> None:
        """Tell those who wait for a transaction that is as settled as they want it, which ends their subscription."""
        newest = self._node.slot
        is_final = confirmation_of(transaction.slot, newest)[0] is None
        for subscription in list(self._by_kind["signature"].get(transaction.signature, {}).values()):
            waits_for_root = subscription.commitment == "finalized"
            if transaction.slot > newest or (waits_for_root and not is_final):
                continue
            slot = newest - ROOT_DEPTH if waits_for_root else newest
            result = b'{"context":{"slot":%d},"value":{"err":null}}' % slot
            self._notify(subscription, b"signatureNotification", result)
            self._end(subscription)

    def _notify(self, subscription: Subscription, method: bytes, result: bytes, address: str = "") -> None:
        method_of, faults = f"{subscription.kind}Subscribe", self._node.faults
        if subscription.is_deaf or faults.take(FaultKind.LOST_NOTIFICATION, methods=[method_of], pubkeys=[address]):
            return
        frame = b'{"jsonrpc":"2.0","method":"%b","params":{"result":%b,"subscription":%d}}' % (
            method,
            result,
            subscription.number,
        )
        self._node.counters.notifications += 1
        subscription.socket.send(frame, method_of, address)


def _write(account: Account, form: AccountForm, written: dict[AccountForm, bytes]) -> bytes:
    """Encode an account once per form, however many subscribers it has."""
    if form not in written:
        try:
            written[form] = account_json(account.data, account.owner, account.lamports, form)
        except RpcError:
            # Base58 has a limit; a notification cannot be refused, so a node falls back to base64.
            fallback = AccountForm("base64", form.data_slice)
            written[form] = account_json(account.data, account.owner, account.lamports, fallback)
    return written[form]


def _logs_key(params: list[Any]) -> str:
    """Return the mentioned address, or the key for all transactions."""
    wanted = params[0] if params else None
    if isinstance(wanted, str) and wanted in {"all", "allWithVotes"}:
        return _ANY
    mentions = wanted.get("mentions") if isinstance(wanted, dict) else None
    if not isinstance(mentions, list):
        raise invalid_params("expected `all`, `allWithVotes` or `mentions`")
    if len(mentions) != 1:
        raise invalid_params("Invalid Request: Only 1 address supported")
    return address_param(mentions)
