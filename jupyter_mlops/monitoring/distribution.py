"""Distribution: both sides of a column in a few bins or categories, for drawing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..domain.drift_report import Distribution
from .samples import REST, Categories, Numbers, Sample, Texts, aligned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .samples import Floats

__all__ = ["MOST_BARS", "distribution"]

MOST_BARS = 30
FEW_VALUES = 12  # so many distinct numbers are shown one by one
LONGEST_LABEL = 60
STEPS = np.arange(MOST_BARS + 1) / MOST_BARS


def distribution(reference: Sample, current: Sample) -> Distribution | None:
    """The shares of both sides in at most thirty bins or categories; None when neither side has a value.

    Numbers stand in bins of equal width, the outermost of which also hold the tails; categories in the order of the
    reference, what is too many for the drawing in a last one.
    """
    if isinstance(reference, Texts) and isinstance(current, Texts):
        return distribution(reference.lengths, current.lengths)
    if not reference.rows and not current.rows:
        return None
    if isinstance(reference, Numbers) and isinstance(current, Numbers):
        sets = (reference.values, current.values)
        values = np.unique(np.concatenate(sets)) if max(map(len, sets)) <= FEW_VALUES else None
        if values is not None and len(values) <= FEW_VALUES:
            sides = [_counts_at(side, values) for side in (reference, current)]
            return _shares(*sides, labels=[f"{value:.6g}" for value in values])
        inner = _edges(reference, current)
        sides = [side.between(inner[1:-1]) for side in (reference, current)]
        return _shares(*sides, edges=inner)
    if isinstance(reference, Categories) and isinstance(current, Categories):
        labels, r, c = aligned(reference, current)
        if len(labels) > MOST_BARS:
            together = r / max(r.sum(), 1) + c / max(c.sum(), 1)
            if labels[-1] == REST:
                together[-1] = -1
            kept = _first_largest(together, MOST_BARS - 1)
            labels = [*(labels[i] for i in np.flatnonzero(kept)), f"({len(labels) - int(kept.sum()):,} others)"]
            r, c = (np.append(x[kept], x[~kept].sum()) for x in (r, c))
        return _shares(r, c, labels=[_short(label) for label in labels])
    return None


def _shares(
    reference: Floats, current: Floats, *, edges: Floats | None = None, labels: list[str] | None = None
) -> Distribution:
    sides = [tuple(np.round(side / (side.sum() or 1.0), 5).tolist()) for side in (reference, current)]
    return Distribution(
        sides[0],
        sides[1],
        edges=() if edges is None else _rounded(edges),
        labels=tuple(labels or ()),
    )


def _rounded(edges: Floats) -> tuple[float, ...]:
    """The edges to a ten-thousandth of a bin's width: short to write, and still apart far from zero."""
    width = float(edges[1] / 2 - edges[0] / 2) * 2  # all are alike
    if not 0 < width < np.inf:
        return tuple(float(edge) for edge in edges)
    decimals = min(300, max(-300, 4 - math.floor(math.log10(width))))
    return tuple([round(edge, decimals) for edge in edges.tolist()])


def _counts_at(side: Numbers, values: Floats) -> Floats:
    counts = np.zeros(len(values))
    counts[np.searchsorted(values, side.values)] = side.weights
    return counts


def _edges(reference: Numbers, current: Numbers) -> Floats:
    """Edges of equal width over what both sides hold, without far tails; between whole numbers where all are whole."""
    filled = [side for side in (reference, current) if side.rows]
    low, high = (float(pick(side.values[at] for side in filled)) for pick, at in ((min, 0), (max, -1)))
    inner_low, inner_high = (pick(side.tails[i] for side in filled) for i, pick in enumerate((min, max)))
    reach = inner_high - inner_low
    if reach > 0 and high - low > 2 * reach:
        low, high = max(low, inner_low - 0.1 * reach), min(high, inner_high + 0.1 * reach)
    if all(side.of_whole_numbers for side in filled) and high - low < 2**52:
        step = np.ceil((high - low + 1) / MOST_BARS)
        low = np.floor(low)
        count = int(np.ceil((high - low + 1) / step))
        whole: Floats = low - 0.5 + step * np.arange(count + 1)
        return whole
    # halves first: the width of the widest floats has no float of its own
    even: Floats = 2 * (low / 2 + (high / 2 - low / 2) * STEPS)
    even[-1] = high
    return even if even[0] < even[1] else np.unique(even)


def _first_largest(values: Floats, most: int) -> NDArray[np.bool_]:
    """Which of the values are the largest, so many; of equal ones the first."""
    smallest = np.partition(values, -most)[-most]
    found: NDArray[np.bool_] = values > smallest
    found[np.flatnonzero(values == smallest)[: most - int(found.sum())]] = True
    return found


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
