"""The audit excerpt: every entry that concerns the model or its data, and the check of the whole record."""

from __future__ import annotations

import json

from .document import Document, Evidence, json_bytes

__all__ = ["DOCUMENT"]


def _write(evidence: Evidence) -> dict[str, bytes]:
    lines = "".join(
        json.dumps(entry.to_dict(), sort_keys=True, ensure_ascii=False) + "\n" for entry in evidence.entries
    )
    check = evidence.check
    told = {"whole": None} if check is None else {"whole": check.ok, **check.to_dict()}
    return {"audit.jsonl": lines.encode(), "audit_check.json": json_bytes(told)}


DOCUMENT = Document(
    "audit entries of the model and its data, and the receipts of the whole record",
    "JSON lines of ours",
    "jupyter mlops audit verify --expect RECEIPT",
    _write,
)
