"""Drift report: what moved between a reference and a current table, column by column, and the findings beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..errors import NotFound
from .display import Displayed, clock, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AlarmSide",
    "ColumnDrift",
    "ColumnKind",
    "Distribution",
    "DriftReport",
    "Finding",
    "ReportTable",
    "Score",
    "Together",
]

ColumnKind = Literal["numeric", "categorical", "text", "other"]
AlarmSide = Literal["above", "below"]


@dataclass(frozen=True)
class Score(Record):
    """What one detector measured on one column.

    Parameters
    ----------
    value
        In the detector's unit and range.
    threshold
        What the value is compared with; None for one that is only reported.
    alarm_when
        Which side of the threshold alarms.
    p_value, adjusted_p_value
        As measured, and after the correction over the columns; None for a detector without a p-value.
    large
        Whether the value is one that is called a strong drift.
    """

    detector: str
    value: float
    threshold: float | None
    alarm_when: AlarmSide
    alarm: bool
    p_value: float | None = None
    adjusted_p_value: float | None = None
    large: bool = False


@dataclass(frozen=True)
class Finding(Record):
    """Something about a column that is not a shift of its values: it went missing, changed type, lost values."""

    column: str
    kind: str
    message: str
    severity: Literal["info", "warning", "error"] = "warning"


@dataclass(frozen=True)
class Distribution(Record):
    """Shares for drawing: of bins (edges) or of categories (labels); each sums to 1 unless the side is empty."""

    reference: tuple[float, ...] = ()
    current: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnDrift(Record):
    """One column's verdict. ``drifted`` None means that it could not be judged; a finding says why."""

    name: str
    kind: ColumnKind
    drifted: bool | None
    scores: tuple[Score, ...] = ()
    reference_rows: int = 0
    current_rows: int = 0
    reference_missing: float = 0.0
    current_missing: float = 0.0
    """Shares of missing values, 0 to 1."""
    distribution: Distribution | None = None

    @property
    def strong(self) -> bool:
        """Whether it drifted so far that nobody would overlook it."""
        return any(score.alarm and score.large for score in self.scores)


@dataclass(frozen=True)
class Together(Record):
    """A detector that looks at all columns together: what it found, its interval, and the columns that drive it.

    Parameters
    ----------
    low, high
        The 99 % interval of the value.
    """

    name: str
    title: str
    value: float
    low: float
    high: float
    drifted: bool
    columns: tuple[str, ...] = ()
    convention: str = ""

    @property
    def message(self) -> str:
        """In one line."""
        verdict = "DRIFT" if self.drifted else "ok"
        driven = f"; driven by {', '.join(self.columns)}" if self.drifted and self.columns else ""
        return f"{verdict}: {self.title} {self.value:.3f} (99 % interval {self.low:.3f} to {self.high:.3f}){driven}"


@dataclass(frozen=True)
class DriftReport(Displayed, Record):
    """What moved between two tables.

    Parameters
    ----------
    reference, current
        What was compared, in words: ``training data of clf@7``, ``the last 500 predictions of clf``.
    convention
        The rule of the verdict with its thresholds, on the first line; below it each detector's bins, fill and
        distribution, one on a line.
    """

    reference: str
    current: str
    columns: tuple[ColumnDrift, ...]
    findings: tuple[Finding, ...] = ()
    reference_rows: int = 0
    current_rows: int = 0
    created_ms: int = 0
    model: str = ""
    deployment: str = ""
    convention: str = ""
    id: str = ""
    together: tuple[Together, ...] = ()

    def __iter__(self) -> Iterator[ColumnDrift]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> DriftReport:
        """The report of one column alone: drawn larger, with its findings.

        Raises
        ------
        NotFound
            The report has no such column.
        """
        if name not in (column.name for column in self.columns):
            raise NotFound.among("column in the report", name, [column.name for column in self.columns])
        return replace(
            self,
            columns=tuple(column for column in self.columns if column.name == name),
            findings=tuple(finding for finding in self.findings if finding.column in (name, "")),
            together=(),
        )

    @property
    def drifted(self) -> tuple[str, ...]:
        """The names of the columns that drifted."""
        return tuple(column.name for column in self.columns if column.drifted)

    @property
    def strongly_drifted(self) -> tuple[str, ...]:
        """The names of the columns that drifted strongly."""
        return tuple(column.name for column in self.columns if column.strong)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The names of the columns that could not be judged."""
        return tuple(column.name for column in self.columns if column.drifted is None)

    @property
    def verdict(self) -> str:
        """One line: how many columns drifted, of how many, and what could not be judged."""
        judged = [c for c in self.columns if c.drifted is not None]
        if not judged:
            return "drift could not be judged" + (f": {self.findings[0].message}" if self.findings else "")
        strong = self.strongly_drifted
        line = f"{len(self.drifted)} of {len(judged)} columns drifted"
        if strong and len(strong) < len(self.drifted):
            line += f", {len(strong)} strongly: {_few(strong)}"
        elif self.drifted:
            line += f"{' strongly' if strong else ' slightly'}: {_few(self.drifted)}"
        serious = sum(f.severity != "info" for f in self.findings)
        return line + (f"; {serious} finding{'' if serious == 1 else 's'}" if serious else "")

    def to_pandas(self) -> pd.DataFrame:
        """One row a column and detector."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"column": c.name, "kind": c.kind, "drifted": c.drifted, **score.to_dict()}
                for c in self.columns
                for score in c.scores
            ]
        )

    def text(self) -> str:
        rows = []
        for column in sorted(self.columns, key=lambda column: {True: 0, None: 1, False: 2}[column.drifted]):
            by = {score.detector: score for score in column.scores}
            p = next((s.adjusted_p_value for s in column.scores if s.adjusted_p_value is not None), None)
            verdict = {True: "DRIFT" if column.strong else "slight drift", False: "ok", None: "not judged"}[
                column.drifted
            ]
            scores = "  ".join(f"{name}={score.value:.3f}" for name, score in by.items())
            rows.append([column.name, column.kind, verdict, scores, "-" if p is None else f"{p:.2g}"])
        head = f"{self.verdict}\n{self.current} ({self.current_rows:,} rows) against {self.reference}"
        body = table(["column", "kind", "verdict", "scores", "adjusted p"], rows)
        return "\n".join(
            [
                f"{head} ({self.reference_rows:,} rows)",
                body,
                *(found.message for found in self.together),
                *(f"{f.severity}: {f.message}" for f in self.findings),
                *self.convention.splitlines()[:1],
            ]
        )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


@dataclass(frozen=True)
class ReportTable(Displayed, Record):
    """Drift reports that were made, newest first."""

    reports: tuple[DriftReport, ...]

    def __iter__(self) -> Iterator[DriftReport]:
        return iter(self.reports)

    def __len__(self) -> int:
        return len(self.reports)

    def __getitem__(self, index: int) -> DriftReport:
        return self.reports[index]

    def to_pandas(self) -> pd.DataFrame:
        """One row a report."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "id": r.id,
                    "model": r.model,
                    "created": pd.Timestamp(r.created_ms, unit="ms", tz="UTC"),
                    "drifted": list(r.drifted),
                    "columns": len(r.columns),
                    "rows": r.current_rows,
                }
                for r in self.reports
            ]
        )

    def text(self) -> str:
        if not self.reports:
            return "no drift reports yet; make one with `%mlops drift MODEL`."
        rows = [[r.id, clock(r.created_ms), r.model or r.reference, r.verdict] for r in self.reports]
        return table(["report", "made", "of", "verdict"], rows)
