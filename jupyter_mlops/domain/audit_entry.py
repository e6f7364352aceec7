"""Audit entry: who did what and when, and whether it was carried out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .display import Displayed, clock, table
from .record import Record
from .workspace import Actor

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AuditEntry", "AuditTrail", "Outcome"]

Outcome = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True)
class AuditEntry(Record):
    """One state change.

    Parameters
    ----------
    number
        Its place in the trail, from 1.
    action
        What was done: ``model.promote``.
    target
        To what: ``clf@7``.
    outcome
        ``interrupted`` when the service died between beginning it and ending it, and nobody asked again.
    """

    number: int
    at_ms: int
    actor: Actor
    action: str
    target: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "done"
    error: str = ""


@dataclass(frozen=True)
class AuditTrail(Displayed, Record):
    """Audit entries, newest first, and whether the trail's hash chain is whole."""

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

        return pd.DataFrame(
            [
                {
                    "number": e.number,
                    "at": pd.Timestamp(e.at_ms, unit="ms", tz="UTC"),
                    "user": e.actor.user,
                    "host": e.actor.host,
                    "via": e.actor.via,
                    "notebook": e.actor.notebook,
                    "action": e.action,
                    "target": e.target,
                    "outcome": e.outcome,
                    "details": e.details,
                }
                for e in self.entries
            ]
        )

    def text(self) -> str:
        if not self.entries:
            return "nothing has been changed in this workspace yet."
        rows = [
            [e.number, clock(e.at_ms), f"{e.actor.user}@{e.actor.host}", e.actor.via, e.action, e.target, e.outcome]
            for e in self.entries
        ]
        head = "" if self.intact else f"THE TRAIL WAS ALTERED at entry {self.broken_at}\n"
        return head + table(["#", "when", "who", "via", "what", "on", "outcome"], rows)
