"""Method: one way to choose features, as data: a name, what its scores are, and the function that scores columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["Chosen", "Method", "keeping"]


@dataclass(frozen=True)
class Chosen:
    """What a method chose on some rows.

    Parameters
    ----------
    kept
        Columns or components, best first.
    scores
        Best first.
    transformer
        Fitted; gives what is kept.
    """

    kept: tuple[str, ...]
    scores: Mapping[str, float]
    transformer: Any
    variance: float | None = None


@dataclass(frozen=True)
class Method:
    """One way to choose.

    Parameters
    ----------
    measure
        What the scores are, in words.
    choose
        Called with the problem's rows to choose on.
    """

    name: str
    measure: str
    choose: Callable[[Problem], Chosen]


def keeping(problem: Problem, scores: Sequence[float]) -> Chosen:
    """Keep the columns with the highest scores; of equal ones the earlier.

    Examples
    --------
    >>> import pandas as pd
    >>> from jupyter_mlops.datasets.selection import Problem
    >>> problem = Problem(pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]}), pd.Series([0.5, 1]), keep=2)
    >>> keeping(problem, [0.1, 0.9, 0.1]).kept
    ('b', 'a')
    """
    from sklearn.compose import ColumnTransformer

    names = [str(column) for column in problem.inputs.columns]
    order = sorted(range(len(names)), key=lambda place: (-scores[place], place))
    kept = [names[place] for place in order[: problem.keep]]
    stay = [name for name in names if name in kept]  # in the table's order, so that a pipeline reads as before
    made = ColumnTransformer([("keep", "passthrough", stay)], remainder="drop", verbose_feature_names_out=False)
    made.set_output(transform="pandas")
    made.fit(problem.inputs)
    return Chosen(tuple(kept), {names[place]: float(scores[place]) for place in order}, made)
