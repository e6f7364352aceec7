"""PCA: as few principal components as keep a given share of the variance of the standardised columns."""

from __future__ import annotations

from .method import Chosen, Method
from .problem import Problem

__all__ = ["PCA"]


def choose(problem: Problem) -> Chosen:
    """Keep components up to the variance target; a column of words counts by one column a value.

    Gaps are filled with medians and the most frequent words; every column is scaled to variance 1 before, so that no
    unit of measurement outweighs another.
    """
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import PCA as Components  # noqa: N811 the method's name is ours here
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name in problem.inputs.columns if problem.is_number(str(name))]
    flags = [name for name in problem.inputs.columns if pd.api.types.is_bool_dtype(problem.inputs[name].dtype)]
    words = [name for name in problem.inputs.columns if name not in {*numbers, *flags}]
    coded = OneHotEncoder(handle_unknown="ignore", min_frequency=0.01, sparse_output=False)
    parts = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("flags", make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), StandardScaler()), flags),
        ("words", make_pipeline(SimpleImputer(strategy="most_frequent"), coded, StandardScaler()), words),
    ]
    before = ColumnTransformer([part for part in parts if part[2]])
    components = Components(n_components=problem.variance, svd_solver="full")
    made = make_pipeline(before, components).fit(problem.inputs)
    names = [f"pca{number}" for number in range(components.n_components_)]
    shares = [float(share) for share in components.explained_variance_ratio_]
    return Chosen(tuple(names), dict(zip(names, shares, strict=True)), made, sum(shares))


PCA = Method("pca", "share of the variance", choose)
