"""Reading the positional parameters of a call."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from .errors import invalid_params

__all__ = ["Params", "address_param", "addresses_in", "options_param"]

Params = list[Any]


def address_param(params: Params, position: int = 0) -> str:
    """Return a public key parameter.

    Raises:
        RpcError: It is absent or no public key.
    """
    if len(params) <= position:
        raise invalid_params("`params` should have at least 1 argument(s)")
    value = params[position]
    try:
        return str(Pubkey.from_string(value))
    except (TypeError, ValueError) as error:
        raise invalid_params("WrongSize" if isinstance(value, str) else "invalid type: expected a string") from error


def options_param(params: Params, position: int = 1) -> dict[str, Any]:
    """Return the options object of a request; empty when there is none.

    Raises:
        RpcError: It is no object.
    """
    options = params[position] if len(params) > position else None
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise invalid_params("invalid type: expected a configuration object")
    return options


def addresses_in(params: Any) -> list[str]:
    """Return the accounts that a call's first parameter names, for faults that are limited to one."""
    first = params[0] if isinstance(params, list) and params else None
    return [entry for entry in (first if isinstance(first, list) else [first]) if isinstance(entry, str)]
