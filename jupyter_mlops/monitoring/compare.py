"""Compare: two sides to a drift report: columns matched by name, detectors measured, one verdict a column.

The rule, for every column alike: it has drifted when a detector's difference is both too large to be chance and large
enough to matter, that is, its p-value, corrected over all columns and detectors, is below 0.01 and its value passes the
detector's threshold. A column that cannot be judged says so; it never passes for one that did not drift.

Why these numbers: at 0.01 (and 0.01 for missing values and for categories) fewer than one report in twenty of unchanged
tables tells of anything, whatever their size and number of columns; the thresholds of KS (0.02) and of the Wasserstein
distance (0.05 standard deviations) let a shift of a tenth of a standard deviation through, which moves D by 0.03 to 0.04
and only the heaviest tails by less. PSI's 0.1 is the custom of the trade. How large a drift is stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.profile import ColumnProfile, Profile
from ..datasets.tokens import Vocabulary
from ..domain.context import now_ms
from ..domain.drift_report import ColumnDrift, ColumnKind, Distribution, DriftReport, Finding, Score
from ..errors import InvalidArgument, MLOpsError
from . import findings as find
from .correction import benjamini_hochberg
from .detector import Detector, Measurement
from .detectors import DETECTORS
from .distribution import distribution
from .samples import Categories, Numbers, Sample, Texts
from .sources import FrameSource, Source, source_of
from .thresholds import Thresholds

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["chosen_detectors", "compare", "profile_of", "sample_of", "without_drawings"]

CHANCE = 1e-4  # a column that is constant more often than this by chance is not worth a word


@dataclass
class _Column:
    """One column on its way to a verdict; the values themselves are let go as soon as they are measured."""

    reference: ColumnProfile
    current: ColumnProfile | None = None
    measured: dict[str, Measurement] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    changes: list[find.LabelChange] = field(default_factory=list)
    drawn: Distribution | None = None
    error: float = 0.0

    def find(self, kind: str, message: str, severity: str = "warning") -> None:
        self.findings.append(Finding(self.reference.name, kind, message, severity))  # type: ignore[arg-type]  # ours


def profile_of(
    table: pd.DataFrame, *, like: Profile | None = None, side: str = "current"
) -> tuple[Profile, list[Finding]]:
    """The profile of a table, column by column: one that cannot be read is left out, and a finding says why."""
    source = FrameSource(table)
    known = {} if like is None else {column.name: column for column in like.columns}
    columns: list[ColumnProfile] = []
    found: list[Finding] = []
    for i, name in enumerate(source.names):
        column = _read(source, i, known.get(name), side, found)
        if column is not None:
            columns.append(column)
    return Profile(len(table), tuple(columns)), found


def chosen_detectors(names: Sequence[str] = (), thresholds: Thresholds | None = None) -> tuple[Detector, ...]:
    """The detectors to measure: the standard ones, or those named (``all`` for every one), and those with a threshold set.

    Raises
    ------
    InvalidArgument
        There is no detector of this name.
    """
    wanted = {d.name for d in DETECTORS.values() if d.standard} if not names else set()
    for name in names:
        if name != "all" and name not in DETECTORS:
            raise InvalidArgument.unknown("detector", name, [*DETECTORS, "all"])
        wanted |= set(DETECTORS) if name == "all" else {name}
    wanted |= set() if thresholds is None else thresholds.asked
    return tuple(detector for detector in DETECTORS.values() if detector.name in wanted)


def compare(
    reference: Profile | Source,
    current: Profile | Source,
    *,
    called: tuple[str, str] = ("reference", "current"),
    thresholds: Thresholds | None = None,
    detectors: Sequence[str] = (),
    found: Iterable[Finding] = (),
    only_in_current: bool = True,
) -> DriftReport:
    """What moved between two tables.

    Parameters
    ----------
    reference, current
        Profiles, or sources whose columns are read here one after the other.
    called
        What the two are, in words.
    detectors
        Which to measure, see `chosen_detectors`.
    found
        Findings made while the tables were read; their columns are not reported missing again.
    only_in_current
        Whether a column that only the current table has is worth a finding.
    """
    thresholds = thresholds or Thresholds()
    using = chosen_detectors(detectors, thresholds)
    before, now = source_of(reference), source_of(current)
    unread = list(found)
    few = _too_few(before, now)
    columns = []
    twice = {name for side in (before, now) for name, count in Counter(side.names).items() if count > 1}
    places = {name: i for i, name in enumerate(now.names) if name not in twice}
    first_places = {name: before.names.index(name) for name in dict.fromkeys(before.names)}
    for name, place in first_places.items():
        mine = _read(before, place, None, "reference", unread)
        if mine is None:
            continue
        theirs = _read(now, places[name], mine, "current", unread) if name in places else None
        column = _Column(mine, theirs)
        if theirs is not None:
            _measure(column, theirs, using, quiet=few is not None)
            column.current = theirs.without_values()
        column.reference = mine.without_values()
        columns.append(column)
    hidden = {finding.column for finding in unread}
    schema = [f for f in find.columns(before.names, now.names) if f.column not in hidden]
    if not only_in_current:
        schema = [f for f in schema if f.kind != "extra-column"]
    pairs = [(c.reference, c.current) for c in columns if c.current is not None and c.reference.rows and c.current.rows]
    every = [
        *unread,
        *schema,
        *([few] if few else []),
        *find.missing_values(pairs, thresholds),
        *find.categories([change for column in columns for change in column.changes], thresholds),
        *(f for column in columns for f in column.findings),
    ]
    every += [
        Finding(name, "unknown-column", f"a threshold is set for {name!r}, which is not in the reference")
        for name in sorted(thresholds.columns - set(before.names))
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    return DriftReport(
        reference=called[0],
        current=called[1],
        columns=_judged(columns, thresholds),
        findings=tuple(sorted(every, key=lambda finding: order[finding.severity])),
        reference_rows=before.rows,
        current_rows=now.rows,
        created_ms=now_ms(),
        convention=_convention(columns, thresholds, using),
    )


def sample_of(column: ColumnProfile) -> Sample:
    """A profiled column as the detectors read it: its numbers, an ``other`` column's lengths, its labels or its words."""
    found: Sample | None = column.memo.get("sample")
    if found is None:
        if column.kind == "categorical":
            found = Categories(column.labels, column.counts.astype(np.float64), float(column.rest))
        else:
            single = len(column.values) == column.present
            moments = column.moments if column.mean is not None else None
            found = Numbers(column.values, None if single else column.counts.astype(np.float64), moments)
            if column.kind == "text":
                found = Texts(found, column.words or Vocabulary())
        column.memo["sample"] = found
    return found


def _read(
    source: Source, place: int, like: ColumnProfile | None, side: str, found: list[Finding]
) -> ColumnProfile | None:
    name = source.names[place]
    try:
        return source.read(place, like)
    except Exception as error:  # whatever one odd column does, the others are compared
        reason = error.message if isinstance(error, MLOpsError) else f"{type(error).__name__}: {error}"
        found.append(Finding(name, "unreadable", f"{name!r} of the {side} table cannot be read: {reason}", "error"))
        return None


def _measure(column: _Column, current: ColumnProfile, using: Sequence[Detector], *, quiet: bool) -> None:
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
        sides = (sample_of(reference), sample_of(current))
        column.error = reference.error + current.error
        earlier, later = sides
        if isinstance(earlier, Categories) and isinstance(later, Categories):
            column.changes = find.label_changes(reference.name, earlier, later)
        column.findings += _on_values(reference, current)
        _run(column, *sides, using, quiet=quiet)
    except Exception as error:  # one odd column must not cost the report of the others
        column.measured.clear()
        column.find(
            "failed", f"{column.reference.name!r} could not be compared: {type(error).__name__}: {error}", "error"
        )
        return
    try:
        column.drawn = distribution(*sides)
    except (ArithmeticError, ValueError, IndexError):  # the verdict stands without its picture
        column.drawn = None


def _run(column: _Column, reference: Sample, current: Sample, using: Sequence[Detector], *, quiet: bool) -> None:
    kinds: dict[type, ColumnKind] = {Categories: "categorical", Numbers: "numeric", Texts: "text"}
    kind = kinds[type(reference)]
    fewest = min(reference.rows, current.rows)
    name = column.reference.name
    fitting = [detector for detector in using if kind in detector.kinds]
    if not fitting:
        column.find("not-measured", f"none of the chosen detectors measures a {kind} column such as {name!r}", "info")
        return
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
    if isinstance(reference, Categories) and isinstance(current, Categories) and not column.measured:
        if len(reference.labels) == 1 and reference.labels == current.labels:
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
    found = []
    if reference.kind == "numeric" and current.distinct == 1 and reference.distinct > 1:
        only = float(current.values.item())  # noqa: PD011 an array already
        share = float(reference.counts[reference.values == only].sum()) / reference.present  # noqa: PD011 the same
        if share**current.present < CHANCE:
            found.append(Finding(name, "constant", f"{name!r} is always {only:g} in the current table"))
    if reference.kind == "other":
        found.append(Finding(name, "lengths", f"{name!r} is compared by the lengths of its values only", "info"))
    return found


def _too_few(reference: Source, current: Source) -> Finding | None:
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
        level = thresholds.rule("level", column.reference.name)
        scores = []
        for name, found in column.measured.items():
            detector, threshold = DETECTORS[name], thresholds.of(name, column.reference.name)
            p = adjusted.get((i, name))
            significant = p if p is not None else smallest
            alarm = significant is not None and significant < level and detector.passes(found.value, threshold)
            scores.append(
                Score(
                    name,
                    found.value,
                    threshold,
                    detector.alarm_when,
                    alarm,
                    found.p_value,
                    p,
                    detector.is_large(found.value),
                )
            )
        judged.append(_verdict(column, tuple(scores), known=smallest is not None))
    return tuple(judged)


def _verdict(column: _Column, scores: tuple[Score, ...], *, known: bool) -> ColumnDrift:
    reference, current = column.reference, column.current
    return ColumnDrift(
        name=reference.name,
        kind=reference.kind,
        drifted=any(score.alarm for score in scores) if known else None,
        scores=scores,
        reference_rows=reference.rows,
        current_rows=0 if current is None else current.rows,
        reference_missing=reference.missing / reference.rows if reference.rows else 0.0,
        current_missing=current.missing / current.rows if current is not None and current.rows else 0.0,
        distribution=column.drawn,
    )


def _convention(columns: list[_Column], thresholds: Thresholds, using: Sequence[Detector]) -> str:
    used = [d for d in using if any(d.name in column.measured for column in columns)]
    told = [f"{detector.name} ({detector.unit}): {detector.convention}" for detector in used]
    rule = (
        "a column has drifted when a detector's p-value, corrected over all columns and detectors (Benjamini-Hochberg), "
        f"is below {thresholds.rule('level'):g} and its value passes its threshold "
        f"({thresholds.text([d.name for d in used] or [d.name for d in using])}); missing and infinite values are "
        "left out and reported by themselves"
    )
    others = (
        "a changed share of missing values is reported when the two-proportion test, corrected over the columns, is "
        f"below {find.LEVEL:g} and the change is at least {thresholds.rule('missing'):.4g}; new and vanished categories are a "
        f"warning when the same test, corrected alike, puts their share (at least {thresholds.rule('new'):g}) above the "
        "share of labels that one row alone holds on the side that lacks them (Good-Turing)"
    )
    error = max((column.error for column in columns), default=0.0)
    grid = (
        [f"distributions are kept as groups of sorted values: any cumulative share is within {error:.2g}"]
        if error
        else []
    )
    return "\n".join([rule, *told, others, *grid])


def without_drawings(report: DriftReport) -> DriftReport:
    """The report without the distributions, for lists."""
    return replace(report, columns=tuple(replace(column, distribution=None) for column in report.columns))
