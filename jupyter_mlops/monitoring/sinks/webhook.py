"""Webhook: an alert as a signed HTTP POST, as Standard Webhooks 1.0 has it: headers webhook-id, -timestamp and -signature.

The signature is ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body`` with the workspace's secret, which is made
at first use and stands, base64 with ``whsec_`` before it, in a file that only its owner can read. A message that may have
been sent before a crash is sent again under the same id, as the standard has it: its receiver knows it by the id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ...errors import InvalidArgument
from .sink import Message, Sink

__all__ = ["WEBHOOK", "secret_of", "signature"]

SECONDS = 5.0
PREFIX = "whsec_"


class _Stay(HTTPRedirectHandler):
    """A signed message goes to the address that was named and to no other."""

    def redirect_request(self, *_args: Any, **_keywords: Any) -> None:
        return None


def secret_of(home: Path) -> str:
    """The workspace's secret for webhooks, made at first use."""
    path = home / "monitors" / "webhook.secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    return path.read_text().strip()


def signature(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """The signature of a message.

    Examples
    --------
    The standard's own example:

    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    told = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(told).decode()}"


def _check(target: str, _smtp: str) -> None:
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f"{target!r} is no address for a webhook.", hint="Write webhook:https://HOST/PATH.")


def _send(target: str, message: Message) -> str:
    now = int(time.time())
    alert = message.alert
    data = {**alert.to_dict(), "state": alert.state, "sentence": alert.sentence}
    data.pop("sent")
    body = json.dumps({"type": message.kind, "timestamp": now, "data": data}, ensure_ascii=False).encode()
    headers = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret_of(message.home), message.id, now, body),
    }
    request = Request(target, body, headers, method="POST")  # noqa: S310 the scheme is checked
    try:
        with build_opener(_Stay).open(request, timeout=SECONDS) as answer:
            return f"answered {answer.status}"
    except HTTPError as error:
        raise OSError(f"answered {error.code}") from error


WEBHOOK = Sink("webhook", "webhook:https://HOST/PATH", _check, _send)
