"""JSON-RPC errors in the words and codes of a Solana node."""

from __future__ import annotations

from typing import Any

__all__ = [
    "RpcError",
    "invalid_param",
    "invalid_params",
    "invalid_request",
    "method_not_found",
    "parse_error",
    "unsupported_version",
]


class RpcError(Exception):
    """A JSON-RPC error answer.

    Args:
        code: Error code.
        message: Human-readable message.
        data: Optional structured detail.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def body(self) -> dict[str, Any]:
        """Return the ``error`` object."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def parse_error() -> RpcError:
    """The body is not JSON."""
    return RpcError(-32700, "Parse error")


def invalid_request(message: str = "Invalid request") -> RpcError:
    """The body is JSON but no request, or asks for something a node refuses."""
    return RpcError(-32600, message)


def unsupported_version() -> RpcError:
    """The request names no version of JSON-RPC."""
    return RpcError(-32600, "Unsupported JSON-RPC protocol version")


def method_not_found() -> RpcError:
    """No such method."""
    return RpcError(-32601, "Method not found")


def invalid_params(detail: str) -> RpcError:
    """The parameters do not fit the method."""
    return RpcError(-32602, f"Invalid params: {detail}")


def invalid_param(detail: str) -> RpcError:
    """A parameter has the right type and no meaning."""
    return RpcError(-32602, f"Invalid param: {detail}")
