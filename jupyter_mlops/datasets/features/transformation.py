"""Transformation: one scikit-learn object that turns a view's features into what a model takes, wherever that happens.

It is scikit-learn's own `ColumnTransformer`: stored with the model as any other step, read by stock MLflow, compiled by
the model server. It takes exactly the features of the views it was made for and passes over any other column; each of
its parts is called after the view it is for, so the stored model itself tells which version of which view it was made on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...domain.data_version import Column
from ...errors import InvalidArgument

__all__ = ["transformation"]


def transformation(parts: Sequence[tuple[str, Sequence[Column]]], steps: Any = None) -> Any:
    """The transformation of some views' features.

    Parameters
    ----------
    parts
        For each view its reference and its columns, as they are called in the joined table.
    steps
        What to do with the columns: a transformer or pipeline, fitted once for each view; a function of a table that
        gives a table; or None for what suits each column's type: medians for missing numbers, which are then scaled; the
        most frequent text for missing ones, and one column a text that at least 1 % of the rows have; one column a truth
        value.

    Raises
    ------
    InvalidArgument
        `steps` is none of these, or a column has a type that only a function can turn into numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> made = transformation([("activity@v1", [Column("spend", "float64"), Column("city", "string")])])
    >>> rows = pd.DataFrame({"id": [1, 2], "spend": [1.0, None], "city": ["Rome", "Oslo"]})
    >>> made.fit_transform(rows).shape
    (2, 3)
    """
    from sklearn.compose import ColumnTransformer

    made: list[tuple[str, Any, list[str]]] = []
    for ref, columns in parts:
        if steps is None:
            made += _by_type(ref, columns)
        else:
            made.append((ref, _transformer(steps), [column.name for column in columns]))
    return ColumnTransformer(made, remainder="drop", verbose_feature_names_out=False)


def _transformer(steps: Any) -> Any:
    from sklearn.base import clone
    from sklearn.preprocessing import FunctionTransformer

    if hasattr(steps, "fit") and hasattr(steps, "transform"):
        return clone(steps)
    if isinstance(steps, Callable):  # type: ignore[arg-type]  # the abstract class, asked as such
        return FunctionTransformer(steps, feature_names_out=None)
    raise InvalidArgument(
        f"{type(steps).__name__} transforms nothing.", hint="Give a scikit-learn transformer, a Pipeline or a function."
    )


def _by_type(ref: str, columns: Sequence[Column]) -> list[tuple[str, Any, list[str]]]:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [c.name for c in columns if c.type.startswith(("int", "uint", "float", "decimal"))]
    words = [c.name for c in columns if c.type == "string" or "[string]" in c.type]
    flags = [c.name for c in columns if c.type == "bool"]
    other = [c.name for c in columns if c.name not in {*numbers, *words, *flags}]
    if other:
        types = {c.name: c.type for c in columns}
        raise InvalidArgument(
            f"{', '.join(f'{name} ({types[name]})' for name in other)} cannot be turned into numbers by type alone.",
            hint="Leave them out of the view, or give the function or pipeline that does it.",
        )
    made = []
    if numbers:
        made.append((f"{ref} numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers))
    if words:
        coded = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.01, sparse_output=False)
        made.append((f"{ref} words", make_pipeline(SimpleImputer(strategy="most_frequent"), coded), words))
    if flags:
        made.append((f"{ref} flags", OneHotEncoder(handle_unknown="ignore", sparse_output=False), flags))
    return made
