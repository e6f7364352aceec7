"""Credentials: whether what a client sent as ``Authorization`` holds the deployment's token."""

from __future__ import annotations

import base64
import hmac

__all__ = ["holds"]


def holds(given: bytes, token: bytes) -> bool:
    """Whether an ``Authorization`` header holds the token, as ``Bearer`` or as the password of ``Basic``.

    ``Basic`` is all that a client can send that takes no headers and knows only an address, such as MLflow's
    ``ScoringServerClient``: ``http://any:<token>@127.0.0.1:8080``.

    Examples
    --------
    >>> holds(b"Bearer secret", b"secret")
    True
    >>> holds(b"Basic " + base64.b64encode(b"any:secret"), b"secret")
    True
    >>> holds(b"Basic secret", b"secret")
    False
    """
    scheme, _, sent = given.partition(b" ")
    scheme, sent = scheme.lower(), sent.strip()
    if scheme == b"basic":
        sent = _password(sent)
    return hmac.compare_digest(sent, token) and scheme in (b"bearer", b"basic")


def _password(sent: bytes) -> bytes:
    """The password of ``name:password`` in base64; empty where it is none."""
    try:
        return base64.b64decode(sent, validate=True).partition(b":")[2]
    except ValueError:
        return b""
