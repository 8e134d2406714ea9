"""The JSON-RPC methods of the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .addresses import GENESIS_HASH
from .encoding import AccountForm, account_json, parse_filters, parse_form
from .errors import RpcError, invalid_params, method_not_found
from .faults import FaultKind
from .history import HistoryMethods
from .jsonrpc import Call, Refusal, answer
from .ledger import Account
from .node import Node
from .params import Params, address_param, addresses_in, options_param

__all__ = ["Rpc"]

_MAX_ACCOUNTS: Final = 100
_VERSION: Final = {"feature-set": 3073396398, "solana-core": "2.2.16"}


class Rpc:
    """Answers JSON-RPC calls about a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._methods: dict[str, Callable[[Params], Any]] = {
            "getAccountInfo": self._get_account_info,
            "getBalance": self._get_balance,
            "getGenesisHash": lambda _: GENESIS_HASH,
            "getHealth": self._get_health,
            "getMultipleAccounts": self._get_multiple_accounts,
            "getProgramAccounts": self._get_program_accounts,
            "getSlot": lambda params: self._at(options_param(params, 0)),
            "getVersion": lambda _: _VERSION,
            **HistoryMethods(node, at=self._at, in_context=self._with_context).methods(),
        }

    def call(self, call: Call | Refusal) -> bytes:
        """Answer one call, errors included."""
        self._node.counters.requests += 1
        return answer(call, self._dispatch, self._count)

    def _count(self, code: int) -> None:
        self._node.counters.rpc_errors[code] += 1

    def _dispatch(self, call: Call) -> Any:
        counters = self._node.counters
        method, params = call.method, call.params or []
        counters.requests_by_method[method] += 1
        fault = self._node.faults.take(FaultKind.JSONRPC_ERROR, methods=[method], pubkeys=addresses_in(params))
        if fault is not None:
            raise RpcError(fault.code, fault.message, fault.data)
        handler = self._methods.get(method)
        if handler is None:
            raise method_not_found()
        if not isinstance(params, list):
            raise invalid_params("invalid type: map, expected a sequence")
        return handler(params)

    def _at(self, options: dict[str, Any]) -> int:
        """Return the slot, after a check of ``minContextSlot``."""
        slot, wanted = self._node.slot, options.get("minContextSlot")
        if isinstance(wanted, int) and wanted > slot:
            raise RpcError(-32016, "Minimum context slot has not been reached", {"contextSlot": slot})
        return slot

    def _with_context(self, slot: int, value: bytes) -> bytes:
        return b'{"context":{"apiVersion":"2.2.16","slot":%d},"value":%b}' % (slot, value)

    def _account(self, account: Account | None, form: AccountForm) -> bytes:
        return b"null" if account is None else account_json(account.data, account.owner, account.lamports, form)

    def _get_account_info(self, params: Params) -> bytes:
        address, options = address_param(params), options_param(params)
        slot = self._at(options)
        return self._with_context(slot, self._account(self._node.view(address), parse_form(options)))

    def _get_multiple_accounts(self, params: Params) -> bytes:
        addresses, options = (params[0] if params else None), options_param(params)
        if not isinstance(addresses, list):
            raise invalid_params("invalid type: expected a sequence of public keys")
        if len(addresses) > _MAX_ACCOUNTS:
            raise RpcError(-32602, f"Too many inputs provided; max {_MAX_ACCOUNTS}")
        limit = self._node.faults.holds(FaultKind.ACCOUNTS_LIMIT)
        if limit is not None and len(addresses) > limit.most:
            self._node.faults.take(FaultKind.ACCOUNTS_LIMIT)
            raise RpcError(limit.code, limit.message, limit.data)
        slot, form = self._at(options), parse_form(options, default="base64")
        accounts = [self._account(self._node.view(address_param([entry])), form) for entry in addresses]
        return self._with_context(slot, b"[" + b",".join(accounts) + b"]")

    def _get_program_accounts(self, params: Params) -> bytes:
        program, options = address_param(params), options_param(params)
        if self._node.faults.take(FaultKind.REFUSE_GET_PROGRAM_ACCOUNTS):
            raise RpcError(-32010, f"{program} excluded from account secondary indexes; this RPC method unavailable")
        slot, form, filters = self._at(options), parse_form(options), parse_filters(options)
        found = [
            b'{"account":%b,"pubkey":"%b"}' % (self._account(account, form), address.encode())
            for address, account in self._node.owned_by(program)
            if all(accepts(account.data) for accepts in filters)
        ]
        listing = b"[" + b",".join(found) + b"]"
        return self._with_context(slot, listing) if options.get("withContext") else listing

    def _get_balance(self, params: Params) -> bytes:
        account = self._node.view(address_param(params))
        slot = self._at(options_param(params))
        return self._with_context(slot, b"%d" % (account.lamports if account else 0))

    def _get_health(self, _params: Params) -> str:
        if self._node.is_stuck:
            behind = self._node.cluster.slot - self._node.slot
            raise RpcError(-32005, f"Node is behind by {behind} slots", {"numSlotsBehind": behind})
        return "ok"
