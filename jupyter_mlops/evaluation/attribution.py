"""Attribution: SHAP values of a model on rows, by the explainer that fits it, within a budget of seconds.

Trees and linear models are explained behind their pipeline's preparation, and the values of the columns it made are added up
to the column they came from, which Shapley values allow. Everything else is explained from outside, by permutations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidArgument, MissingDependency
from .forest_attribution import ForestExplainer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Attribution", "attribute", "output_of"]

Array = np.ndarray[Any, Any]
Explainer = tuple[Callable[[Array], Array], float]  # contributions of prepared rows, and the base

CHUNK = 25
BACKGROUND = 40


@dataclass(frozen=True)
class Attribution:
    """SHAP values of the first rows that fitted into the budget.

    Parameters
    ----------
    contributions
        (rows, columns), to the output of the positive or last class, or of the number predicted.
    base, outputs
        What the model gives without knowing anything, and what it gives for each row: base plus contributions.
    output
        What the output is, in words.
    """

    method: str
    output: str
    columns: tuple[str, ...]
    contributions: Array
    base: Array
    outputs: Array
    background: int

    @property
    def error(self) -> float:
        """The largest distance between base plus contributions and output."""
        return float(np.max(np.abs(self.base + self.contributions.sum(axis=1) - self.outputs)))


def attribute(
    estimator: Any,
    inputs: Any,
    at: int,
    *,
    budget: float,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _line: None,
) -> Attribution:
    """SHAP values of the rows of `inputs`, as many as fit into `budget` seconds.

    Parameters
    ----------
    at
        The class, as a position among the model's, whose output is explained; -1 for a number.

    Raises
    ------
    MissingDependency
        shap is not installed.
    """
    try:
        import shap
    except ImportError:
        raise MissingDependency.of("shap", why="to explain a model", extra="evaluation") from None
    before, final = _split(estimator)
    prepared = _dense(before.transform(inputs)) if before is not None else _dense(inputs)
    if prepared is not None:
        names = _names(before, inputs, prepared.shape[1])
        given = inputs if before is None else prepared
        if hasattr(final, "coef_"):
            found = _of_shap(shap.LinearExplainer(final, prepared), at)
            exact = _output(final, given, at, margin=True)
            return _explained("linear", found, prepared, names, inputs, exact, budget, progress)
        trees = _of_trees(shap, final, at)
        if trees is not None:
            exact = _output(final, given, at, margin=_boosted(final))
            return _explained("tree", trees, prepared, names, inputs, exact, budget, progress)
    return _from_outside(estimator, inputs, at, budget=budget, seed=seed, progress=progress)


def _of_trees(shap: Any, final: Any, at: int) -> Explainer | None:
    """What explains a model of trees: ours for scikit-learn's forests, whose trees are deep; None where there are none."""
    try:
        forest = ForestExplainer(final, at)
    except TypeError:
        pass
    else:
        return forest.shap_values, forest.expected_value
    try:
        explainer = shap.TreeExplainer(final)
    except Exception:  # shap's own word for "no trees": several kinds of exception
        return None
    return _of_shap(explainer, at, check_additivity=False)  # checked by ourselves, at every row


def _of_shap(explainer: Any, at: int, **settings: Any) -> Explainer:
    """One of shap's explainers for one class: an explainer of one margin tells of the second class."""
    base = np.asarray(explainer.expected_value, dtype=np.float64).ravel()
    sign = -1.0 if at == 0 else 1.0

    def values(chunk: Array) -> Array:
        raw = explainer.shap_values(chunk, **settings)
        if isinstance(raw, list):
            return np.asarray(raw[at], dtype=np.float64)
        found = np.asarray(raw, dtype=np.float64)
        return found[:, :, at] if found.ndim == 3 else sign * found.reshape(len(chunk), -1)

    return values, float(base[at] if len(base) > 1 else sign * base[0])


def output_of(estimator: Any, inputs: Any, at: int) -> tuple[Array, str]:
    """What a model gives for a class, its probability or else its score, or the number it predicts; and what that is."""
    return _output(estimator, inputs, at, margin=not callable(getattr(estimator, "predict_proba", None)))


def _split(estimator: Any) -> tuple[Any, Any]:
    if hasattr(estimator, "steps") and len(estimator.steps) > 1:
        return estimator[:-1], estimator[-1]
    return None, estimator[-1] if hasattr(estimator, "steps") else estimator


def _dense(prepared: Any) -> Array | None:
    """The prepared inputs as numbers, None where they are none."""
    if hasattr(prepared, "toarray"):
        prepared = prepared.toarray()
    try:
        return np.asarray(prepared, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _names(before: Any, inputs: Any, width: int) -> list[str]:
    """For each prepared column, the input column it came from, as far as its name tells."""
    columns = (
        [str(c) for c in inputs.columns] if hasattr(inputs, "columns") else [f"x{i}" for i in range(inputs.shape[1])]
    )
    if before is None:
        return columns
    try:
        made = [str(name) for name in before.get_feature_names_out()]
    except Exception:
        made = []
    if len(made) != width:
        return columns if len(columns) == width else [f"prepared {i}" for i in range(width)]
    found = []
    for name in made:
        bare = name.partition("__")[2] or name
        origin = [c for c in columns if bare == c or bare.startswith(f"{c}_")]
        found.append(max(origin, key=len) if origin else bare)
    return found


def _boosted(final: Any) -> bool:
    return callable(getattr(final, "decision_function", None)) or type(final).__module__.startswith(
        ("xgboost", "lightgbm")
    )


def _output(estimator: Any, inputs: Any, at: int, *, margin: bool) -> tuple[Array, str]:
    """The output that is explained, and its name."""
    if at < 0:
        return np.asarray(estimator.predict(inputs), dtype=np.float64).ravel(), "prediction"
    if margin and callable(getattr(estimator, "decision_function", None)):
        scores = np.asarray(estimator.decision_function(inputs), dtype=np.float64)
        if scores.ndim == 1:
            return scores if at == 1 else -scores, "log-odds" if hasattr(estimator, "predict_proba") else "score"
        return scores[:, at], "log-odds" if hasattr(estimator, "predict_proba") else "score"
    if margin and type(estimator).__module__.startswith("xgboost"):
        scores = np.asarray(estimator.predict(inputs, output_margin=True), dtype=np.float64)
        return (scores if at == 1 else -scores) if scores.ndim == 1 else scores[:, at], "log-odds"
    if margin and type(estimator).__module__.startswith("lightgbm"):
        scores = np.asarray(estimator.predict(inputs, raw_score=True), dtype=np.float64)
        return (scores if at == 1 else -scores) if scores.ndim == 1 else scores[:, at], "log-odds"
    if callable(getattr(estimator, "predict_proba", None)):
        return np.asarray(estimator.predict_proba(inputs), dtype=np.float64)[:, at], "probability"
    raise InvalidArgument("this model gives neither probabilities nor scores to explain.", hint="Leave --explain out.")


def _explained(
    method: str,
    explainer: Explainer,
    prepared: Array,
    names: list[str],
    inputs: Any,
    exact: tuple[Array, str],
    budget: float,
    progress: Callable[[str], None],
) -> Attribution:
    """Explain chunk after chunk until the budget is spent, and add up by input column."""
    contributions, base = explainer
    began = time.monotonic()
    parts: list[Array] = []
    done = 0
    step = CHUNK
    while done < len(prepared):
        chunk = prepared[done : done + step]
        parts.append(contributions(chunk))
        done += len(chunk)
        spent = time.monotonic() - began
        if spent > budget:
            break
        progress(f"SHAP ({method}): {done:,} of {len(prepared):,} rows")
        step = max(CHUNK, int(done * min(4.0, max(0.1, (budget - spent) / max(spent, 1e-6)))))
    values = np.concatenate(parts)
    columns = list(dict.fromkeys(names))
    place = np.array([columns.index(name) for name in names])
    summed = np.zeros((len(values), len(columns)))
    np.add.at(summed.T, place, values.T)
    outputs, word = exact
    return Attribution(
        method,
        word,
        tuple(columns),
        summed,
        np.full(done, base),
        outputs[:done],
        0 if method == "tree" else len(prepared),
    )


def _from_outside(
    estimator: Any, inputs: Any, at: int, *, budget: float, seed: int, progress: Callable[[str], None]
) -> Attribution:
    """Shapley values by permutations of columns against a background, of any model (Strumbelj and Kononenko 2014).

    Every permutation adds exactly up to output minus mean output of the background, so additivity holds by itself.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    frame: pd.DataFrame = inputs if hasattr(inputs, "columns") else pd.DataFrame(inputs)
    arrays = not hasattr(inputs, "columns")

    def ask(table: pd.DataFrame) -> Array:
        return output_of(estimator, table.to_numpy() if arrays else table, at)[0]

    background = frame.iloc[rng.choice(len(frame), min(BACKGROUND, len(frame)), replace=False)]
    base = float(ask(background).mean())
    width, size = len(frame.columns), len(background)
    found: list[Array] = []
    outputs: list[float] = []
    began = time.monotonic()
    for number in range(len(frame)):
        if found and time.monotonic() - began > budget:
            break
        row = frame.iloc[[number]]
        total = np.zeros(width)
        for order in (first := rng.permutation(width), first[::-1]):
            tables = [background]
            current = background
            for j in order:
                current = current.copy()
                current[frame.columns[j]] = np.repeat(row[frame.columns[j]].array, size)
                tables.append(current.astype(frame.dtypes.to_dict()))
            steps = ask(pd.concat(tables, ignore_index=True)).reshape(len(tables), size).mean(axis=1)
            total[order] += np.diff(steps) / 2
        found.append(total)
        outputs.append(base + float(total.sum()))
        progress(f"SHAP (permutations): {number + 1:,} of {len(frame):,} rows")
    exact, word = _output(estimator, inputs[: len(found)], at, margin=False)
    names: Sequence[str] = [str(c) for c in frame.columns]
    return Attribution(
        "permutation", word, tuple(names), np.array(found), np.full(len(found), base), exact, len(background)
    )
