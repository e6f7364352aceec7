"""Log: alerts as lines of JSON in a file of the workspace, each once."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ...errors import InvalidArgument
from .sink import Message, Sink

__all__ = ["LOG"]


def _check(target: str, _smtp: str) -> None:
    if target and not Path(target).expanduser().parent.is_dir():
        raise InvalidArgument(f"the folder of the alert log {target!r} is not there.", hint="Make it, or write `log`.")


def _send(target: str, message: Message) -> str:
    path = Path(target).expanduser() if target else message.home / "alerts.log"
    try:
        if any(f'"id": "{message.id}"' in line for line in path.read_text().splitlines()):
            return "written"  # before a crash
    except FileNotFoundError:
        pass
    line = json.dumps({"id": message.id, "kind": message.kind, "alert": message.alert.to_dict()}, ensure_ascii=False)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that a crash has cut short stays alone
                file.write(b"\n")
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    return "written"


LOG = Sink("log", "log", _check, _send)
