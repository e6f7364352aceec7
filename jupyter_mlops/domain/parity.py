"""Parity: whether a model's features come out the same where it was trained, from its stored file, and where it is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnGap", "Parity", "ParityWay"]


@dataclass(frozen=True)
class ColumnGap(Record):
    """One feature that came out differently on one way.

    Parameters
    ----------
    rows
        How many rows differ.
    largest
        The largest absolute difference; None where one of the two is missing, infinite or no number.
    row
        The first row that differs, counted from 0 in the table that was given.
    expected, got
        Its two values there.
    """

    column: str
    rows: int
    largest: float | None
    row: int
    expected: str
    got: str


@dataclass(frozen=True)
class ParityWay(Record):
    """One way by which the features were computed, compared with the first.

    Parameters
    ----------
    name
        ``training``, ``batch``, or the deployment's name.
    how
        In a few words what computed them.
    outcome
        ``reference`` for the first, ``PASS``, ``FAIL``, or ``not compared`` with the reason in `note`.
    largest
        The largest absolute difference anywhere.
    """

    name: str
    how: str
    outcome: str
    rows: int = 0
    largest: float | None = None
    gaps: tuple[ColumnGap, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Parity(Displayed, Record):
    """The features of some rows, by every way there is.

    Parameters
    ----------
    tolerance
        Two numbers are the same where they differ by at most this much, times the larger of 1 and the expected one.
    views
        The feature views that the model's transformation was made for.
    """

    model: str
    rows: int
    columns: int
    ways: tuple[ParityWay, ...]
    tolerance: float = 1e-9
    views: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """``PASS`` where every way that was compared gave the same; ``FAIL`` else, and where none was compared."""
        compared = [way for way in self.ways if way.outcome in ("PASS", "FAIL")]
        return "PASS" if compared and all(way.outcome == "PASS" for way in compared) else "FAIL"

    def __bool__(self) -> bool:
        return self.outcome == "PASS"

    def to_pandas(self) -> pd.DataFrame:
        """One row for each feature that differs."""
        import pandas as pd

        rows = [{"way": way.name, **gap.to_dict()} for way in self.ways for gap in way.gaps]
        return pd.DataFrame(rows, columns=["way", "column", "rows", "largest", "row", "expected", "got"])

    def text(self) -> str:
        made = f", made for {', '.join(self.views)}" if self.views else ""
        lines = [f"{self.outcome}: {self.columns} features of {self.model}{made}, {self.rows:,} rows"]
        shown = [
            [w.name, w.how, w.outcome, f"{w.rows:,}", "-" if w.largest is None else f"{w.largest:.3g}", w.note]
            for w in self.ways
        ]
        lines.append(table(["way", "computed by", "outcome", "rows that differ", "largest difference", ""], shown))
        gaps = [
            [way.name, g.column, f"{g.rows:,}", g.row, g.expected, g.got] for way in self.ways for g in way.gaps[:12]
        ]
        if gaps:
            lines += ["", table(["way", "feature", "rows", "first row", "expected", "got"], gaps)]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
