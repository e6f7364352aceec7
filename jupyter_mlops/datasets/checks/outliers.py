"""Numbers far from all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...domain.data_check import Finding
from ..check import Check, Column, Floats, Subject, finding, share

NAME = "outliers"
FAR, ALONE, FURTHEST = 3.5, 6.0, 10.0
NORMAL_SHARE = 0.000465  # of a normal distribution beyond 3.5 deviations, both sides
TAIL = 0.01
ROBUST = f"robust z = 0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993); far is |z| > {FAR:g}"
FENCES = "beyond the outer fences: 3 interquartile ranges outside the quartiles (Tukey 1977), as the MAD is 0"


def robust_z(values: Floats) -> Floats | None:
    """Robust z-scores, None where the median absolute deviation is 0.

    Examples
    --------
    >>> robust_z(np.array([1.0, 2, 3, 4, 100])).round(4).tolist()
    [-1.349, -0.6745, 0.0, 0.6745, 65.4265]
    """
    middle = np.nanmedian(values)
    mad = np.nanmedian(np.abs(values - middle))
    return None if mad == 0 or not np.isfinite(mad) else np.asarray(0.6745 * (values - middle) / mad)


def look(subject: Subject, column: Column) -> Iterator[Finding]:
    """More numbers beyond 3.5 robust deviations than chance puts there in a normal distribution, or one beyond 6; worse if any is beyond 10."""
    if column.kind != "number" or len(column.uniques) <= 10:
        return
    values = np.where(np.isinf(column.numbers), np.nan, column.numbers)
    n = int(np.isfinite(values).sum())
    z = robust_z(values)
    if n < 20:
        return
    name = subject.code(column.name)
    if z is None:
        low, high = np.nanpercentile(values, [25, 75])
        width = high - low
        if width == 0:
            return
        away = np.flatnonzero((values < low - 3 * width) | (values > high + 3 * width))
        scores, rule, extreme = np.abs(values - (low + high) / 2) / width, FENCES, False
        bounds = (low - 3 * width, high + 3 * width)
    else:
        scores, rule = np.abs(z), ROBUST
        away = np.flatnonzero(scores > FAR)
        extreme = bool(np.nanmax(scores) > FURTHEST)
        middle = np.nanmedian(values)
        mad = np.nanmedian(np.abs(values - middle))
        bounds = (middle - FAR * mad / 0.6745, middle + FAR * mad / 0.6745)
    due = NORMAL_SHARE * n
    chance = 3 * due if z is None else max(3 * due, due + 3 * due**0.5 + 1)  # three deviations of a count, and one
    if not len(away) or (len(away) <= chance and (z is None or np.nanmax(scores) <= ALONE)):
        return
    away = away[np.argsort(-scores[away], kind="stable")]
    tail = len(away) / n > TAIL
    told = (
        f"a long tail: {share(len(away), n)} of the numbers are far from the middle"
        if tail
        else f"{len(away):,} {'number' if len(away) == 1 else 'numbers'} far from all others, the furthest {values[away[0]]:g}"
    )
    fix = (
        f"{name} = np.log1p({name})"
        if tail and np.nanmin(values) >= 0
        else f"{name} = {name}.clip({bounds[0]:.6g}, {bounds[1]:.6g})"
    )
    yield finding(
        NAME, "warning" if extreme and not tail else "info", column.name, told, away, of=n,
        examples=subject.examples(column, away), convention=rule, fix=fix,
        numbers={"median": np.nanmedian(values), "furthest": values[away[0]], "its score": scores[away[0]]},
    )  # fmt: skip


CHECK = Check(NAME, "numbers far from all others", look, each=True)
