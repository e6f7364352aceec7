"""Profile: what a table looked like, column by column, and with it a model's target and predictions.

`Profile.of` makes one of any table, `write` and `read` keep it, and `write_training_profile` keeps the reference that
drift is measured against. What is kept of a column, see `column_profile`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import IntegrityFailure, InvalidArgument, NotFound
from .column_profile import ColumnProfile, Kind
from .personal.training import suspicious
from .tokens import Vocabulary

__all__ = ["ColumnProfile", "Kind", "Profile", "as_inputs", "write_training_profile"]

DESCRIPTION = "profile.json"
DISTRIBUTIONS = "profile.parquet"
WORDS = "words.parquet"
FORMAT = 2  # 1 had no texts' words, and kept 1,000 labels; it is read as it is
PREDICTED_ROWS = 100_000  # a model that compares with all of its training data would take hours for more
WITHOUT_VALUES = "no value is kept of"
LARGEST_DENSE = 50_000_000  # cells of a sparse matrix that are written out at the most


@dataclass(frozen=True)
class Profile:
    """What a table looked like, and where it is training data also what was to be predicted and what was.

    Parameters
    ----------
    columns
        The inputs, in order.
    target, prediction
        The training target, and the model's own predictions on the training data; one profile for each output.
    notes
        What was left out or sampled, and why.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    target: tuple[ColumnProfile, ...] = ()
    prediction: tuple[ColumnProfile, ...] = ()
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> ColumnProfile:
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound.among("profiled column", name, [column.name for column in self.columns])

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs' names, in order."""
        return tuple(column.name for column in self.columns)

    @classmethod
    def of(cls, table: pd.DataFrame, *, like: Profile | None = None) -> Profile:
        """The profile of a table.

        Parameters
        ----------
        like
            Read the columns as the kinds they have in this profile, where that is possible: so that a number that was
            trained on as a category is compared as one.

        Examples
        --------
        >>> profile = Profile.of(pd.DataFrame({"age": [31.0, 47.0, None], "sex": ["f", "m", "f"]}))
        >>> profile["age"].missing, profile["sex"].labels, profile["sex"].counts.tolist()
        (1, ('f', 'm'), [2, 1])
        """
        kinds: dict[str, Kind] = {} if like is None else {column.name: column.kind for column in like.columns}
        names = [str(name) for name in table.columns]
        columns = [ColumnProfile.of(table.iloc[:, i], name, kind=kinds.get(name)) for i, name in enumerate(names)]
        return cls(len(table), tuple(columns))

    def merge(self, other: Profile) -> Profile:
        """The profile of the rows of both tables, columns matched by name.

        Raises
        ------
        ValueError
            They do not have the same columns, or a column is of another kind in each.
        """
        parts = []
        for mine, theirs in (
            (self.columns, other.columns),
            (self.target, other.target),
            (self.prediction, other.prediction),
        ):
            by_name = {column.name: column for column in theirs}
            if sorted(by_name) != sorted(column.name for column in mine):
                raise ValueError("the two profiles are not of the same columns")
            parts.append(tuple(column.merge(by_name[column.name]) for column in mine))
        notes = tuple(dict.fromkeys((*self.notes, *other.notes)))
        return Profile(self.rows + other.rows, parts[0], parts[1], parts[2], notes)

    def write(self, folder: Path) -> None:
        """Write the profile into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        every = [*self._parts()]
        table = pa.table(
            {
                "column": _repeated([len(c.counts) for _, c in every]),
                "value": _joined([c.points() for _, c in every]),
                "label": pa.array([x for _, c in every for x in (c.labels or [None] * len(c.counts))], pa.string()),
                "count": _joined([c.counts for _, c in every], np.int64),
            }
        )
        pq.write_table(table, folder / DISTRIBUTIONS, compression="zstd")
        vocabularies = [(i, c.words) for i, (_, c) in enumerate(every) if c.words is not None]
        if vocabularies:
            sizes = [len(words.tokens) for _, words in vocabularies]
            held = {
                "column": pa.array(np.repeat([i for i, _ in vocabularies], sizes), pa.int64()),
                "token": pa.array([t for _, words in vocabularies for t in words.tokens], pa.string()),
                "count": pa.array([n for _, words in vocabularies for n in words.counts], pa.int64()),
            }
            pq.write_table(pa.table(held), folder / WORDS, compression="zstd")
        described = {
            "format": FORMAT,
            "rows": self.rows,
            "columns": [{"part": part, **c.facts(), **_words_in_short(c)} for part, c in every],
            "notes": self.notes,
        }
        temporary = folder / f"{DESCRIPTION}.{os.getpid()}"
        temporary.write_text(json.dumps(described) + "\n")
        temporary.replace(folder / DESCRIPTION)

    @classmethod
    def read(cls, folder: Path) -> Profile:
        """Read the profile that `write` wrote.

        Raises
        ------
        NotFound
            There is none in this folder.
        IntegrityFailure
            It cannot be read.
        """
        if not (folder / DESCRIPTION).exists():
            raise NotFound(f"there is no profile in {folder}.", hint="Save the data, or register the model, again.")
        try:
            described = json.loads((folder / DESCRIPTION).read_text())
            with (folder / DISTRIBUTIONS).open("rb") as file:
                table = pq.ParquetFile(file).read()
            words = _read_words(folder)
            places = table["column"].to_numpy()
            values, counts = table["value"].to_numpy(), table["count"].to_numpy()
            parts: dict[str, list[ColumnProfile]] = {"columns": [], "target": [], "prediction": []}
            for i, facts in enumerate(described["columns"]):
                part = facts.pop("part")
                start, end = np.searchsorted(places, [i, i + 1])
                held: dict[str, Any] = {"counts": counts[start:end]}
                if (short := facts.pop("words", None)) is not None:
                    tokens, numbers = words.get(i, ((), ()))
                    held["words"] = Vocabulary(tokens, numbers, **short)
                if facts["kind"] == "categorical":
                    held["labels"] = tuple(table["label"][int(start) : int(end)].to_pylist())
                else:
                    held["values"] = values[start:end]
                parts[part].append(ColumnProfile(**facts, **held))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise IntegrityFailure(f"the profile in {folder} cannot be read: {error}.") from error
        notes = tuple(described["notes"])
        columns, target, prediction = (tuple(parts[part]) for part in ("columns", "target", "prediction"))
        return cls(described["rows"], columns, target, prediction, notes)

    def _parts(self) -> Iterable[tuple[str, ColumnProfile]]:
        for part in ("columns", "target", "prediction"):
            for column in getattr(self, part):
                yield part, column


def write_training_profile(
    training: Any,
    target: Any,
    model: Any,
    folder: Path,
    personal: Collection[str] = (),
    *,
    predicted: Any = None,
    known: Profile | None = None,
) -> Profile:
    """Write the reference profile of what a model was trained on into a folder; `Profile.read` reads it.

    Parameters
    ----------
    training
        What the model was fitted on: a DataFrame, Series, array, sparse matrix or list.
    target
        What it was to predict; None where there is none.
    model
        The fitted model; its predictions on the training data (on at most 100,000 evenly spaced rows) are profiled
        too. None, or one that cannot predict, leaves them out, and a note in the profile says why.
    personal
        Columns of which no value is kept; further ones are found by their labels.
    predicted
        The model's predictions on the training data, where they are at hand.
    known
        A profile of the same training data, personal columns left out, that was written before.

    Raises
    ------
    InvalidArgument
        `training` is no kind of table.
    """
    notes: list[str] = []
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    profile = known or _discreet(Profile.of(as_inputs(training, names)), personal)
    notes += [note for note in profile.notes if note.startswith(WITHOUT_VALUES)]
    outputs = () if target is None else _outputs(target, "target")
    answers: tuple[ColumnProfile, ...] = ()
    if not hasattr(model, "predict"):
        notes.append("no predictions: the model has no predict")
    else:
        step = -(-profile.rows // PREDICTED_ROWS) or 1
        if step > 1:
            notes.append(f"predictions on every {step}th row")
        try:
            answers = _outputs(
                predicted if predicted is not None and step == 1 else model.predict(_every(training, step)),
                "prediction",
            )
        except Exception as error:  # a user's model may raise anything; its profile is worth having all the same
            notes.append(f"no predictions: {type(error).__name__}: {str(error)[:200]}")
    profile = Profile(profile.rows, profile.columns, outputs, answers, tuple(notes))
    profile.write(folder)
    return profile


def _discreet(profile: Profile, personal: Collection[str]) -> Profile:
    """The profile without the values of personal columns, and a note that names them."""
    hidden = [c.name for c in profile.columns if c.name in personal or suspicious(c.name, c.labels)]
    if not hidden:
        return profile
    columns = tuple(c.without_content() if c.name in hidden else c for c in profile.columns)
    told = f"{WITHOUT_VALUES} {', '.join(hidden)}: personal data, whose drift is not measured"
    return replace(profile, columns=columns, notes=(*profile.notes, told))


def as_inputs(training: Any, names: list[str]) -> pd.DataFrame:
    """What a model was fitted on as a table; columns without names are called as in `names`, else x0, x1, ....

    Examples
    --------
    >>> as_inputs(np.zeros((1, 2)), [])
        x0   x1
    0  0.0  0.0
    """
    if isinstance(training, pd.DataFrame):
        return training.set_axis([str(name) for name in training.columns], axis=1)
    if isinstance(training, pd.Series):
        return training.to_frame(str(training.name) if training.name is not None else "x0")
    if hasattr(training, "__arrow_c_stream__"):
        import pyarrow as pa

        found: pd.DataFrame = pa.table(training).to_pandas()
        return found
    if hasattr(training, "toarray"):
        rows, columns = training.shape
        limit = max(1, LARGEST_DENSE // max(columns, 1))
        training = training[:: max(1, -(-rows // limit))].toarray()
    try:
        array = np.asarray(training)
    except ValueError as error:
        raise InvalidArgument(f"the training data is no table: {error}.", hint="Give a DataFrame.") from error
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2:
        raise InvalidArgument(
            f"the training data is no table: it has {array.ndim} dimensions.", hint="Give a DataFrame or a 2-D array."
        )
    named = names if len(names) == array.shape[1] else [f"x{i}" for i in range(array.shape[1])]
    return (
        pd.DataFrame(array, columns=named).infer_objects()
        if array.dtype == object
        else pd.DataFrame(array, columns=named)
    )


def _outputs(values: Any, name: str) -> tuple[ColumnProfile, ...]:
    frame = as_inputs(values, [])
    single = frame.shape[1] == 1
    names = [name if single else f"{name}_{i}" for i in range(frame.shape[1])]
    return tuple(ColumnProfile.of(frame.iloc[:, i], names[i]) for i in range(frame.shape[1]))


def _every(training: Any, step: int) -> Any:
    if step == 1:
        return training
    return training.iloc[::step] if hasattr(training, "iloc") else training[::step]


def _words_in_short(column: ColumnProfile) -> dict[str, Any]:
    words = column.words
    return {} if words is None else {"words": {"rest": words.rest, "once": words.once, "cells": words.cells}}


def _read_words(folder: Path) -> dict[int, tuple[tuple[str, ...], tuple[int, ...]]]:
    if not (folder / WORDS).exists():
        return {}
    with (folder / WORDS).open("rb") as file:
        table = pq.ParquetFile(file).read()
    places, counts = table["column"].to_numpy(), table["count"].to_numpy()
    found = {}
    for i in np.unique(places).tolist():
        start, end = (int(x) for x in np.searchsorted(places, [i, i + 1]))
        found[i] = (tuple(table["token"][start:end].to_pylist()), tuple(counts[start:end].tolist()))
    return found


def _repeated(sizes: list[int]) -> pa.Array:
    return pa.array(np.repeat(np.arange(len(sizes)), sizes), pa.int64())


def _joined(parts: list[Any], dtype: Any = np.float64) -> Any:
    return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype=dtype)
