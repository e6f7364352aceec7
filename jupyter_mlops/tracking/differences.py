"""Differences: between the environments, the tables and the fold scores of runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import fmean, variance

from ..domain.run import FOLD, FoldDifference, Run, Series

__all__ = ["data_differences", "fold_differences", "other_versions", "paired_folds"]

LEVEL = 0.95
SHORT = 12


def other_versions(then: str, now: str) -> tuple[str, ...]:
    r"""What two environments, as pip's requirements, do not have alike; nothing where one of them is not known.

    Examples
    --------
    >>> other_versions("a==1\nb==2\n", "a==1\nb==3\nc==1\n")
    ('b 2 -> 3', 'c not installed -> 1')
    """
    if not then or not now:
        return ()
    were, are = _versions(then), _versions(now)
    return tuple(
        f"{name} {were.get(name, 'not installed')} -> {are.get(name, 'not installed')}"
        for name in dict.fromkeys([*were, *are])
        if are.get(name) != were.get(name)
    )


def data_differences(inputs: Sequence[Sequence[Mapping[str, str]]]) -> dict[str, tuple[str, ...]]:
    """Tables that not all runs used alike: by name, each run's data versions, else the beginnings of their digests.

    Parameters
    ----------
    inputs
        For each run its tables, each with ``name digest ref``. A run may have used several of one name: the version that
        it read, and the one that this was made from.

    Examples
    --------
    >>> one, other = {"name": "X", "digest": "b3:1", "ref": ""}, {"name": "X", "digest": "b3:2", "ref": "x@v2"}
    >>> data_differences([[one], [other]]), data_differences([[one], [one]]), data_differences([[one], [one, other]])
    ({'X': ('b3:1', 'x@v2')}, {}, {'X': ('b3:1', 'b3:1, x@v2')})
    """
    named = [
        {
            name: {one["digest"]: one["ref"] or one["digest"][:SHORT] for one in used if one["name"] == name}
            for name in names
        }
        for used, names in ((used, {one["name"] for one in used}) for used in inputs)
    ]
    found: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(one["name"] for used in inputs for one in used):
        if len({frozenset(used.get(name, ())) for used in named}) > 1:
            found[name] = tuple(", ".join(sorted(used.get(name, {}).values())) for used in named)
    return found


def fold_differences(runs: Sequence[Run], curves: Sequence[Series]) -> tuple[FoldDifference, ...]:
    """The paired test of every metric whose folds both runs hold."""
    held = [{s.metric: s for s in curves if s.run == run.id and s.metric.endswith(FOLD)} for run in runs]
    found = []
    for metric, one in held[0].items():
        other = held[1].get(metric)
        if other is not None and len(one.steps) > 1 and one.steps == other.steps:
            found.append(paired_folds(metric.removesuffix(FOLD), one.values, other.values))
    return tuple(found)


def paired_folds(metric: str, one: Sequence[float], other: Sequence[float]) -> FoldDifference:
    """The corrected resampled t-test of the scores of the same folds, see `FoldDifference`.

    Examples
    --------
    >>> paired_folds("cv_accuracy", [0.90, 0.92, 0.91], [0.93, 0.94, 0.95]).text()
    'cv_accuracy: 0.91 -> 0.94, difference +0.03 [-0.009278, +0.06928], p = 0.0814 (3 folds)'
    """
    from scipy.stats import t

    count = len(one)
    differences = [b - a for a, b in zip(one, other, strict=True)]
    mean = fmean(differences)
    error = math.sqrt((1 / count + 1 / (count - 1)) * variance(differences))
    margin = float(t.ppf((1 + LEVEL) / 2, count - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, count - 1)) if error else math.nan
    return FoldDifference(metric, count, (fmean(one), fmean(other)), mean, mean - margin, mean + margin, p)


def _versions(text: str) -> dict[str, str]:
    found = dict(line.partition("==")[::2] for line in text.splitlines() if "==" in line and not line.startswith("#"))
    python = re.search(r"^# Python (\S+),", text, re.MULTILINE)
    return ({"Python": python[1]} if python else {}) | found
