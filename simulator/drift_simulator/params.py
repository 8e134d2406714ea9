"""Reading the positional parameters of a call."""

from __future__ import annotations

from typing import Any, Final

from solders.pubkey import Pubkey

from .errors import invalid_param, invalid_params

__all__ = ["Params", "address_param", "addresses_in", "commitment_in", "number_param", "options_param"]

Params = list[Any]
_COMMITMENTS: Final = ("processed", "confirmed", "finalized")


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
        wrong = (
            invalid_param("WrongSize") if isinstance(value, str) else invalid_params("invalid type, expected a string")
        )
        raise wrong from error


def number_param(params: Params, position: int = 0) -> int:
    """Return a whole number from 0 on.

    Raises:
        RpcError: It is absent or none.
    """
    value = params[position] if len(params) > position else None
    if type(value) is not int or not 0 <= value < 2**64:
        raise invalid_params("invalid type, expected u64")
    return value


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


def commitment_in(options: dict[str, Any]) -> str:
    """Return the commitment that a call asks for, ``finalized`` by default.

    Raises:
        RpcError: There is no such commitment.
    """
    commitment = options.get("commitment") or _COMMITMENTS[-1]
    if commitment not in _COMMITMENTS:
        expected = ", ".join(f"`{name}`" for name in _COMMITMENTS)
        raise invalid_params(f"unknown variant `{commitment}`, expected one of {expected}")
    return str(commitment)


def addresses_in(params: Any) -> list[str]:
    """Return the accounts that a call's first parameter names, for faults that are limited to one."""
    first = params[0] if isinstance(params, list) and params else None
    return [entry for entry in (first if isinstance(first, list) else [first]) if isinstance(entry, str)]
