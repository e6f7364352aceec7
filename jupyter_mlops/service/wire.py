"""The wire: JSON lines over a socket that only this user can open; one connection carries one request."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..settings import runtime_folder

__all__ = ["receive", "send", "socket_path"]


def socket_path(root: Path) -> Path:
    """Where the service of the workspace at `root` listens; short, since a socket's path may hold about 100 bytes."""
    return runtime_folder() / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]}.sock"


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message."""
    connection.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def receive(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """The messages that come until the other side closes; a message that was cut short is dropped."""
    with connection.makefile("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)
