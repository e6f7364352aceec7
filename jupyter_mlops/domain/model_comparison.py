"""Model comparison: two models on the same rows: how far apart, where, and on which rows they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, table
from .evaluation import Difference, Task
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FiveByTwo", "ModelComparison", "SliceDifference"]

FIRST = 8


@dataclass(frozen=True)
class FiveByTwo(Record):
    """5x2 cross-validation: both models fitted anew ten times, so that what differs by training counts too.

    Parameters
    ----------
    differences
        A minus B in each of the ten halves.
    statistic, p_value
        Nadeau and Bengio's corrected t with 9 degrees of freedom.
    mean, low, high
        Of the ten differences, and the interval by the same t.
    combined_f_p_value
        Of Alpaydin's combined F with 10 and 5 degrees of freedom.
    """

    metric: str
    differences: tuple[float, ...]
    statistic: float
    p_value: float
    mean: float
    low: float
    high: float
    combined_f_p_value: float | None = None

    def words(self) -> str:
        """The difference, its interval and its p-value in one line."""
        f = "" if self.combined_f_p_value is None else f" (combined F: {self.combined_f_p_value:.2g})"
        return (
            f"both fitted anew, 5x2cv of {self.metric}: {self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}], "
            f"p {self.p_value:.2g}{f}"
        )


@dataclass(frozen=True)
class SliceDifference(Record):
    """The difference on one slice; the p-values are adjusted over all slices by Holm."""

    name: str
    difference: Difference
    adjusted_p_value: float


@dataclass(frozen=True)
class ModelComparison(Displayed, Record):
    """Model A against model B on one table.

    Parameters
    ----------
    differences
        A minus B, a metric each.
    only_a, only_b, mcnemar_p
        How many rows only one of them labels right, and the exact McNemar test's p-value; None for regression.
    disagreement
        Positions, from 0, of rows on which they differ most: other labels, or the largest differences of their errors.
    disagreements
        How many rows they label differently; 0 for regression.
    """

    a: str
    b: str
    data: str
    task: Task
    rows: int
    differences: tuple[Difference, ...]
    only_a: int | None = None
    only_b: int | None = None
    mcnemar_p: float | None = None
    slices: tuple[SliceDifference, ...] = ()
    five_by_two: FiveByTwo | None = None
    disagreements: int = 0
    disagreement: tuple[int, ...] = ()
    conventions: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One line: on which metrics A is better or worse beyond chance."""
        better = [d.metric for d in self.differences if d.better]
        worse = [d.metric for d in self.differences if (d.high < 0 if d.higher_is_better else d.low > 0)]
        if not better and not worse:
            return f"{self.a} and {self.b} do not differ beyond chance"
        parts = [f"better than {self.b} by {', '.join(better)}"] if better else []
        parts += [f"worse than {self.b} by {', '.join(worse)}"] if worse else []
        return f"{self.a} is {' and '.join(parts)}"

    def apart(self) -> str:
        """On which rows they differ most: the first few, and where the rest stands."""
        first = ", ".join(map(str, self.disagreement[:FIRST]))
        more = ", …" if len(self.disagreement) > FIRST else ""
        kept = f"; `.disagreement` holds {len(self.disagreement):,}" if more else ""
        return f"furthest apart on rows {first}{more} (of those evaluated, from 0){kept}"

    def difference(self, metric: str) -> Difference | None:
        """The difference of one metric, None if it was not compared."""
        return next((d for d in self.differences if d.metric == metric), None)

    def to_pandas(self) -> pd.DataFrame:
        """One row a metric."""
        import pandas as pd

        return pd.DataFrame([d.to_dict() for d in self.differences])

    def text(self) -> str:
        rows = [
            [d.metric, f"{d.value:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}", f"{d.p_value:.2g}", d.method]
            for d in self.differences
        ]
        head = f"{self.a} minus {self.b} on {self.data}: {self.rows:,} rows"
        lines = [self.verdict, head, table(["metric", "difference", "interval", "p", "by"], rows)]
        if self.mcnemar_p is not None:
            lines.append(
                f"McNemar (exact): only {self.a} right on {self.only_a or 0:,} rows, only {self.b} on {self.only_b or 0:,}, "
                f"p {self.mcnemar_p:.2g}; they disagree on {self.disagreements:,} rows"
            )
        if self.five_by_two is not None:
            lines.append(self.five_by_two.words())
        if self.disagreement:
            lines.append(self.apart())
        if self.slices:
            of = [
                [
                    s.name,
                    f"{s.difference.rows:,}",
                    f"{s.difference.value:+.4f}",
                    f"{s.difference.low:+.4f} to {s.difference.high:+.4f}",
                    f"{s.adjusted_p_value:.2g}",
                ]
                for s in self.slices
            ]
            lines.append(table(["slice", "rows", self.slices[0].difference.metric, "interval", "adjusted p"], of))
        return "\n".join(lines)
