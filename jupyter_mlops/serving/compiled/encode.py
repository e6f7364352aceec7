"""Encode: fitted scikit-learn transformers as operations; what is not certain to be the same is not compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .operations import (
    FUNCTIONS,
    Arithmetic,
    Bins,
    Codes,
    FillMissing,
    FillThings,
    Function,
    IsMissing,
    Join,
    Numbers,
    OneHot,
    Operation,
    Products,
    Project,
    Select,
    Things,
)

__all__ = ["Encoded", "NotCompilable", "Raw", "encode", "matrix"]

NUMERIC = ("double", "float", "long", "integer", "boolean")


class NotCompilable(Exception):
    """There is no operation that is certain to compute the same; says for what."""


@dataclass(frozen=True)
class Raw:
    """Columns of the request, untouched so far.

    Parameters
    ----------
    columns
        Their numbers.
    types
        MLflow's types of them.
    names
        Their names; empty for an array.
    """

    columns: tuple[int, ...]
    types: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many columns."""
        return len(self.columns)

    @property
    def numeric(self) -> bool:
        """Whether all of them hold numbers."""
        return all(kind in NUMERIC for kind in self.types)

    def some(self, which: Sequence[int]) -> Raw:
        """Some of the columns."""
        return Raw(
            tuple(self.columns[i] for i in which),
            tuple(self.types[i] for i in which),
            tuple(self.names[i] for i in which) if self.names else (),
        )


@dataclass(frozen=True)
class Encoded:
    """An operation and how many columns it gives."""

    operation: Operation
    width: int


Source = Raw | Encoded


def matrix(source: Source) -> Encoded:
    """The source as numbers.

    Raises
    ------
    NotCompilable
        It holds text.
    """
    if isinstance(source, Encoded):
        return source
    if not source.numeric:
        raise NotCompilable("a step for numbers is given other columns")
    single = bool(source.types) and all(kind == "float" for kind in source.types)
    rounded = [] if single else [i for i, kind in enumerate(source.types) if kind == "float"]
    return Encoded(Numbers(list(source.columns), "float32" if single else "float64", rounded), source.width)


def encode(transformer: Any, source: Source) -> Source:
    """What the fitted transformer makes of the source.

    Raises
    ------
    NotCompilable
        It, or something in it, has no operation.
    """
    kind = type(transformer)
    name = kind.__name__
    compile_ = COMPILERS.get(name)
    if compile_ is None or not kind.__module__.startswith("sklearn."):
        raise NotCompilable(f"{name} has no compiled form")
    return compile_(transformer, source)


def _pipeline(pipeline: Any, source: Source) -> Source:
    for _, step in pipeline.steps:
        if step is not None and step != "passthrough":
            source = encode(step, source)
    return source


def _column_transformer(transformer: Any, source: Source) -> Source:
    parts: list[Source] = []
    weights = transformer.transformer_weights or {}
    for name, step, given in transformer.transformers_:
        where = _positions(given, source)
        if step == "drop" or not where:
            continue
        if isinstance(given, str) or (isinstance(given, int) and not isinstance(given, bool)):
            raise NotCompilable(f"{name} takes a column as a vector")
        some: Source = (
            source.some(where) if isinstance(source, Raw) else Encoded(Select(source.operation, where), len(where))
        )
        made = some if step == "passthrough" else encode(step, some)
        if weights.get(name) is not None:
            made = _scaled(matrix(made), "multiply", weights[name])
        parts.append(made)
    return _joined(parts)


def _positions(given: Any, source: Source) -> list[int]:
    names = source.names if isinstance(source, Raw) else ()
    width = source.width
    if isinstance(given, slice):
        if isinstance(given.start, str) or isinstance(given.stop, str):
            raise NotCompilable("columns are chosen by a slice of names")
        return list(range(width))[given]
    if isinstance(given, (str, int)) and not isinstance(given, bool):
        given = [given]
    chosen = list(given)
    if chosen and all(isinstance(c, (bool, np.bool_)) for c in chosen):
        return [i for i, taken in enumerate(chosen) if taken]
    if chosen and isinstance(chosen[0], str):
        missing = [c for c in chosen if c not in names]
        if missing:
            raise NotCompilable(f"the column {missing[0]} is not in the signature")
        return [names.index(c) for c in chosen]
    return [int(c) % width for c in chosen]


def _union(union: Any, source: Source) -> Source:
    weights = union.transformer_weights or {}
    parts: list[Source] = []
    for name, step in union.transformer_list:
        if step == "drop":
            continue
        made = source if step == "passthrough" else encode(step, source)
        parts.append(_scaled(matrix(made), "multiply", weights[name]) if weights.get(name) is not None else made)
    return _joined(parts)


def _joined(parts: list[Source]) -> Source:
    if not parts:
        raise NotCompilable("nothing is left of the columns")
    raw = [part for part in parts if isinstance(part, Raw)]
    if len(raw) == len(parts):  # nothing but choosing: the names are new ones, as scikit-learn's are
        return Raw(tuple(c for p in raw for c in p.columns), tuple(t for p in raw for t in p.types))
    made = [matrix(part) for part in parts]
    if len(made) == 1:
        return made[0]
    return Encoded(Join([part.operation for part in made]), sum(part.width for part in made))


def _scaled(source: Encoded, kind: str, by: Any, rounded: bool = False) -> Encoded:
    return Encoded(Arithmetic(source.operation, kind, np.asarray(by, dtype=np.float64), rounded), source.width)


def _standard(scaler: Any, source: Source) -> Source:
    import sklearn

    rounded = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)
    found = matrix(source)
    if scaler.with_mean:
        found = _scaled(found, "subtract", scaler.mean_, rounded)
    return _scaled(found, "divide", scaler.scale_, rounded) if scaler.with_std else found


def _min_max(scaler: Any, source: Source) -> Source:
    found = _scaled(_scaled(matrix(source), "multiply", scaler.scale_), "add", scaler.min_)
    if scaler.clip:
        low, high = scaler.feature_range
        return Encoded(Function(found.operation, ["clip"], low, high), found.width)
    return found


def _max_abs(scaler: Any, source: Source) -> Source:
    if getattr(scaler, "clip", False):
        raise NotCompilable("MaxAbsScaler(clip=True) has no compiled form")
    return _scaled(matrix(source), "divide", scaler.scale_)


def _robust(scaler: Any, source: Source) -> Source:
    found = matrix(source)
    if scaler.with_centering:
        found = _scaled(found, "subtract", scaler.center_)
    return _scaled(found, "divide", scaler.scale_) if scaler.with_scaling else found


def _imputer(imputer: Any, source: Source) -> Source:
    given = imputer.missing_values
    statistics = np.asarray(imputer.statistics_)
    if isinstance(source, Raw) and not source.numeric:
        if imputer.add_indicator or not (given is None or given != given):  # noqa: PLR0124 NaN
            raise NotCompilable("SimpleImputer on text replaces something else than missing values")
        return Encoded(FillThings(Things(list(source.columns)), [_plain(v) for v in statistics]), source.width)
    if not (isinstance(given, float) and np.isnan(given)):
        raise NotCompilable(f"SimpleImputer replaces {given!r}")
    found = matrix(source)
    values = statistics.astype(np.float64)
    keep = [i for i, value in enumerate(values) if not np.isnan(value)]
    operation: Operation = FillMissing(found.operation, np.where(np.isnan(values), 0.0, values))
    if len(keep) < found.width:
        operation = Select(operation, keep)
    if not imputer.add_indicator:
        return Encoded(operation, len(keep))
    columns = [int(i) for i in imputer.indicator_.features_]
    return Encoded(Join([operation, IsMissing(found.operation, columns)]), len(keep) + len(columns))


def _things(source: Source) -> Operation:
    if isinstance(source, Encoded):
        return source.operation
    if "datetime" in source.types or "binary" in source.types:
        raise NotCompilable("times and bytes are encoded by category")
    return Things(list(source.columns))


def _one_hot(encoder: Any, source: Source) -> Source:
    values, places, unknown, at = [], [], [], 0
    infrequent = getattr(encoder, "_infrequent_enabled", False)
    for number, categories in enumerate(encoder.categories_):
        rare = encoder.infrequent_categories_[number] if infrequent else None
        mapping = (
            [int(i) for i in encoder._default_to_infrequent_mappings[number]]  # noqa: SLF001 nowhere else is it kept
            if rare is not None and len(rare)
            else list(range(len(categories)))
        )
        dropped = None
        if encoder.drop_idx_ is not None and encoder.drop_idx_[number] is not None:
            dropped = mapping[int(encoder.drop_idx_[number])]
        size = max(mapping, default=-1) + 1
        kept = [i for i in range(size) if i != dropped]
        where = {old: at + new for new, old in enumerate(kept)}
        values.append([_plain(c) for c in categories])
        places.append([where.get(m, -1) for m in mapping])
        rule = encoder.handle_unknown
        if rule in ("infrequent_if_exist", "warn") and rare is not None and len(rare):
            unknown.append(where.get(size - 1, -1))
        else:
            unknown.append(-2 if rule == "error" else -1)
        at += len(kept)
    _check_missing(values, source)
    return Encoded(OneHot(_things(source), values, places, unknown, at, str(np.dtype(encoder.dtype))), at)


def _ordinal(encoder: Any, source: Source) -> Source:
    if getattr(encoder, "_infrequent_enabled", False):
        raise NotCompilable("OrdinalEncoder groups rare categories")
    values = [[_plain(c) for c in categories] for categories in encoder.categories_]
    _check_missing(values, source)
    codes = [
        [encoder.encoded_missing_value if v is None or v != v else float(i) for i, v in enumerate(some)]  # noqa: PLR0124 NaN
        for some in values
    ]
    refuses = encoder.handle_unknown == "error"
    unknown = float("nan") if refuses else float(encoder.unknown_value)
    made = Codes(_things(source), values, codes, [unknown] * len(values), refuses, str(np.dtype(encoder.dtype)))
    return Encoded(made, len(values))


def _target(encoder: Any, source: Source) -> Source:
    if encoder.target_type_ == "multiclass":
        raise NotCompilable("TargetEncoder for several classes has no compiled form")
    values = [[_plain(c) for c in categories] for categories in encoder.categories_]
    _check_missing(values, source)
    codes = [[float(v) for v in some] for some in encoder.encodings_]
    mean = float(encoder.target_mean_)
    return Encoded(Codes(_things(source), values, codes, [mean] * len(values), refuses=False), len(values))


def _check_missing(values: list[list[Any]], source: Source) -> None:
    for some in values:
        missing = sum(v is None or v != v for v in some)  # noqa: PLR0124 NaN
        if missing > 1:
            raise NotCompilable("None and NaN are different categories")
        if missing and isinstance(source, Encoded) and isinstance(source.operation, FillThings):
            raise NotCompilable("SimpleImputer left None as a category")  # it replaces NaN, and a null is either


def _bins(binner: Any, source: Source) -> Source:
    edges = [np.asarray(e, dtype=np.float64) for e in binner.bin_edges_]
    found = matrix(source)
    operation: Operation = Bins(found.operation, edges)
    if binner.encode == "ordinal":
        return Encoded(operation, found.width)
    return _one_hot(binner._encoder, Encoded(operation, found.width))  # noqa: SLF001 nowhere else is it kept


def _polynomial(features: Any, source: Source) -> Source:
    found = matrix(source)
    factors = [[i for i, power in enumerate(powers) for _ in range(power)] for powers in features.powers_]
    return Encoded(Products(found.operation, factors), len(factors))


def _function(transformer: Any, source: Source) -> Source:
    if transformer.kw_args:
        raise NotCompilable("FunctionTransformer passes arguments to its function")
    if transformer.func is None:
        return source
    name = getattr(transformer.func, "__name__", "")
    if name not in FUNCTIONS or getattr(np, name) is not transformer.func:
        raise NotCompilable(
            f"FunctionTransformer({name or transformer.func!r}) is not a function of NumPy that is known here"
        )
    found = matrix(source)
    return Encoded(Function(found.operation, [name]), found.width)


def _select(selector: Any, source: Source) -> Source:
    kept = [int(i) for i in np.flatnonzero(selector.get_support())]
    if isinstance(source, Raw):
        source = matrix(source)
    return Encoded(Select(source.operation, kept), len(kept))


def _binarizer(transformer: Any, source: Source) -> Source:
    found = matrix(source)
    return Encoded(Function(found.operation, ["over"], float(transformer.threshold)), found.width)


def _projection(pca: Any, source: Source) -> Source:
    components = np.asarray(pca.components_, dtype=np.float64).T
    shift = np.zeros(components.shape[1])
    if type(pca).__name__ == "PCA":
        shift = np.asarray(pca.mean_).reshape(1, -1) @ components
        shift = shift.ravel()
        if pca.whiten:
            scale = np.sqrt(pca.explained_variance_)
            components, shift = components / scale, shift / scale
    return Encoded(Project(matrix(source).operation, np.ascontiguousarray(components), shift), components.shape[1])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


COMPILERS: dict[str, Callable[[Any, Source], Source]] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _union,
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "RobustScaler": _robust,
    "SimpleImputer": _imputer,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "TargetEncoder": _target,
    "KBinsDiscretizer": _bins,
    "PolynomialFeatures": _polynomial,
    "FunctionTransformer": _function,
    "Binarizer": _binarizer,
    "VarianceThreshold": _select,
    "SelectKBest": _select,
    "SelectPercentile": _select,
    "SelectFromModel": _select,
    "SelectFpr": _select,
    "SelectFdr": _select,
    "SelectFwe": _select,
    "RFE": _select,
    "RFECV": _select,
    "PCA": _projection,
    "TruncatedSVD": _projection,
}
