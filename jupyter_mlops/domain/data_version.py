"""Data version: a table with an identity over its full content, a list of them, and what changed between two."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .data_erasure import ErasedRows
from .display import Displayed, ago, clock, several, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "ColumnChange", "DataDiff", "DataVersion", "DataVersionTable", "RowExample", "Shift"]


@dataclass(frozen=True)
class Column(Record):
    """A column's name and logical type."""

    name: str
    type: str
    missing: int = 0


@dataclass(frozen=True)
class DataVersion(Displayed, Record):
    """One saved version of a named table.

    Parameters
    ----------
    digest
        The identity: a hash over column names, types, values, missing values, order and a meaningful index.
    bytes
        What it added to the store, compressed: chunks that an earlier version has are not stored again.
    new
        False when `data save` found the same content already saved and stored nothing.
    used_by
        The runs that used it.
    kind
        ``table``; ``folder`` for files as they are, then `rows` counts files; ``view`` for a feature view, then `rows`
        counts those of the tables it stands on.
    branch
        The line of versions it belongs to, empty for the main one.
    sources
        The data versions it was made from.
    run
        The kernel's own id of the run in which it was saved.
    names
        Other names that it has been given.
    instead
        In words what its name or branch means now, where `data save` found the content in another, earlier version.
    """

    name: str
    version: int
    digest: str
    rows: int
    columns: tuple[Column, ...]
    bytes: int = 0
    created_ms: int = 0
    created_by: str = ""
    notebook: str = ""
    new: bool = True
    used_by: tuple[str, ...] = ()
    kind: Literal["table", "folder", "view"] = "table"
    branch: str = ""
    sources: tuple[str, ...] = ()
    run: str = ""
    names: tuple[str, ...] = ()
    instead: str = ""
    personal: tuple[str, ...] = ()
    """Columns that are known to hold personal data, or hashes of it."""
    errors: int | None = None
    warnings: int | None = None
    """How many the newest checks found; None where it has not been checked."""
    sealed_ms: int = 0
    looks: int = 0
    """Since when every look at it is counted, 0 if it is not sealed; and how often it was looked at since."""

    erasures: tuple[ErasedRows, ...] = ()
    """That rows were taken out of it since it was saved, oldest first."""

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests it has or had: runs that used it before rows were erased know it by an earlier one."""
        return (self.digest, *(erased.digest for erased in self.erasures))

    @property
    def erased(self) -> str:
        """In words that rows were erased; empty if none were."""
        rows = sum(erased.rows for erased in self.erasures)
        return f"{rows:,} rows erased since it was saved, last {clock(self.erasures[-1].at_ms)}" if rows else ""

    @property
    def ref(self) -> str:
        """How commands name it: ``adult@v3``."""
        return f"{self.name}@v{self.version}"

    @property
    def called(self) -> str:
        """Its branch and its other names in words; empty for none."""
        names = [f"{self.name}@{name}" for name in self.names]
        return "; ".join([*([f"branch {self.branch}"] if self.branch else []), *names])

    def text(self) -> str:
        known = "; ".join(filter(None, ["this content was already saved", self.instead]))
        what = "" if self.new else f" (unchanged: {known})"
        cells = f"{several(self.rows, 'row')} x {several(len(self.columns), 'column')}"
        size = cells if self.kind != "folder" else several(self.rows, "file")
        added = f"{self.bytes / 1e6:.2f} MB added" if self.new else "nothing stored"
        told = f"{self.ref}{what}: {size}, {added}, digest {self.digest[:12]}"
        if self.personal:
            told += f"; personal: {', '.join(self.personal)}"
        if self.errors is not None:
            told += f"; checks: {self.errors} errors, {self.warnings} warnings (%mlops data check {self.ref})"
        return "; ".join(part for part in (told, self.seal, self.erased) if part)

    @property
    def seal(self) -> str:
        """In words that it is sealed and how often it was looked at; empty if it is not."""
        return f"sealed, looked at {self.looks:,} {'time' if self.looks == 1 else 'times'}" if self.sealed_ms else ""


@dataclass(frozen=True)
class DataVersionTable(Displayed, Record):
    """The versions of one name, or the latest of every name, newest first."""

    versions: tuple[DataVersion, ...]
    name: str = ""

    def __iter__(self) -> Iterator[DataVersion]:
        return iter(self.versions)

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, index: int) -> DataVersion:
        return self.versions[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a version."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "version": v.ref,
                    "rows": v.rows,
                    "columns": len(v.columns),
                    "bytes": v.bytes,
                    "created": pd.Timestamp(v.created_ms, unit="ms", tz="UTC"),
                    "by": v.created_by,
                    "digest": v.digest,
                    "used_by": list(v.used_by),
                }
                for v in self.versions
            ]
        )

    def text(self) -> str:
        if not self.versions:
            return "no data versions yet; save one with `%mlops data save DF --name NAME`."
        now = int(time.time() * 1000)
        rows = [
            [
                v.ref,
                f"{v.rows:,}",
                len(v.columns),
                f"{v.bytes / 1e6:.2f} MB",
                ago(v.created_ms, now),
                v.created_by,
                "; ".join(part for part in (v.called, v.seal, v.erased) if part),
            ]
            for v in self.versions
        ]
        return table(["version", "rows", "columns", "size", "saved", "by", ""], rows)


@dataclass(frozen=True)
class ColumnChange(Record):
    """What happened to one column: added, removed, retyped, or how many cells changed among rows in both."""

    name: str
    change: str
    before: str = ""
    after: str = ""
    cells: int = 0


@dataclass(frozen=True)
class RowExample(Record):
    """One row that was added, removed or changed.

    Parameters
    ----------
    row
        Its key, or its place counted from 0.
    before, after
        Its cells as texts, in the order of `DataDiff.shown`; empty where the row is not there.
    differs
        Which of them differ, by place.
    """

    change: str
    row: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    differs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shift(Record):
    """How far the values of one column have moved as a whole.

    Parameters
    ----------
    distance
        From 0, the same, to 1: of numbers the largest gap between the two empirical distribution functions
        (Kolmogorov-Smirnov), of others the total variation between the shares of values; what is missing counts as
        a value below all others.
    before, after
        Each side in a few words.
    """

    column: str
    distance: float
    before: str
    after: str


@dataclass(frozen=True)
class DataDiff(Displayed, Record):
    """What changed between two tables, rows matched by key, by position, or by content."""

    before: str
    after: str
    identical: bool
    rows_before: int
    rows_after: int
    matched_by: str
    """``position``; ``content``, where rows came, went or moved; or the key columns."""
    added: int = 0
    removed: int = 0
    changed: int = 0
    """Rows in both whose cells differ."""
    columns: tuple[ColumnChange, ...] = ()
    shown: tuple[str, ...] = ()
    """The columns of `examples`: those that changed first."""
    examples: tuple[RowExample, ...] = ()
    shifts: tuple[Shift, ...] = ()
    """Columns whose values have moved as a whole, most moved first."""
    moved: int = 0
    """Rows that are the same and stand in another order."""
    hint: str = ""
    """What to do where so much differs that rows may be matched wrongly."""

    @property
    def named_by(self) -> str:
        """What the rows of `examples` are named by: their key, or where they stand."""
        return "row" if self.matched_by == "content" else self.matched_by

    @property
    def counts(self) -> str:
        """How many rows came, went, changed and moved."""
        told = [f"{self.added:,} added", f"{self.removed:,} removed", f"{self.changed:,} changed"]
        return ", ".join([*told, f"{self.moved:,} moved"] if self.moved else told)

    def to_pandas(self) -> pd.DataFrame:
        """One row a column that changed."""
        import pandas as pd

        return pd.DataFrame([c.to_dict() for c in self.columns], columns=["name", "change", "before", "after", "cells"])

    def text(self) -> str:
        if self.identical:
            return f"{self.before} and {self.after} are identical: {self.rows_before:,} rows."
        head = f"{self.before} -> {self.after}, rows matched by {self.matched_by}: {self.counts}"
        rows = [[c.name, c.change, c.before, c.after, c.cells or ""] for c in self.columns]
        parts = [head]
        if rows:
            parts.append(table(["column", "change", "before", "after", "cells"], rows))
        if self.shifts:
            moved = [[s.column, f"{s.distance:.3f}", s.before, s.after] for s in self.shifts]
            parts += ["", table(["moved", "distance", "before", "after"], moved)]
        lines = [[e.change, e.row, *(_cells(e))] for e in self.examples]
        if lines:
            parts += ["", table(["", self.named_by, *self.shown], lines)]
        return "\n".join([*parts, *(["", self.hint] if self.hint else [])])


def _cells(example: RowExample) -> list[str]:
    """A row's cells; those that differ as ``before -> after``."""
    if not example.before or not example.after:
        return list(example.before or example.after)
    pairs = zip(example.before, example.after, strict=True)
    return [f"{was} -> {now}" if i in example.differs else now for i, (was, now) in enumerate(pairs)]
