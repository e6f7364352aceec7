"""Data erasure: a person's rows taken out of every version of a data set, told by counts and never by their values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .display import Displayed, table
from .record import Record

__all__ = ["ErasedRows", "Forgotten", "ForgottenVersion", "manifest_in", "manifest_name"]

MANIFEST = "manifest.json"


def manifest_name(checksum: str) -> str:
    """The file name of a manifest that has taken another's place.

    Examples
    --------
    >>> manifest_name("0af3")
    'manifest-0af3.json'
    """
    return f"manifest-{checksum}.json"


def manifest_in(folder: Path, checksum: str) -> Path:
    """A version's manifest among its files: the one with this checksum in its name, else the first one."""
    replaced = folder / manifest_name(checksum)
    return replaced if checksum and replaced.exists() else folder / MANIFEST


@dataclass(frozen=True)
class ErasedRows(Record):
    """That rows were taken out of a data version after it was saved.

    Parameters
    ----------
    rows
        How many; 0 where only an unused label or an older chunk still held the person.
    digest
        The version's digest before: runs that used it then are known by this one.
    """

    at_ms: int
    rows: int
    digest: str
    by: str = ""
    request: str = ""


@dataclass(frozen=True)
class ForgottenVersion(Record):
    """One data version that the person was taken out of, and who had seen it.

    Parameters
    ----------
    runs
        Ids of the runs that used it.
    models
        Registered versions that were trained on it.
    """

    ref: str
    rows: int
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forgotten(Displayed, Record):
    """What `data forget` removed, or with a dry run would remove.

    Parameters
    ----------
    column
        By which the person is known. The value is nowhere in this record, nor in the audit trail.
    versions
        The versions that were written anew.
    derived
        Versions under other names that were made from these, and may hold the person too.
    logs
        For each deployment how many rows of its inference log were erased.
    """

    name: str
    column: str
    versions: tuple[ForgottenVersion, ...] = ()
    derived: tuple[str, ...] = ()
    logs: dict[str, int] | None = None
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows of how many versions together."""
        return sum(version.rows for version in self.versions)

    @property
    def models(self) -> tuple[str, ...]:
        """Every registered version that had seen the person."""
        return tuple(dict.fromkeys(model for version in self.versions for model in version.models))

    def text(self) -> str:
        one = self.rows == 1
        verb = "would be erased" if self.dry_run else "was erased" if one else "were erased"
        rows_of = f"{self.rows:,} row{'' if one else 's'}"
        count = f"{len(self.versions)} version{'' if len(self.versions) == 1 else 's'}"
        head = f"{self.name}: {rows_of} in {count} {verb}, found by {self.column}"
        rows = [
            [v.ref, f"{v.rows:,}", ", ".join(run[:8] for run in v.runs) or "-", ", ".join(v.models) or "-"]
            for v in self.versions
        ]
        lines = [head]
        if rows:
            lines.append(table(["version", "rows", "runs that used it", "models trained on it"], rows))
        lines += [
            f"inference log of {name}: {gone:,} row{'' if gone == 1 else 's'}"
            for name, gone in (self.logs or {}).items()
        ]
        if self.derived:
            lines.append(f"made from it, and to be looked at as well: {', '.join(self.derived)}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
