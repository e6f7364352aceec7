"""Groups that a table has too few rows of, or other shares of than the table it is compared with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...domain.data_check import Finding
from ..check import Check, Floats, Subject, finding, share

NAME = "representativeness"
FEW, EXPECTED = 30, 5
LEVEL, EFFECT = 0.01, 0.05
GROUPS = 200
RULE = (
    "Pearson's chi-squared test without correction, groups with an expected count below 5 taken together; told if p < 0.01 "
    "and Cramér's V >= 0.05"
)


def look(subject: Subject) -> Iterator[Finding]:
    """Small groups; shares of groups in both tables; the target's shares in the groups."""
    column = subject.column(subject.by)
    if not 2 <= len(column.uniques) <= GROUPS:
        return
    name = subject.code(subject.by)
    small = [i for i in range(len(column.uniques)) if column.counts[i] < FEW]
    if small:
        words = tuple(f"{column.uniques[i]}: {column.counts[i]}" for i in small[:5])
        yield finding(
            NAME, "warning", subject.by, f"{len(small)} groups of {subject.by} have fewer than {FEW} rows",
            np.flatnonzero(np.isin(column.codes, small)), of=len(column.codes),
            examples=() if subject.by in subject.personal else words,
            convention="of 30 rows a share is known to about 9 to 18 points (one standard error at 0.5: 9)",
            fix=f"{name} = {name}.where({name}.map({name}.value_counts()) >= {FEW}, 'other')",
        )  # fmt: skip
    if subject.test is not None and subject.by in {str(c) for c in subject.test.columns}:
        yield from _between(subject, subject.test[column.label])
    if subject.target and subject.classes and subject.target != subject.by:
        target = subject.column(subject.target)
        both = (column.codes >= 0) & (target.codes >= 0)
        k = len(target.uniques)
        wide = np.bincount(column.codes[both] * k + target.codes[both], minlength=len(column.uniques) * k)
        table = wide.reshape(-1, k).astype(float)
        chi2, p, effect = association(table)
        if p < LEVEL and effect >= EFFECT:
            rates = table / np.maximum(1, table.sum(axis=1, keepdims=True))
            label = (
                int(np.argmax(np.ptp(rates[table.sum(axis=1) >= FEW], axis=0)))
                if (table.sum(axis=1) >= FEW).any()
                else 0
            )
            order = np.argsort(rates[:, label])
            told = {f"share of {target.uniques[label]} in {column.uniques[i]}": rates[i, label] for i in order[:8]}
            yield finding(
                NAME, "info", (subject.by, subject.target),
                f"{subject.target} differs between the groups of {subject.by}: {target.uniques[label]} is "
                f"{share(rates[order[0], label], 1)} of {column.uniques[order[0]]}, {share(rates[order[-1], label], 1)} of {column.uniques[order[-1]]}",
                count=int(both.sum()), of=len(column.codes), numbers={"chi-squared": chi2, "p": p, "Cramér's V": effect, **told},
                convention=RULE, fix=f"{subject.name}.groupby({subject.labels([subject.by])[0]!r})[{subject.labels([subject.target])[0]!r}].value_counts(normalize=True)",
            )  # fmt: skip


def _between(subject: Subject, theirs: pd.Series) -> Iterator[Finding]:
    column = subject.column(subject.by)
    groups = pd.Index(column.uniques)
    codes = groups.get_indexer(theirs.dropna())
    unknown = int((codes < 0).sum())
    table = np.vstack([column.counts, np.bincount(codes[codes >= 0], minlength=len(groups))]).astype(float)
    if unknown:
        rows = np.flatnonzero(theirs.notna().to_numpy() & ~theirs.isin(column.uniques).to_numpy())
        yield finding(
            NAME, "warning", subject.by, f"{share(unknown, len(theirs))} of the test rows are of groups that {subject.name} has no row of",
            rows, of=len(theirs), convention="rows are counted in the test table",
            fix=f"test[~test[{column.label!r}].isin({subject.code(subject.by)})]",
        )  # fmt: skip
    chi2, p, effect = association(table)
    if p < LEVEL and effect >= EFFECT:
        parts = table / table.sum(axis=1, keepdims=True)
        far = np.argsort(-np.abs(parts[0] - parts[1]))[:5]
        told = {f"{groups[i]} here": parts[0, i] for i in far} | {f"{groups[i]} there": parts[1, i] for i in far}
        worst = far[0]
        yield finding(
            NAME, "warning", subject.by,
            f"the groups of {subject.by} have other shares than in the test table: {groups[worst]} {share(parts[0, worst], 1)} here, "
            f"{share(parts[1, worst], 1)} there",
            count=len(column.codes), of=len(column.codes), numbers={"chi-squared": chi2, "p": p, "Cramér's V": effect, **told},
            convention=RULE,
            fix=(
                f"weights = {subject.code(subject.by)}.map(test[{column.label!r}].value_counts(normalize=True) / "
                f"{subject.code(subject.by)}.value_counts(normalize=True))"
            ),
        )  # fmt: skip


def association(table: Floats) -> tuple[float, float, float]:
    """Chi-squared, p and Cramér's V of a table of counts, groups with a small expected count taken together.

    Examples
    --------
    >>> [round(number, 4) for number in association(np.array([[10.0, 20.0], [20.0, 10.0]]))]
    [6.6667, 0.0098, 0.3333]
    """
    from scipy.stats import chi2 as chi2_distribution

    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    for axis in (0, 1):  # of two tables side by side the groups are columns, of groups and classes rows
        if table.size:
            least = np.outer(table.sum(axis=1), table.sum(axis=0)).min(axis=1 - axis) / table.sum()
            weak = least < EXPECTED
            if weak.sum() > 1 and table.shape[axis] > 2:
                pooled = np.compress(weak, table, axis=axis).sum(axis=axis, keepdims=True)
                table = np.concatenate([np.compress(~weak, table, axis=axis), pooled], axis=axis)
    if table.size == 0 or min(table.shape) < 2:
        return 0.0, 1.0, 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chi2 = float(np.sum((table - expected) ** 2 / expected))
    p = float(chi2_distribution.sf(chi2, (table.shape[0] - 1) * (table.shape[1] - 1)))
    return chi2, p, float(np.sqrt(chi2 / table.sum() / (min(table.shape) - 1)))


CHECK = Check(NAME, "groups that are missing, few, or otherwise shared out", look, when=lambda s: bool(s.by))
