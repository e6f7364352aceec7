"""Compare: two profiles to a drift report: columns matched by name, detectors measured, one verdict a column.

The rule, for every column alike: it has drifted when a detector's difference is both too large to be chance and large
enough to matter, that is, its p-value, corrected over all columns and detectors, is below 0.05 and its value passes the
detector's threshold. A column that cannot be judged says so; it never passes for one that did not drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.profile import ColumnProfile, Profile
from ..domain.context import now_ms
from ..domain.drift_report import ColumnDrift, ColumnKind, DriftReport, Finding, Score
from ..errors import MLOpsError
from . import findings as find
from .correction import benjamini_hochberg
from .detector import Measurement
from .detectors import DETECTORS
from .distribution import distribution
from .samples import Categories, Numbers, Sample
from .thresholds import Thresholds

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVEL", "compare", "profile_of", "sample_of", "without_drawings"]

LEVEL = 0.05
CHANCE = 0.01  # a column that is constant more often than this by chance is not worth a word


@dataclass
class _Column:
    """One column on its way to a verdict."""

    reference: ColumnProfile
    current: ColumnProfile | None
    kind: ColumnKind
    measured: dict[str, Measurement] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    samples: tuple[Sample, Sample] | None = None

    def find(self, kind: str, message: str, severity: str = "warning") -> None:
        self.findings.append(Finding(self.reference.name, kind, message, severity))  # type: ignore[arg-type]  # ours


def profile_of(
    table: pd.DataFrame, *, like: Profile | None = None, side: str = "current"
) -> tuple[Profile, list[Finding]]:
    """The profile of a table, column by column: one that cannot be read is left out, and a finding says why."""
    kinds = {} if like is None else {column.name: column.kind for column in like.columns}
    columns, found = [], []
    for i, label in enumerate(table.columns):
        name = str(label)
        try:
            columns.append(ColumnProfile.of(table.iloc[:, i], name, kind=kinds.get(name)))
        except Exception as error:  # whatever one odd column does, the others are compared
            reason = error.message if isinstance(error, MLOpsError) else f"{type(error).__name__}: {error}"
            found.append(Finding(name, "unreadable", f"{name!r} of the {side} table cannot be read: {reason}", "error"))
    return Profile(len(table), tuple(columns)), found


def compare(
    reference: Profile,
    current: Profile,
    *,
    called: tuple[str, str] = ("reference", "current"),
    thresholds: Thresholds | None = None,
    found: Iterable[Finding] = (),
    only_in_current: bool = True,
) -> DriftReport:
    """What moved between two tables.

    Parameters
    ----------
    called
        What the two are, in words.
    found
        Findings made while the tables were read; their columns are not reported missing again.
    only_in_current
        Whether a column that only the current table has is worth a finding.
    """
    thresholds = thresholds or Thresholds()
    unread = list(found)
    hidden = {finding.column for finding in unread}
    names = [[c.name for c in side.columns] for side in (reference, current)]
    schema = [f for f in find.columns(*names) if f.column not in hidden]
    if not only_in_current:
        schema = [f for f in schema if f.kind != "extra-column"]
    twice = {name for side in names for name, count in Counter(side).items() if count > 1}
    by_name = {column.name: column for column in current.columns if column.name not in twice}
    columns = [_Column(c, by_name.get(c.name), c.kind) for c in {c.name: c for c in reference.columns}.values()]
    few = _too_few(reference, current)
    for column in columns:
        if column.current is not None:
            _measure(column, column.current, quiet=few is not None)
    pairs = [(c.reference, c.current) for c in columns if c.current is not None and c.reference.rows and c.current.rows]
    missing = find.missing_values(pairs)
    every = [*unread, *schema, *([few] if few else []), *missing, *(f for column in columns for f in column.findings)]
    known = {column.reference.name for column in columns}
    every += [
        Finding(name, "unknown-column", f"a threshold is set for {name!r}, which is not in the reference")
        for name in sorted(thresholds.columns - known)
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    return DriftReport(
        reference=called[0],
        current=called[1],
        columns=_judged(columns, thresholds),
        findings=tuple(sorted(every, key=lambda finding: order[finding.severity])),
        reference_rows=reference.rows,
        current_rows=current.rows,
        created_ms=now_ms(),
        convention=_convention(columns, thresholds),
    )


def sample_of(column: ColumnProfile) -> Sample:
    """A profiled column as the detectors read it: its numbers, an ``other`` column's lengths, or its labels."""
    if column.kind == "categorical":
        counted = zip(column.labels, column.counts, strict=True)
        return Categories({label: float(n) for label, n in counted}, float(column.rest))
    return Numbers(column.values, column.counts.astype(np.float64))


def _measure(column: _Column, current: ColumnProfile, *, quiet: bool) -> None:
    """Run every detector that fits on one column; whatever goes wrong is a finding, never an exception."""
    try:
        reference = column.reference
        retyped = find.retyped(reference, current)
        infinite = find.infinities(reference, current)
        column.findings += [finding for finding in (retyped, infinite) if finding is not None]
        if reference.type == "null" and current.type != "null":
            column.find("filled", f"{reference.name!r} had no values in the reference and has {current.present:,} now")
            return
        if _emptied(column, current, quiet=quiet):
            return
        if reference.kind != current.kind:
            if retyped is None or retyped.severity == "info":
                now = f"{reference.kind} in the reference and {current.kind} now"
                column.find("retyped", f"{reference.name!r} is {now}; it cannot be compared", "error")
            return
        column.samples = (sample_of(reference), sample_of(current))
        column.findings += _on_values(reference, current)
        _run(column, *column.samples, quiet=quiet)
    except Exception as error:  # one odd column must not cost the report of the others
        column.measured.clear()
        column.find(
            "failed", f"{column.reference.name!r} could not be compared: {type(error).__name__}: {error}", "error"
        )


def _run(column: _Column, reference: Sample, current: Sample, *, quiet: bool) -> None:
    kind: ColumnKind = "categorical" if isinstance(reference, Categories) else "numeric"
    fewest = min(reference.rows, current.rows)
    name = column.reference.name
    fitting = [detector for detector in DETECTORS.values() if kind in detector.kinds]
    if all(fewest < detector.min_rows for detector in fitting):
        if not quiet:
            side = "current" if current.rows <= reference.rows else "reference"
            needed = min(detector.min_rows for detector in fitting)
            column.find("few-rows", f"{name!r} has {fewest:,.0f} values in the {side} table; {needed} are needed")
        return
    for detector in fitting:
        if fewest >= detector.min_rows:
            found = detector.measure(reference, current)
            if found is not None and np.isfinite(found.value):
                column.measured[detector.name] = found
    if not column.measured and kind == "categorical":
        if len(reference.counts) == 1 and reference.counts.keys() == current.counts.keys():  # type: ignore[union-attr]
            column.measured["chi2"] = Measurement(0.0, 1.0)
        else:
            column.find("rare-categories", f"every category of {name!r} is too rare to be compared")


def _emptied(column: _Column, current: ColumnProfile, *, quiet: bool) -> bool:
    """Whether a side has no value to compare; says so."""
    name, reference = column.reference.name, column.reference
    if reference.present and current.present:
        return False
    if current.rows and reference.present:
        what = "only infinite values" if current.infinite else "no values"
        column.find(
            "empty", f"{name!r} has {what} in the current table; it has {reference.present:,} in the reference", "error"
        )
    elif not quiet and reference.rows:
        column.find("empty", f"{name!r} has no values in the reference; it cannot be compared", "info")
    return True


def _on_values(reference: ColumnProfile, current: ColumnProfile) -> list[Finding]:
    name = reference.name
    if reference.kind == "categorical":
        return find.categories(reference, current)
    found = []
    if reference.kind == "numeric" and current.distinct == 1 and reference.distinct > 1:
        only = float(current.values.item())  # noqa: PD011 an array already
        share = float(reference.counts[reference.values == only].sum()) / reference.present  # noqa: PD011 the same
        if share**current.present < CHANCE:
            found.append(Finding(name, "constant", f"{name!r} is always {only:g} in the current table"))
    if reference.kind == "other":
        found.append(Finding(name, "lengths", f"{name!r} is compared by the lengths of its values only", "info"))
    return found


def _too_few(reference: Profile, current: Profile) -> Finding | None:
    needed = min(detector.min_rows for detector in DETECTORS.values())
    for side, rows in (("current", current.rows), ("reference", reference.rows)):
        if rows < needed:
            what = "row" if rows == 1 else "rows"
            return Finding(
                "", "few-rows", f"the {side} table has {rows:,} {what}; drift needs at least {needed}", "error"
            )
    return None


def _judged(columns: list[_Column], thresholds: Thresholds) -> tuple[ColumnDrift, ...]:
    """The verdicts: every p-value of the report corrected together, then value against threshold."""
    tested = [
        (i, name, m.p_value) for i, c in enumerate(columns) for name, m in c.measured.items() if m.p_value is not None
    ]
    corrected = benjamini_hochberg([p for _, _, p in tested])
    adjusted = {(i, name): p for (i, name, _), p in zip(tested, corrected, strict=True)}
    judged = []
    for i, column in enumerate(columns):
        smallest = min((adjusted[i, name] for name in column.measured if (i, name) in adjusted), default=None)
        scores = []
        for name, found in column.measured.items():
            detector, threshold = DETECTORS[name], thresholds.of(name, column.reference.name)
            p = adjusted.get((i, name))
            significant = p if p is not None else smallest
            alarm = significant is not None and significant < LEVEL and detector.passes(found.value, threshold)
            scores.append(Score(name, found.value, threshold, detector.alarm_when, alarm, found.p_value, p))
        judged.append(_verdict(column, tuple(scores), known=smallest is not None))
    return tuple(judged)


def _verdict(column: _Column, scores: tuple[Score, ...], *, known: bool) -> ColumnDrift:
    reference, current = column.reference, column.current
    drawn = None
    if column.samples is not None:
        try:
            drawn = distribution(*column.samples)
        except (ArithmeticError, ValueError, IndexError):  # the verdict stands without its picture
            drawn = None
    return ColumnDrift(
        name=reference.name,
        kind=column.kind,
        drifted=any(score.alarm for score in scores) if known else None,
        scores=scores,
        reference_rows=reference.rows,
        current_rows=0 if current is None else current.rows,
        reference_missing=reference.missing / reference.rows if reference.rows else 0.0,
        current_missing=current.missing / current.rows if current is not None and current.rows else 0.0,
        distribution=drawn,
    )


def _convention(columns: list[_Column], thresholds: Thresholds) -> str:
    used = [name for name in DETECTORS if any(name in column.measured for column in columns)]
    told = [f"{name} ({DETECTORS[name].unit}): {DETECTORS[name].convention}" for name in used]
    rule = (
        "a column has drifted when a detector's p-value, corrected over all columns and detectors (Benjamini-Hochberg), "
        f"is below {LEVEL:g} and its value passes its threshold ({thresholds.text()}); missing and infinite values are "
        "left out and reported by themselves"
    )
    missing = (
        "a changed share of missing values is reported when the two-proportion test, corrected over the columns, is "
        f"below {find.LEVEL:g} and the change is at least {find.MISSING_CHANGE:.0%}"
    )
    return "\n".join([rule, *told, missing])


def without_drawings(report: DriftReport) -> DriftReport:
    """The report without the distributions, for lists."""
    return replace(report, columns=tuple(replace(column, distribution=None) for column in report.columns))
