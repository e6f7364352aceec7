"""Audit entry: who did what and when; the trail of them, and what checking the trail finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, clock, table
from .record import Record
from .workspace import Actor

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AuditCheck", "AuditEntry", "AuditFinding", "AuditTrail", "Outcome"]

Outcome = Literal["done", "failed", "interrupted"]


WIDEST = 70
DULL = ("name", "key", "folder", "file", "known", "request", "run_key", "model_key", "id", "hash", "schema")


@dataclass(frozen=True)
class AuditEntry(Record):
    """One state change.

    Parameters
    ----------
    number
        Its number among the changes of its writer, from 1; 0 for what concerns the trail itself.
    action
        What was done: ``model.promote``.
    target
        To what: ``clf@7``.
    result
        What it came to: the version made, the version before.
    outcome
        ``interrupted`` when the service died between beginning it and ending it, and nobody asked again.
    writer
        Whose chain it stands in: one a workspace.
    erased
        Whether what was personal in it has been taken away.
    hash
        The hash of its first line in the chain.
    """

    number: int
    at_ms: int
    actor: Actor
    action: str
    target: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "done"
    error: str = ""
    ended_ms: int | None = None
    writer: str = ""
    erased: bool = False
    hash: str = ""

    @property
    def words(self) -> str:
        """What it was asked with and what came of it, shortly; all of it is in `details` and `result`."""
        if self.error:
            return shortened(self.error.partition("\n")[0])
        told = {**self.result, **self.details}  # what was asked for first
        order = [*self.details, *(key for key in self.result if key not in self.details)]
        said = [f"{key} {told[key]}" for key in order if _worth(key, told[key], self.target)]
        return shortened(", ".join(said))

    def row(self) -> dict[str, Any]:
        """The entry as one row of a table; details and result as JSON."""
        return {
            "writer": self.writer,
            "number": self.number,
            "at": datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            "user": self.actor.user,
            "host": self.actor.host,
            "via": self.actor.via,
            "notebook": self.actor.notebook,
            "cell": self.actor.cell,
            "commit": self.actor.commit,
            "action": self.action,
            "target": self.target,
            "outcome": self.outcome,
            "error": self.error,
            "details": json.dumps(self.details, sort_keys=True),
            "result": json.dumps(self.result, sort_keys=True),
            "hash": self.hash,
        }


@dataclass(frozen=True)
class AuditFinding(Record):
    """Something that was done to the record.

    Parameters
    ----------
    place
        The place in the writer's chain.
    what
        ``removed``, ``altered``, ``reordered``, ``truncated`` or ``spliced``.
    """

    writer: str
    place: int
    what: str
    text: str


@dataclass(frozen=True)
class AuditTrail(Displayed, Record):
    """Audit entries, newest first, and whether the record is whole."""

    entries: tuple[AuditEntry, ...]
    intact: bool = True
    broken_at: int | None = None

    def __iter__(self) -> Iterator[AuditEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> AuditEntry:
        return self.entries[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row an entry."""
        import pandas as pd

        table = pd.DataFrame(
            [{**e.row(), "details": e.details, "result": e.result, "at_ms": e.at_ms} for e in self.entries]
        )
        if len(table):
            table["at"] = pd.to_datetime(table.pop("at_ms"), unit="ms", utc=True)
        return table

    def text(self) -> str:
        if not self.entries:
            return "nothing of the kind has been changed in this workspace yet."
        rows = [
            [
                e.number or "-",
                clock(e.at_ms),
                "@".join(part for part in (e.actor.user, e.actor.host) if part) or "-",
                "-" if e.erased else e.actor.via,
                e.action,
                e.target,
                e.outcome,
                e.words,
            ]
            for e in self.entries
        ]
        head = "" if self.intact else f"THE TRAIL WAS ALTERED at entry {self.broken_at}; see `%mlops audit verify`\n"
        return head + table(["#", "when", "who", "via", "what", "on", "outcome", "with"], rows)


@dataclass(frozen=True)
class AuditCheck(Displayed, Record):
    """What holding the record against itself, the shared store and other writers came to.

    Parameters
    ----------
    entries
        How many lines were checked.
    receipts
        For each writer, how far its chain goes: ``writer:place:hash``. Kept outside, a receipt shows later whether the
        record still holds what it held.
    unshipped
        Entries of this workspace that have not reached the shared store yet.
    """

    findings: tuple[AuditFinding, ...]
    entries: int = 0
    receipts: tuple[str, ...] = ()
    unshipped: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found; in a shell the exit code tells it."""
        return not self.findings

    def text(self) -> str:
        count = len(self.receipts)
        writers = f"{count} writer{'' if count == 1 else 's'}"
        head = f"{self.entries:,} entries of {writers}: " + ("whole" if self.ok else "THE RECORD WAS TAMPERED WITH")
        lines = [head]
        if self.findings:
            lines.append(
                table(["writer", "at", "", ""], [[f.writer[:8], f.place, f.what, f.text] for f in self.findings])
            )
        lines += [f"receipt {receipt}" for receipt in self.receipts]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def shortened(text: str) -> str:
    """A text in at most so many characters."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _worth(key: str, value: Any, target: str) -> bool:
    """Whether a fact tells a reader something that the other columns do not."""
    if isinstance(value, bool):
        return value
    if key in DULL or key.endswith(("_id", "_ms", "digest", "checksum")) or value in ("", None):
        return False
    return str(value) != target and not str(value).startswith(("/", "{", "file:"))
