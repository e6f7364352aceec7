"""Class metrics: what scikit-learn's metrics give for classes, each class counted once for all of them.

Five of its functions would each check and sort the same two columns again, which takes longer than a small fit. Only the
plain case is measured here: one output, the classes that the model was fitted with, no weights. For all else these give
None, and scikit-learn is asked; a test holds both equal.
"""

from __future__ import annotations

from typing import Any

__all__ = ["chance_metrics", "class_metrics"]


def class_metrics(model: Any, target: Any, predicted: Any) -> dict[str, float] | None:
    """Precision, recall and F1, averaged by how many instances a class truly has (0 where undefined), and accuracy.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> class_metrics(SimpleNamespace(classes_=["a", "b"]), ["a", "b", "b"], ["a", "b", "a"])["accuracy_score"]
    0.6666666666666666
    """
    import numpy as np

    true, told = (_codes(model, values) for values in (target, predicted))
    if true is None or told is None or len(true) != len(told) or not len(true):
        return None
    size = len(model.classes_)
    both = np.bincount(true * size + told, minlength=size * size).reshape(size, size)
    right, support, given = np.diag(both).astype(float), both.sum(axis=1), both.sum(axis=0)
    precision, recall = _share(right, given), _share(right, support)
    f1 = _share(2 * right, support + given)
    named = {"precision_score": precision, "recall_score": recall, "f1_score": f1}
    averaged = {name: float(np.average(values, weights=support)) for name, values in named.items()}
    return {**averaged, "accuracy_score": float(right.sum() / len(true))}


def chance_metrics(model: Any, target: Any, chances: Any) -> dict[str, float] | None:
    """The log loss, and the area under the ROC curve, of the probabilities of two classes.

    The area is the chance that one of the second class is ranked above one of the first, ties counting half (Mann and
    Whitney 1947); the loss clips probabilities by the precision of their type, natural logarithm.
    """
    import numpy as np

    true = _codes(model, target)
    if true is None or getattr(chances, "shape", None) != (len(true), 2) or chances.dtype.kind != "f":
        return None
    ones = int(true.sum())
    if not 0 < ones < len(true) or not np.isfinite(chances).all() or chances.min() < 0 or chances.max() > 1:
        return None
    if not np.allclose(chances.sum(axis=1), 1, rtol=np.sqrt(np.finfo(chances.dtype).eps)):
        return None
    least = np.finfo(chances.dtype).eps
    of_true = np.clip(chances, least, 1 - least)[np.arange(len(true)), true]
    order = np.argsort(chances[:, 1], kind="stable")
    ranked = chances[order, 1]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    sizes = np.diff(np.r_[starts, len(ranked)])
    ranks = np.repeat(starts + (sizes + 1) / 2, sizes)  # of equal ones the mean rank, from 1 on
    above = ranks[true[order] == 1].sum() - ones * (ones + 1) / 2
    return {"log_loss": float(-np.log(of_true).mean()), "roc_auc": float(above / (ones * (len(true) - ones)))}


def _codes(model: Any, values: Any) -> Any | None:
    """Values as places among the model's classes; None where that is not the plain case."""
    import numpy as np

    classes, found = np.asarray(getattr(model, "classes_", None)), np.asarray(values)
    if classes.ndim != 1 or found.ndim != 1 or not len(classes):
        return None
    kinds = {classes.dtype.kind, found.dtype.kind}
    if len(kinds) > 1 and not kinds <= set("UO"):
        return None
    try:
        places = np.searchsorted(classes, found)
        places[places == len(classes)] = 0
        return places if bool((classes[places] == found).all()) else None
    except TypeError:  # objects without an order, missing ones among them
        return None


def _share(part: Any, whole: Any) -> Any:
    import numpy as np

    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
