"""What goes wrong while connecting, in words that name the remedy."""

from __future__ import annotations

import ssl
from typing import Final

__all__ = ["AccessError", "explain"]


class AccessError(ValueError):
    """Credentials or certificates that cannot be used; the text names the setting and never shows a secret."""


_LOGIN: Final = (
    "the server refuses this login: name credentials that it knows with DRIFT_BUS_NATS_NKEY_SEED_FILE or "
    "DRIFT_BUS_NATS_CREDS"
)
_CLOSED: Final = (
    "the server closes the connection while we log in, which may mean that it refuses this login: name credentials "
    "that it knows with DRIFT_BUS_NATS_NKEY_SEED_FILE or DRIFT_BUS_NATS_CREDS"
)
_UNTRUSTED: Final = (
    "the server's certificate is not signed by a CA that we trust: name its CA's file with DRIFT_BUS_NATS_TLS_CA"
)
_OTHER_HOST: Final = "the server's certificate is not for this host: connect by a name that is in it"
_NO_TLS: Final = (
    "the server answers without TLS, or not with TLS from the first byte: check DRIFT_BUS_NATS_TLS_FIRST, "
    "the port, and who is listening there"
)
_NO_CLIENT_CERTIFICATE: Final = (
    "the server wants a certificate from us: set DRIFT_BUS_NATS_TLS_CERT and DRIFT_BUS_NATS_TLS_KEY"
)


def explain(error: BaseException, *, logging_in: bool = False) -> str | None:
    """Says what an error of a connection means, where it is about login or TLS; ``None`` for any other.

    Args:
        error: What was raised, or told to the error callback.
        logging_in: There is no connection yet. A server says why it refuses a login, and closes; its words may be
            lost on the way, and only the end be seen.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _OTHER_HOST if error.verify_code in (62, 64) else _UNTRUSTED
    text = str(error).lower()
    if "authorization violation" in text or "authentication" in text:
        return _LOGIN
    if "certificate required" in text or "certificate_required" in text:
        return _NO_CLIENT_CERTIFICATE
    if isinstance(error, ssl.SSLError):
        return _NO_TLS
    return _CLOSED if logging_in and isinstance(error, ConnectionResetError | BrokenPipeError) else None
