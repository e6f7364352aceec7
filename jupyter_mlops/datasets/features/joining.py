"""Joining: labels get the features of many views, each as it was known at the label's time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...domain.feature_view import FeatureView, JoinedTable, ViewJoin
from ...errors import InvalidArgument, NotFound
from .point_in_time import EARLY, EXPIRED, KEYLESS, UNKNOWN, Found, Ordered, Times, kind_of_key, times_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["join"]

EXACT = 2**53  # whole numbers up to this are themselves as floats


def join(
    labels: pd.DataFrame,
    views: Sequence[tuple[FeatureView, Callable[[], pd.DataFrame]]],
    at: str = "",
    *,
    prefix: bool = False,
    name: str = "",
) -> JoinedTable:
    """Join views to labels, point-in-time correct.

    Parameters
    ----------
    views
        Each with what reads its rows; views on the same data versions are read and ordered once.
    at
        The labels' time column; needed as soon as a view has an event time.
    prefix
        Put the view's name before every feature, not only where two columns would be called the same.
    name
        What the labels are called.

    Returns
    -------
    JoinedTable
        Its `table` has the labels' rows, order and index; a label without features has missing values, for which
        whole numbers become floats (nullable integers beyond 2**53) and booleans nullable ones.

    Raises
    ------
    NotFound
        The labels lack an entity or time column.
    InvalidArgument
        Keys or times of labels and view are of different kinds.
    """
    began = time.perf_counter()
    doubled = sorted({str(c) for c in labels.columns[labels.columns.duplicated()]})
    if doubled:
        raise InvalidArgument(f"the labels have columns of the same name: {', '.join(doubled)}.")
    times, notes = _label_times(labels, [view for view, _ in views], at)
    known: dict[Any, tuple[pd.DataFrame, Ordered]] = {}
    places: dict[Any, Found] = {}
    taken = {str(column) for column in labels.columns}
    columns: dict[str, Any] = {}
    joins = []
    for view, read in views:
        mark = (view.versions, view.entities, view.time, view.created)
        names = [c.name for c in view.features]
        if mark not in known or not set(names) <= set(known[mark][0].columns):
            rows = read()
            known[mark] = (rows, _ordered(rows, view))
        rows, ordered = known[mark]
        keys = _keys(labels, rows, view)
        if (mark, view.ttl) not in places:
            places[mark, view.ttl] = ordered.find(keys, times if view.time else None, view.ttl)
        found = places[mark, view.ttl]
        called = []
        for feature in names:
            shown = feature if not prefix and feature not in taken else f"{view.name}__{feature}"
            if shown in taken:
                raise InvalidArgument(
                    f"two columns would be called {shown}.", hint="Rename one, or leave one view out."
                )
            taken.add(shown)
            called.append(shown)
            columns[shown] = taken_from(rows[feature], found.rows)
        joins.append(_told(view, found, ordered, called, times, rows))
    made = pd.DataFrame(columns, index=labels.index) if columns else pd.DataFrame(index=labels.index)
    table = pd.concat([labels, made], axis=1)
    took = (time.perf_counter() - began) * 1000
    return JoinedTable(len(labels), at, tuple(joins), name, took_ms=took, notes=tuple(notes), table=table)


def taken_from(values: pd.Series, rows: np.ndarray[Any, Any]) -> Any:
    """The values at some rows, missing where the row is negative."""
    array = values.array
    gone = rows < 0
    if not gone.any():
        return array.take(rows)
    if not (~gone).any() and not len(array):
        return pd.Series(None, index=range(len(rows)), dtype=_nullable(values)).array
    kind = values.dtype
    if isinstance(kind, np.dtype) and kind.kind in "iu" and len(values):
        whole = int(values.max()) if kind.kind == "u" else max(int(values.max()), -int(values.min()))
        if whole > EXACT:
            array = values.astype("UInt64" if kind.kind == "u" else "Int64").array
        else:
            array = values.astype("float64").array
    elif isinstance(kind, np.dtype) and kind.kind == "b":
        array = values.astype("boolean").array
    return array.take(np.where(gone, -1, rows), allow_fill=True)


def _nullable(values: pd.Series) -> Any:
    kind = values.dtype
    return "float64" if isinstance(kind, np.dtype) and kind.kind in "iub" else kind


def _label_times(labels: pd.DataFrame, views: Sequence[FeatureView], at: str) -> tuple[Times | None, list[str]]:
    timed = [view for view in views if view.time]
    if not at:
        if timed:
            raise InvalidArgument(
                f"{timed[0].ref} has an event time; say when each label was given.", hint="--time COLUMN of the labels."
            )
        return None, []
    if at not in labels.columns:
        raise NotFound.among("column of the labels", at, [str(column) for column in labels.columns])
    return times_of(labels[at], at), []


def _ordered(rows: pd.DataFrame, view: FeatureView) -> Ordered:
    keys = [rows[name] for name in view.entities]
    times = times_of(rows[view.time], view.time) if view.time else None
    created = times_of(rows[view.created], view.created) if view.created else None
    return Ordered(keys, times, created)


def _keys(labels: pd.DataFrame, rows: pd.DataFrame, view: FeatureView) -> list[pd.Series]:
    found = []
    for name in view.entities:
        if name not in labels.columns:
            raise NotFound.among(
                f"column of the labels, an entity of {view.ref}, called", name, [str(c) for c in labels.columns]
            )
        one, other = kind_of_key(labels[name]), kind_of_key(rows[name])
        if one != other and "anything" not in (one, other):
            raise InvalidArgument(
                f"{name} holds {one} in the labels and {other} in {view.ref}; no two could be equal.",
                hint=f"Convert one: labels[{name!r}] = labels[{name!r}].astype({str(rows[name].dtype)!r}).",
            )
        found.append(labels[name])
    return found


def _told(
    view: FeatureView, found: Found, ordered: Ordered, called: list[str], times: Times | None, rows: pd.DataFrame
) -> ViewJoin:
    notes = []
    if not view.time:
        notes.append("it has no event time, so its rows count as always known")
    elif times is not None and times.unit:
        theirs = times_of(rows[view.time].iloc[:1], view.time)
        if times.naive != theirs.naive:
            whose = "labels'" if times.naive else "view's"
            notes.append(f"the {whose} times bear no zone and were taken as UTC")
    if ordered.unusable:
        notes.append(f"{ordered.unusable:,} of its rows have no key or no event time and were passed over")
    ages = found.ages[~np.isnan(found.ages)]
    return ViewJoin(
        view=view.ref,
        joined=int((found.rows >= 0).sum()),
        unknown=found.count(UNKNOWN),
        early=found.count(EARLY),
        expired=found.count(EXPIRED),
        keyless=found.count(KEYLESS),
        columns=tuple(called),
        ties=ordered.ties,
        unusable=ordered.unusable,
        age=float(np.median(ages)) if len(ages) else None,
        oldest=float(ages.max()) if len(ages) else None,
        notes=tuple(notes),
    )
