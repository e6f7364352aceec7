"""What a document of a pack is, declared as data; and what all of them are written from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ...domain.audit_entry import AuditCheck, AuditEntry
from ...domain.dossier import Dossier

__all__ = ["PRODUCER", "Document", "Evidence", "Table", "iso", "json_bytes", "stable_uuid"]

PRODUCER = "https://jupyter-mlops.invalid/"


@dataclass(frozen=True)
class Table:
    """A training table written into the pack as Parquet."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Evidence:
    """What the documents of one pack are written from.

    Parameters
    ----------
    entries
        Audit entries that concern the model or its data, oldest first.
    check
        What holding the whole audit record against itself came to.
    own
        The user's words in the card, by section.
    repository
        The project's git remote without credentials; empty for none.
    tables
        Training tables written into the pack, by data version.
    """

    dossier: Dossier
    entries: tuple[AuditEntry, ...] = ()
    check: AuditCheck | None = None
    own: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    repository: str = ""
    version: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """One document of a pack.

    Parameters
    ----------
    title
        What it is, in a line of the index.
    standard
        The standard it follows.
    check
        With what others can read and check it.
    write
        Gives the files: name to content. None for what the model has nothing of.
    """

    title: str
    standard: str
    check: str
    write: Callable[[Evidence], dict[str, bytes]]


def json_bytes(value: Any) -> bytes:
    """JSON as it stands in a pack: readable, in the order given, without numbers that JSON does not know."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def iso(ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC.

    Examples
    --------
    >>> iso(1_500)
    '1970-01-01T00:00:01.500Z'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stable_uuid(*parts: str) -> str:
    """The same id for the same thing, in every pack: a UUID of version 5.

    Examples
    --------
    >>> stable_uuid("clf@1") == stable_uuid("clf@1")
    True
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, PRODUCER + "\n".join(parts)))
