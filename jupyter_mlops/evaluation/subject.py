"""Subject: what is evaluated: a model and a table become inputs, targets and predictions, row by row."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.opened import count_look, sealed_as
from ..datasets.tables import as_table, table_name
from ..domain.context import Context
from ..domain.display import several
from ..domain.evaluation import EvaluationRows
from ..errors import InvalidArgument, MLOpsError, NotReady
from .loading import load_estimator

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Model", "Subject", "model_of", "predicted", "subject_of"]

Array = np.ndarray[Any, Any]

FEWEST_ROWS = 10
MOST_CLASSES = 200


@dataclass(frozen=True)
class Model:
    """A model as it was asked for.

    Parameters
    ----------
    estimator
        None where only predictions were given.
    given
        The predictions that were given instead.
    known
        The key under which a run has logged the estimator, where only that is known.
    """

    name: str
    estimator: Any = None
    given: Any = None
    model_id: str = ""
    run_id: str = ""
    known: str = ""
    described: str = ""
    inputs: tuple[str, ...] = ()

    def told(self) -> dict[str, str]:
        """By what a look at sealed data is known to be made for this model, also once it has a version."""
        known = {"model": self.name, "model_id": self.model_id, "key": self.known}
        if self.estimator is not None and not self.model_id and not self.known:
            from ..tracking.model_file import store_estimator

            with contextlib.suppress(MLOpsError):  # what cannot be stored without pickle has no such digest
                known["digest"] = store_estimator(self.estimator)[0].digest
        return known


@dataclass
class Subject:
    """A model on a table.

    Parameters
    ----------
    frame
        The whole table, whose columns slices and groups are made of.
    inputs
        What the model is given.
    target
        The column of truth, and its values as they are.
    rows
        Targets and predictions row by row.
    scores
        What orders the rows where there are no probabilities: the decision function.
    """

    model: Model
    frame: pd.DataFrame
    inputs: Any
    target: str
    truth: Any
    rows: EvaluationRows
    classes: tuple[Any, ...] = ()
    scores: Array | None = None
    data: str = ""
    digest: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def features(self) -> int:
        """How many columns the model is given; 0 where that is not known, 1 for texts."""
        return 0 if self.inputs is None else 1 if self.inputs.ndim == 1 else int(self.inputs.shape[1])

    def check_columns(self, what: str) -> None:
        """Raise where the model takes texts, and `what` looks at columns.

        Raises
        ------
        InvalidArgument
            It does.
        """
        if self.inputs is not None and self.inputs.ndim == 1:
            raise InvalidArgument(
                f"{what} looks at a model's columns, and {self.model.name} takes a Series of texts.",
                hint="Leave it out, or give a model that finds its texts in a column (ColumnTransformer).",
            )


def model_of(context: Context, given: Any, *, allow_pickle: bool = False) -> Model:
    """What a command was given for a model.

    Raises
    ------
    InvalidArgument
        It is nothing that predicts.
    NotFound
        There is no such model.
    """
    if isinstance(given, str):
        found = context.call("evaluation.locate", model=given)
        context.progress(f"loading {found['ref']}")
        estimator = load_estimator(Path(found["folder"]), found["ref"], allow_pickle=allow_pickle)
        from ..domain.signature import columns_of

        names = tuple(c.name for c in columns_of(found["inputs"] or None))
        return Model(
            found["ref"],
            estimator,
            model_id=found["model_id"],
            run_id=found["run_id"],
            described=found["estimator"],
            inputs=names,
        )
    if callable(getattr(given, "predict", None)):
        from ..tracking.model_package import describe

        known = context.known_models.find(given) or ("", "")
        return Model(_variable(context, given, type(given).__name__), given, known=known[0], described=describe(given))
    if hasattr(given, "__array__") and not hasattr(given, "columns"):
        return Model(_variable(context, given, "predictions"), given=given)
    raise InvalidArgument(
        f"a {type(given).__name__} is no model.",
        hint="Give a fitted estimator, a model version such as clf@7, a run, or an array of predictions.",
    )


def subject_of(context: Context, model: Model, data: Any, *, target: str = "", positive: str = "") -> Subject:
    """A model on a table: inputs chosen, targets checked, predictions made.

    Raises
    ------
    InvalidArgument
        The table and the model do not fit together, or the target is not clear.
    """
    held = None if isinstance(data, (str, Path)) else context.known_tables.origin(data)
    with context.looking("evaluate", model.told):
        if held is not None:
            count_look(context, held[0])
        frame = as_table(context, data)
        named = context.known_tables.find(data) or context.known_tables.find(frame)
        if named is None:
            context.progress("reading the table's digest")
            digest = _digest(context, frame)
            sealed = sealed_as(context, digest)
            if sealed and (held is None or sealed != held[0]):
                count_look(context, sealed)
            named = (sealed, digest) if sealed else None
        else:
            digest = named[1]
    name = named[0] if named else table_name(context, data, "a table")
    if not frame.columns.is_unique:
        raise InvalidArgument("the table has columns of one name.", hint="Rename them.")
    wanted = _wanted(model)
    column = _target(frame, wanted, target)
    notes: list[str] = []
    frame, given = _with_target(frame, column, model.given, notes)
    inputs = _inputs(model, frame, column, wanted)
    context.progress(f"predicting {len(frame):,} rows with {model.name}")
    began = time.perf_counter()
    rows, classes, scores = predicted(model.estimator, inputs, frame[column], positive, notes, given=given)
    seconds = time.perf_counter() - began
    return Subject(model, frame, inputs, column, frame[column], rows, classes, scores, name, digest, seconds, notes)


def predicted(
    estimator: Any, inputs: Any, truth: Any, positive: str = "", notes: list[str] | None = None, *, given: Any = None
) -> tuple[EvaluationRows, tuple[Any, ...], Array | None]:
    """Rows of a model's predictions, the classes as they are, and scores where there are no probabilities."""
    notes = notes if notes is not None else []
    if estimator is None:
        return _of_given(np.asarray(given), truth, positive)
    labels = _call(estimator, "predict", inputs)
    classes = _classes(estimator, labels, truth)
    if not classes:
        return _numbers(labels, truth), (), None
    known = tuple(getattr(estimator, "classes_", ()))
    probabilities = None
    if callable(getattr(estimator, "predict_proba", None)):
        probabilities = np.asarray(_call(estimator, "predict_proba", inputs), dtype=np.float64)
    scores = None
    if probabilities is None and len(classes) == 2 and callable(getattr(estimator, "decision_function", None)):
        scores = np.asarray(_call(estimator, "decision_function", inputs), dtype=np.float64).ravel()
        notes.append("the model gives no probabilities: no log loss, Brier score or calibration; areas by its scores.")
    if probabilities is not None and len(classes) > len(known):
        unknown = ", ".join(str(c) for c in classes[len(known) :])
        notes.append(f"classes the model does not know count as wrong, with probability 0: {unknown}.")
        probabilities = np.hstack([probabilities, np.zeros((len(probabilities), len(classes) - len(known)))])
    if len(classes) == 2 and positive:
        at = [str(c) for c in classes]
        if positive not in at:
            raise InvalidArgument.unknown("positive class", positive, at)
        if at[0] == positive:
            classes = classes[::-1]
            probabilities = None if probabilities is None else probabilities[:, ::-1]
            scores = None if scores is None else -scores
    return _labelled(labels, truth, classes, probabilities), classes, scores


def _labelled(labels: Any, truth: Any, classes: Sequence[Any], probabilities: Array | None) -> EvaluationRows:
    import pandas as pd

    index = pd.Index(list(classes))
    codes, guessed = index.get_indexer(pd.Index(truth)), index.get_indexer(pd.Index(np.asarray(labels).ravel()))
    if (codes < 0).any() or (guessed < 0).any():
        raise InvalidArgument("the targets and the predictions are of different kinds.", hint="Check their types.")
    if probabilities is None:
        loss = (codes != guessed).astype(np.float64)
    else:
        eps = np.finfo(np.float64).eps
        loss = -np.log(np.clip(probabilities[np.arange(len(codes)), codes], eps, 1 - eps))
    return EvaluationRows(np.arange(len(codes)), codes, guessed, loss, probabilities, tuple(str(c) for c in classes))


def _numbers(predictions: Any, truth: Any) -> EvaluationRows:
    target = np.asarray(truth, dtype=np.float64)
    guess = np.asarray(predictions, dtype=np.float64)
    if guess.ndim > 1 and guess.shape[1] == 1:
        guess = guess[:, 0]
    if guess.shape != target.shape:
        raise InvalidArgument(f"the model gives predictions of shape {guess.shape}; one number a row is evaluated.")
    if not np.isfinite(guess).all():
        raise InvalidArgument("some predictions are no finite numbers.", hint="Look at `predict` on this table.")
    return EvaluationRows(np.arange(len(target)), target, guess, (target - guess) ** 2)


def _of_given(given: Array, truth: Any, positive: str) -> tuple[EvaluationRows, tuple[Any, ...], Array | None]:
    """Predictions that were made elsewhere: labels, probabilities (one column or one a class) or numbers."""
    import pandas as pd

    values = sorted(pd.unique(truth), key=str)
    numbers = given.dtype.kind in "fiu"
    if given.ndim == 2 and given.shape[1] == len(values):
        return (
            _labelled(np.array(values, dtype=object)[given.argmax(axis=1)], truth, values, given),
            tuple(values),
            None,
        )
    if given.ndim != 1:
        raise InvalidArgument(f"predictions of shape {given.shape} do not fit {len(values)} classes.")
    probable = numbers and len(values) == 2 and given.min() >= 0 and given.max() <= 1
    if probable and not set(np.unique(given)) <= set(values):
        if positive and str(values[0]) == positive:
            values = values[::-1]
        both = np.column_stack([1 - given, given])
        return (
            _labelled(np.array(values, dtype=object)[(given >= 0.5).astype(int)], truth, values, both),
            tuple(values),
            None,
        )
    if pd.api.types.is_numeric_dtype(truth) and numbers and not set(np.unique(given)) <= set(values):
        return _numbers(given, truth), (), None
    every = [*values, *(v for v in sorted(pd.unique(given), key=str) if v not in values)]
    if len(every) == 2 and positive and str(every[0]) == positive:
        every.reverse()
    return _labelled(given, truth, every, None), tuple(every), None


def _classes(estimator: Any, labels: Any, truth: Any) -> tuple[Any, ...]:
    """The classes in the model's order, then those only the table has; none for a regression."""
    import pandas as pd

    known = list(getattr(estimator, "classes_", ()))
    if not known:
        if pd.api.types.is_numeric_dtype(truth) and np.asarray(labels).dtype.kind in "fiub":
            return ()
        known = sorted(set(pd.unique(truth)) | set(np.unique(labels)), key=str)
    seen = list(pd.unique(truth))
    if not set(seen) & set(known):
        raise InvalidArgument(
            f"no target of the table is a class of the model: the table has {_few(seen)}, the model {_few(known)}.",
            hint="Give the targets as the model was trained on them, or another --target.",
        )
    known += sorted((v for v in seen if v not in known), key=str)
    if len(known) > MOST_CLASSES:
        raise InvalidArgument(f"{len(known)} classes are too many to evaluate; at most {MOST_CLASSES}.")
    return tuple(known)


def _wanted(model: Model) -> list[str]:
    """The names of the columns the model takes, where they are known."""
    if model.estimator is None:
        return []
    try:
        return [str(name) for name in model.estimator.feature_names_in_]
    except AttributeError:
        return [] if "array" in model.inputs[:1] else list(model.inputs)


def _target(frame: pd.DataFrame, wanted: Sequence[str], target: str) -> str:
    if target:
        if target not in frame.columns:
            raise InvalidArgument.unknown("column for --target", target, [str(c) for c in frame.columns])
        return target
    if not wanted:
        raise InvalidArgument(
            "which column is the target? The model does not say which columns it takes.", hint="Add --target COLUMN."
        )
    left = [str(c) for c in frame.columns if str(c) not in wanted]
    if len(left) != 1:
        there = f"the model does not take {_few(left)}" if left else "the model takes every column of the table"
        raise InvalidArgument(f"which column is the target? {there}.", hint="Add --target COLUMN.")
    return left[0]


def _with_target(frame: pd.DataFrame, column: str, given: Any, notes: list[str]) -> tuple[pd.DataFrame, Any]:
    """The rows that have a target."""
    if given is not None and len(given) != len(frame):
        raise InvalidArgument(f"{len(given):,} predictions do not fit a table of {len(frame):,} rows.")
    there = frame[column].notna().to_numpy()
    if not there.all():
        notes.append(f"{int((~there).sum()):,} rows without a target are left out.")
        frame = frame[there]
        given = None if given is None else np.asarray(given)[there]
    if len(frame) < FEWEST_ROWS:
        raise NotReady(f"{several(len(frame), 'row')} with a target: too few to evaluate on; at least {FEWEST_ROWS}.")
    return frame, given


def _inputs(model: Model, frame: pd.DataFrame, column: str, wanted: Sequence[str]) -> Any:
    if model.estimator is None:
        return None
    if wanted:
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise InvalidArgument(
                f"the table lacks columns that {model.name} takes: {_few(missing)}.",
                hint="Give the table as the model was trained on it.",
            )
        return frame[list(wanted)]
    rest = frame.drop(columns=[column])
    import pandas as pd

    width = getattr(model.estimator, "n_features_in_", None)
    if width is None and len(rest.columns) == 1 and not pd.api.types.is_numeric_dtype(rest.dtypes.iloc[0]):
        return rest.iloc[:, 0]  # what takes texts takes them as a Series, and counts no features
    if width not in (None, len(rest.columns)):
        raise InvalidArgument(
            f"{model.name} takes {width} columns and the table has {len(rest.columns)} besides {column!r}.",
            hint="Leave out the others.",
        )
    return rest.to_numpy()


def _call(estimator: Any, method: str, inputs: Any) -> Any:
    try:
        return getattr(estimator, method)(inputs)
    except MLOpsError:
        raise
    except Exception as error:
        raise InvalidArgument(
            f"the model cannot {'predict' if method == 'predict' else method} on this table: {type(error).__name__}: {error}.",
            hint="Give the table as the model was trained on it.",
        ) from error


def _digest(context: Context, frame: pd.DataFrame) -> str:
    digest = context.hooks.get("digest")
    try:
        return str(digest(frame)) if digest is not None else ""
    except MLOpsError:
        return ""


def _variable(context: Context, thing: Any, otherwise: str) -> str:
    names = [k for k, v in (context.namespace or {}).items() if v is thing and not k.startswith("_")]
    return names[0] if names else otherwise


def _few(names: Sequence[Any]) -> str:
    shown = ", ".join(str(name) for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown
