"""Log masking: columns that hold personal data are hashed or blanked before a request is written to the inference log.

A hash is HMAC-SHA256 under a key that belongs to the deployment, cut to 16 hexadecimal digits: equal values stay equal,
so they can be counted, joined and erased, and cannot be looked up in a table of common values without the key.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from ..domain.deployment import LogRules
from .log_frames import Entry

__all__ = ["Mask", "hashed", "mask_key"]

KEY_FILE = "mask.key"


def hashed(value: Any, key: bytes) -> str:
    """The name under which a value stands in the log.

    Examples
    --------
    >>> hashed("Ada", b"k") == hashed("Ada", b"k") != hashed("Ada", b"another")
    True
    """
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:16]


def mask_key(folder: Path) -> bytes:
    """The deployment's key, made when it is first needed; it stands beside the log, readable by the owner only."""
    path = folder.parent / KEY_FILE
    if path.exists():
        return path.read_bytes()
    with contextlib.suppress(FileExistsError):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(temporary, path)  # the first of several processes wins
        finally:
            temporary.unlink(missing_ok=True)
    return path.read_bytes()


@dataclass(frozen=True)
class Mask:
    """What is done to which columns of a request.

    Parameters
    ----------
    hash
        Columns whose values are hashed.
    blank
        Columns whose values are left out.
    """

    hash: frozenset[str]
    blank: frozenset[str]
    key: bytes

    @classmethod
    def of(cls, rules: LogRules, folder: Path) -> Mask | None:
        """The mask that a deployment's rules ask for, None for none."""
        if not rules.mask and not rules.blank:
            return None
        return cls(frozenset(rules.mask), frozenset(rules.blank), mask_key(folder) if rules.mask else b"")

    def signature(self, inputs: str) -> str:
        """The signature by which the masked log is read: what is masked is text that may be missing."""
        if not inputs:
            return inputs
        columns = json.loads(inputs)
        for column in columns:
            if column.get("name") in self.hash | self.blank:
                column.update(type="string", required=False)
        return json.dumps(columns)

    def value(self, column: str, value: Any) -> Any:
        """One value as it may be kept."""
        if column in self.blank:
            return None
        return hashed(value, self.key) if column in self.hash and value is not None else value

    def entry(self, entry: Entry) -> Entry:
        """The entry with masked inputs; a body that cannot be read is left out whole rather than kept unmasked."""
        try:
            body, kind = self._body(entry.request, entry.content_type)
        except Exception:
            body, kind = b"", entry.content_type
        key = hashed(entry.key, self.key) if entry.key and self.key else entry.key
        return msgspec.structs.replace(entry, request=body, content_type=kind, key=key)

    def _body(self, body: bytes, kind: str) -> tuple[bytes, str]:
        from .request import decode

        if not kind.startswith("application/json"):
            return self._table(body, kind), "application/json"
        data = decode(body)
        split = data.get("dataframe_split")
        if isinstance(split, dict):
            names = [str(name) for name in split["columns"]]
            rows = [[self.value(n, v) for n, v in zip(names, row, strict=True)] for row in split["data"]]
            return orjson.dumps({"dataframe_split": {"columns": names, "data": rows}}), kind
        for field in ("dataframe_records", "instances", "inputs"):
            given = data.get(field)
            if isinstance(given, list) and all(isinstance(item, dict) for item in given):
                return orjson.dumps({field: [self._record(record) for record in given]}), kind
            if isinstance(given, dict):
                return orjson.dumps({field: self._record(given)}), kind
        return body, kind  # an array has no names, and so no column that could be meant

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with one value or with a list of values a column; or a tensor of the Open Inference Protocol."""
        if isinstance(record.get("data"), list) and "datatype" in record:
            return {**record, "data": [self.value(str(record.get("name")), value) for value in record["data"]]}
        return {
            name: [self.value(name, v) for v in values] if isinstance(values, list) else self.value(name, values)
            for name, values in record.items()
        }

    def _table(self, body: bytes, kind: str) -> bytes:
        from .client import body_of
        from .request import media_type, parse

        frame = parse(body, media_type(kind), None)
        for column in frame.columns:
            if str(column) in self.hash | self.blank:
                plain = [None if v != v else v for v in frame[column].tolist()]  # noqa: PLR0124 NaN differs from itself
                frame[column] = [self.value(str(column), v) for v in plain]
        return body_of(frame)
