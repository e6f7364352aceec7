"""Feature view: named columns of data versions, with what names a row and when it was known; and what joining them gave."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .data_version import Column
from .display import Displayed, several, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FeatureView", "FeatureViewTable", "JoinedTable", "ViewJoin", "span"]


def span(seconds: float | None) -> str:
    """A stretch of time in seconds, in its largest fitting unit.

    Examples
    --------
    >>> span(2_592_000), span(5_400), span(0.5), span(None)
    ('30 d', '1.5 h', '0.5 s', '-')
    """
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


@dataclass(frozen=True)
class FeatureView(Displayed, Record):
    """One version of a named feature view.

    Parameters
    ----------
    name, version
        As of a data version: ``activity@v2``.
    digest
        Over the definition and the identities of the data versions, so that the same declaration is the same view.
    versions
        The data versions whose rows it holds, one after the other.
    entities
        The columns that name what a row is about.
    time
        The column that says when a row came to be true; empty where rows have always been known.
    created
        The column that says when a row was written: of rows with one event time the last written counts.
    ttl
        For how long after its event time a row may be used, in seconds (in the time column's own unit where that holds
        numbers), the end included; None for ever.
    features
        Its columns with their types.
    rows
        Of all its data versions.
    new
        False when this declaration was kept already.
    """

    name: str
    version: int
    digest: str
    versions: tuple[str, ...]
    entities: tuple[str, ...]
    features: tuple[Column, ...]
    time: str = ""
    created: str = ""
    ttl: float | None = None
    about: str = ""
    rows: int = 0
    created_ms: int = 0
    created_by: str = ""
    new: bool = True

    @property
    def ref(self) -> str:
        """How commands name it: ``activity@v2``."""
        return f"{self.name}@v{self.version}"

    def text(self) -> str:
        same = "" if self.new else " (unchanged: this view was already kept)"
        when = f"known from {self.time}" if self.time else "always known"
        life = f", for {span(self.ttl)}" if self.ttl is not None else ""
        lines = [
            f"{self.ref}{same}: {several(len(self.features), 'feature')} by {', '.join(self.entities)}, {when}{life}",
            f"rows: {self.rows:,} of {', '.join(self.versions)}",
            f"features: {', '.join(f'{c.name} ({c.type})' for c in self.features)}",
        ]
        return "\n".join([*lines, *([self.about] if self.about else [])])


@dataclass(frozen=True)
class FeatureViewTable(Displayed, Record):
    """The newest version of every feature view."""

    views: tuple[FeatureView, ...]

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> FeatureView:
        return self.views[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a view."""
        import pandas as pd

        return pd.DataFrame(
            [{**view.to_dict(), "features": [column.name for column in view.features]} for view in self.views]
        )

    def text(self) -> str:
        if not self.views:
            return "no feature views yet; declare one with `%mlops data view NAME --on DATA@vN --entity COLUMN`."
        rows = [
            [
                v.ref,
                ", ".join(v.entities),
                v.time or "-",
                span(v.ttl),
                len(v.features),
                f"{v.rows:,}",
                ", ".join(v.versions),
            ]
            for v in self.views
        ]
        return table(["view", "entity", "event time", "ttl", "features", "rows", "data"], rows)


@dataclass(frozen=True)
class ViewJoin(Record):
    """What became of the rows when one view was joined to them; the five counts add up to the rows.

    Parameters
    ----------
    joined
        Rows that got features.
    unknown
        Rows whose entity the view does not have.
    early
        Rows before the first one of their entity.
    expired
        Rows whose newest one is older than the view's TTL allows.
    keyless
        Rows without a key or without a time.
    columns
        What the features are called in the joined table, in the view's order.
    ties
        Rows of the view that share entity and event time with another; the last one written counts.
    unusable
        Rows of the view without a key or an event time; never joined.
    age
        Median time from event to label of the rows joined, in seconds (or the time column's own unit).
    oldest
        The longest.
    """

    view: str
    joined: int
    unknown: int
    early: int
    expired: int
    keyless: int
    columns: tuple[str, ...]
    ties: int = 0
    unusable: int = 0
    age: float | None = None
    oldest: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JoinedTable(Displayed, Record):
    """Labels with the features that were known at each label's time.

    Parameters
    ----------
    time
        The labels' time column.
    saved
        The data version it was saved as; empty if it was not.
    table
        The rows themselves, in the labels' order; in the process that joined.
    """

    rows: int
    time: str
    joins: tuple[ViewJoin, ...]
    labels: str = ""
    saved: str = ""
    took_ms: float = 0.0
    notes: tuple[str, ...] = ()
    table: Any = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the rows, which are no part of the report."""
        data = Record.to_dict(self)
        return {f.name: data[f.name] for f in fields(self) if f.name != "table"}

    @property
    def features(self) -> tuple[str, ...]:
        """The features' columns, over all views."""
        return tuple(column for join in self.joins for column in join.columns)

    def __len__(self) -> int:
        return self.rows

    def to_pandas(self) -> pd.DataFrame:
        """The joined rows."""
        found: pd.DataFrame = self.table
        return found

    def text(self) -> str:
        when = f" as of {self.time}" if self.time else ""
        head = (
            f"{several(self.rows, 'row')}{f' of {self.labels}' if self.labels else ''} "
            f"with {several(len(self.features), 'feature')}{when}"
        )
        rows = [
            [
                j.view,
                f"{j.joined:,}",
                f"{j.unknown:,}",
                f"{j.early:,}",
                f"{j.expired:,}",
                f"{j.keyless:,}",
                f"{j.ties:,}",
                span(j.age),
            ]
            for j in self.joins
        ]
        heads = ["view", "joined", "unknown entity", "too early", "expired", "no key", "ties", "median age"]
        lines = [head, table(heads, rows)]
        lines += [f"note: {note}" for note in (*self.notes, *(f"{j.view}: {n}" for j in self.joins for n in j.notes))]
        lines.append(f"saved as {self.saved}" if self.saved else "not saved; `--name NAME` keeps it with its lineage")
        return "\n".join(lines)
