"""The JSON-RPC methods of the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from .addresses import GENESIS_HASH
from .encoding import AccountForm, account_json, parse_filters, parse_form
from .errors import RpcError, invalid_params, invalid_request, method_not_found
from .faults import FaultKind
from .ledger import Account
from .node import Node
from .params import Params, address_param, addresses_in, options_param
from .transactions import blockhash_of, transaction_json

__all__ = ["Rpc"]

_MAX_ACCOUNTS: Final = 100
_MAX_SIGNATURES: Final = 1_000
_BLOCKHASH_SLOTS: Final = 150
_VERSION: Final = {"feature-set": 3073396398, "solana-core": "2.2.16"}
_SKIPPED_BLOCKS: Final = 22_000_000


class Rpc:
    """Answers JSON-RPC calls about a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._methods: dict[str, Callable[[Params], Any]] = {
            "getAccountInfo": self._get_account_info,
            "getBalance": self._get_balance,
            "getBlockHeight": lambda params: self._at(options_param(params, 0)) - _SKIPPED_BLOCKS,
            "getGenesisHash": lambda _: GENESIS_HASH,
            "getHealth": self._get_health,
            "getLatestBlockhash": self._get_latest_blockhash,
            "getMultipleAccounts": self._get_multiple_accounts,
            "getProgramAccounts": self._get_program_accounts,
            "getSignaturesForAddress": self._get_signatures,
            "getSlot": lambda params: self._at(options_param(params, 0)),
            "getTransaction": self._get_transaction,
            "getVersion": lambda _: _VERSION,
        }

    def call(self, request: Any) -> bytes:
        """Answer one request object, errors included.

        Args:
            request: The decoded request, of whatever JSON type.
        """
        request_id = request.get("id") if isinstance(request, dict) else None
        try:
            result = self._dispatch(request)
            body = b'"result":' + (result if isinstance(result, bytes) else orjson.dumps(result))
        except RpcError as error:
            self._node.counters.rpc_errors[error.code] += 1
            body = b'"error":' + orjson.dumps(error.body())
        return b'{"jsonrpc":"2.0",%b,"id":%b}' % (body, orjson.dumps(request_id))

    def _dispatch(self, request: Any) -> Any:
        counters = self._node.counters
        counters.requests += 1
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise invalid_request()
        method, params = request["method"], request.get("params") or []
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

    def _get_latest_blockhash(self, params: Params) -> bytes:
        slot = self._at(options_param(params, 0))
        valid_until = slot - _SKIPPED_BLOCKS + _BLOCKHASH_SLOTS
        value = {"blockhash": blockhash_of(slot), "lastValidBlockHeight": valid_until}
        return self._with_context(slot, orjson.dumps(value))

    def _get_signatures(self, params: Params) -> list[dict[str, Any]]:
        address, options = address_param(params), options_param(params)
        limit = options.get("limit")
        limit = _MAX_SIGNATURES if limit is None else limit
        if not isinstance(limit, int) or not 1 <= limit <= _MAX_SIGNATURES:
            raise RpcError(-32602, "Invalid limit; max 1000")
        found = self._node.cluster.transactions.mentioning(
            address, limit=limit, before=options.get("before"), until=options.get("until")
        )
        return [
            {
                "blockTime": entry.block_time,
                "confirmationStatus": "finalized",
                "err": None,
                "memo": None,
                "signature": entry.signature,
                "slot": entry.slot,
            }
            for entry in found
        ]

    def _get_transaction(self, params: Params) -> dict[str, Any] | None:
        signature = params[0] if params else None
        if not isinstance(signature, str):
            raise invalid_params("invalid type: expected a signature")
        options = params[1] if len(params) > 1 else None
        encoding = options if isinstance(options, str) else options_param(params).get("encoding") or "json"
        entry = self._node.cluster.transactions.find(signature)
        return None if entry is None else transaction_json(entry, encoding)
