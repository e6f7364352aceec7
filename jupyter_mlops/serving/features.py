"""Features: what a model's last step is given, computed on the way on which predictions are.

``POST /features`` takes what ``/invocations`` takes and tells what the model's estimator would be given, by the compiled
plan where there is one. Nothing is predicted, so nothing is logged. `python -m jupyter_mlops.serving.features` computes
the same from a model's folder in a process of its own.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import orjson

from .model import Answer, Ask, ServedModel, SklearnModel, read, unpredictable
from .signature import BAD_REQUEST, Refused

__all__ = ["answer_features", "features_of", "main", "unpacked"]


def features_of(estimator: Any, data: Any) -> tuple[Any, list[str]]:
    """What the last step of an estimator is given for some rows, as a table of values, and the columns' names.

    An estimator that is no pipeline is given its input.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x = np.array([[0.0], [2.0]])
    >>> features_of(make_pipeline(StandardScaler(), LinearRegression()).fit(x, [0, 1]), x)[0].tolist()
    [[-1.0], [1.0]]
    """
    import numpy as np

    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    names = [str(column) for column in data.columns] if hasattr(data, "columns") else []
    while hasattr(estimator, "steps"):
        for _, step in estimator.steps[:-1]:
            if step is not None and step != "passthrough":
                names = _named(step, names)
                data = step.transform(data)
        estimator = estimator.steps[-1][1]
    if hasattr(data, "columns"):
        names = [str(column) for column in data.columns]
        matrix = _frame_values(data)
    else:
        matrix = np.asarray(data.toarray() if hasattr(data, "toarray") else data)
    matrix = matrix.reshape(len(matrix), -1)
    if matrix.dtype.kind in "biuf":
        matrix = matrix.astype(np.float64)
    return matrix, names if len(names) == matrix.shape[1] else [f"feature {i}" for i in range(matrix.shape[1])]


def _frame_values(frame: Any) -> Any:
    import pandas as pd

    if all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes):
        return frame.to_numpy(dtype="float64", na_value=float("nan"))
    return frame.astype(object).where(frame.notna(), None).to_numpy(dtype=object)


def _named(step: Any, names: list[str]) -> list[str]:
    for given in (names or None, None):  # a step that picks its columns by name knows those it was fitted with
        try:
            return [str(name) for name in step.get_feature_names_out(given)]
        except (AttributeError, ValueError, TypeError):
            continue
    return []


def answer_features(model: ServedModel, ask: Ask) -> Answer:
    """A request's features, by the way the model predicts; never raises."""
    try:
        if isinstance(model, SklearnModel):
            data, _, refused = read(ask, model.signature, model.method)
            return refused or pack(*features_of(model.estimator, data), model.path)
        from .compiled.model import CompiledModel

        if isinstance(model, CompiledModel):
            data, _, refused = read(ask, model.signature, "predict")
            if refused is not None:
                return refused
            names = features_of(model.original(), data)[1]
            return pack(model.features(model.columns(data)), names, model.path)
        return Answer.error(400, BAD_REQUEST, f"A model that is served by way of {model.path} does not tell features.")
    except Refused as error:
        return Answer.error(400, error.code, error.message)
    except Exception as error:
        return unpredictable(error)


def pack(matrix: Any, names: list[str], path: str) -> Answer:
    """Features as an answer: numbers as little-endian float64 in base64, which loses nothing; others as JSON."""
    import numpy as np

    matrix = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    told: dict[str, Any] = {"columns": names, "rows": len(matrix), "path": path}
    if matrix.dtype.kind in "biuf":
        told["type"] = matrix.dtype.name
        told["float64"] = base64.b64encode(np.ascontiguousarray(matrix, dtype="<f8").tobytes()).decode()
    else:
        told["data"] = matrix.tolist()
    return Answer(200, orjson.dumps(told, default=str), rows=0)


def unpacked(body: bytes) -> tuple[Any, list[str], str]:
    """The matrix, names and way of an answer."""
    import numpy as np

    told = orjson.loads(body)
    if "float64" in told:
        values = np.frombuffer(base64.b64decode(told["float64"]), dtype="<f8")
        return values.reshape(told["rows"], -1), told["columns"], told["path"]
    return np.array(told["data"], dtype=object).reshape(told["rows"], -1), told["columns"], told["path"]


def main(arguments: list[str] | None = None) -> int:
    """``MODEL ROWS.parquet OUT.json [--allow-pickle]``: the features of some rows by the stored model."""
    import pandas as pd

    from .load import ModelFolder

    model, rows, out, *more = sys.argv[1:] if arguments is None else arguments
    folder = ModelFolder.open(Path(model))
    code = folder.path / "code"
    if code.is_dir():
        sys.path.insert(0, str(code))
    estimator = folder.estimator(allow_pickle="--allow-pickle" in more)
    answer = pack(*features_of(estimator, pd.read_parquet(rows)), "stored model, new process")
    Path(out).write_bytes(answer.body)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
