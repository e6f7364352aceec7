"""Model: a loaded model behind MLflow's request format; scikit-learn's is served here, without mlflow."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import orjson

from .request import TooMuch, Unsupported, media_type, parse_with_params
from .signature import BAD_REQUEST, Refused, Signature

if TYPE_CHECKING:
    from .categories import Categories
    from .contracted import Held

__all__ = ["Answer", "Ask", "PyfuncModel", "ServedModel", "SklearnModel", "encode", "read", "unpredictable"]

log = logging.getLogger("jupyter_mlops.serving")

METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "predict_joint_log_proba",
    "score_samples",
    "decision_function",
)


Check = Callable[[Any], tuple[int, bytes, str, int] | None]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a request is answered.

    Parameters
    ----------
    rows
        How many predictions the body holds; 0 for an answer that is none.
    probabilities
        A classifier's, row after row, as little-endian float64; empty where they were not computed.
    """

    status: int
    body: bytes
    media_type: str = "application/json"
    rows: int = 0
    probabilities: bytes = b""

    @classmethod
    def error(cls, status: int, code: str, message: str) -> Answer:
        """An error as MLflow writes it."""
        return cls(status, orjson.dumps({"error_code": code, "message": message}))


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One request to a model, in MLflow's format.

    Parameters
    ----------
    method
        What is asked for: ``predict`` or ``predict_proba``; empty where the body's ``params`` may say so.
    """

    body: bytes
    content_type: str = "application/json"
    method: str = ""


class ServedModel(Protocol):
    """A loaded model, ready to answer; used from several threads.

    Parameters
    ----------
    path
        By which way it computes: ``compiled``, ``encoder``, ``dataframe`` or ``pyfunc``.
    path_reason
        Why by no faster one; empty where there is none.
    quick
        Whether `answer_now` is worth asking.
    classes
        What the columns of an answer's probabilities stand for; empty where it brings none.
    held
        The contract that requests have to keep, where there is one.
    """

    path: str
    path_reason: str
    quick: bool
    classes: Sequence[str]
    held: Held | None

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request; never raises."""

    def answer_many(self, asks: Sequence[Ask]) -> list[Answer]:
        """Predict for several requests together, each answered as if it were alone; never raises."""

    def answer_now(self, asks: Sequence[Ask]) -> Sequence[Answer | None]:
        """Predict on the event loop; None for a request that only `answer_many` can answer."""


class SklearnModel:
    """A scikit-learn estimator behind MLflow's request format, asked with a DataFrame or an array.

    Parameters
    ----------
    estimator
        Anything with ``predict``.
    signature
        What it takes; None takes anything.
    method
        The method that answers where the request names none.
    categories
        The categories that the estimator has to be given back; None for one that takes its columns as they come.
    """

    path = "dataframe"
    quick = False
    classes: Sequence[str] = ()

    def __init__(
        self,
        estimator: Any,
        signature: Signature | None,
        *,
        method: str = "predict",
        path_reason: str = "",
        categories: Categories | None = None,
    ) -> None:
        self.categories = categories
        self.estimator = estimator
        self.signature = signature
        self.method = method
        self.path_reason = path_reason
        self.held: Held | None = None

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request; a request that does not fit is answered with MLflow's status and sentence."""
        return self.answer_many([Ask(body, content_type)])[0]

    def answer_now(self, asks: Sequence[Ask]) -> Sequence[Answer | None]:
        """Nothing here is quick."""
        return [None] * len(asks)

    def answer_many(self, asks: Sequence[Ask]) -> list[Answer]:
        """Predict for several requests together; tables of the same columns and types are one call of the estimator."""
        answers: list[Answer | None] = [None] * len(asks)
        groups: dict[Any, list[tuple[int, Any]]] = {}
        for number, ask in enumerate(asks):
            data, method, refused = read(ask, self.signature, self.method)
            if refused is None and self.held is not None:
                refused = self.held.table(data)
            if refused is not None:
                answers[number] = refused
            else:
                groups.setdefault((method, _kind(data) or number), []).append((number, data))
        for (method, _), members in groups.items():
            together = [data for _, data in members]
            for (number, _), answer in zip(members, self._predict(method, together), strict=True):
                answers[number] = answer
        return [answer for answer in answers if answer is not None]

    def _predict(self, method: str, tables: list[Any]) -> list[Answer]:
        if len(tables) == 1:
            return [self._one(method, tables[0])]
        try:
            values = self._asked(method, _joined(tables))
            sizes = [len(table) for table in tables]
            if isinstance(values, list) or len(values) != sum(
                sizes
            ):  # a list of arrays is one for each of several outputs
                raise ValueError("another number of rows than was asked")
            ends = list(itertools.accumulate(sizes))
            return [encode(values[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
        except Exception:  # one of them has done it: each is asked alone
            return [self._one(method, table) for table in tables]

    def _asked(self, method: str, data: Any) -> Any:
        restored = data if self.categories is None else self.categories.restore(data)
        return getattr(self.estimator, method)(restored)

    def _one(self, method: str, data: Any) -> Answer:
        try:
            return encode(self._asked(method, data))
        except Exception as error:
            return unpredictable(error)


def read(ask: Ask, signature: Signature | None, method: str) -> tuple[Any, str, Answer | None]:
    """What a request gives a model and which method it asks for, or the answer that refuses it."""
    try:
        data, params = parse_with_params(ask.body, media_type(ask.content_type), signature)
        asked = ask.method or (params or {}).get("predict_method") or method
        if asked not in METHODS:
            raise Refused(f"There is no predict_method {asked!r}; there is: {', '.join(METHODS)}.")
        return data if signature is None else signature.enforce(data), asked, None
    except Unsupported as error:
        refused = Answer(415, str(error).encode(), "text/plain; charset=utf-8")
    except TooMuch as error:
        refused = Answer.error(error.status, BAD_REQUEST, str(error))
    except Refused as error:
        refused = Answer.error(400, error.code, error.message)
    except Exception as error:  # pandas on a body nobody has thought of
        log.exception("a request could not be read")
        refused = Answer.error(400, BAD_REQUEST, f"Invalid input. {type(error).__name__}: {error}")
    return None, "", refused


def unpredictable(error: Exception) -> Answer:
    """What is answered when the model itself fails on a request."""
    log.warning("the model could not predict: %s", type(error).__name__)  # the answer tells the rest
    said = str(error).partition("Stack trace:")[0]  # XGBoost puts one behind its sentence
    return Answer.error(
        400,
        BAD_REQUEST,
        "Encountered an unexpected error while evaluating the model. Verify that the serialized input "
        f"Dataframe is compatible with the model for inference. Error: {type(error).__name__}: {said.strip()}",
    )


def _kind(data: Any) -> Any:
    """What must be equal for two inputs to be asked for together; None for what is asked alone."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return tuple(data.columns), tuple(data.dtypes)
    shape = getattr(data, "shape", ())
    return ("array", str(data.dtype), shape[1:]) if len(shape) > 1 else None


def _joined(tables: list[Any]) -> Any:
    import numpy as np
    import pandas as pd

    return pd.concat(tables, ignore_index=True) if isinstance(tables[0], pd.DataFrame) else np.concatenate(tables)


def encode(predictions: Any) -> Answer:
    """Predictions as MLflow answers them; a NaN is written ``NaN``, as MLflow does and its clients read.

    Examples
    --------
    >>> encode([1, 2]).body
    b'{"predictions":[1,2]}'
    """
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.Series):
        predictions = predictions.to_frame()
    if isinstance(predictions, pd.DataFrame):
        plain: Any = predictions.to_dict(orient="records")
    else:
        plain = predictions.tolist() if isinstance(predictions, np.ndarray) else predictions
    rows = len(plain) if isinstance(plain, (list, tuple)) else 1
    if _finite(predictions):
        try:
            return Answer(200, orjson.dumps({"predictions": plain}, default=_plain), rows=rows)
        except TypeError:  # a key that is no text, a number beyond 64 bits
            pass
    return Answer(200, json.dumps({"predictions": plain}, default=_plain).encode(), rows=rows)


def _finite(predictions: Any) -> bool:
    """Whether orjson, which writes null for NaN, writes the same as MLflow."""
    import numpy as np

    if isinstance(predictions, np.ndarray):
        if predictions.dtype.kind == "f":
            return bool(np.isfinite(predictions).all())
        if predictions.dtype.kind in "iubU":
            return True
    if isinstance(predictions, list):
        return all(not isinstance(v, float) or math.isfinite(v) for v in predictions) and not any(
            isinstance(v, (list, dict)) for v in predictions
        )
    return False


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    for method in ("tolist", "isoformat"):  # NumPy's arrays and scalars; dates and times
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"a prediction of type {type(value).__name__} cannot be written as JSON")


class PyfuncModel:
    """A model of any other flavor, which mlflow answers for.

    Parameters
    ----------
    ask
        Takes a body, its content type and what may refuse the data read from it with an answer; gives status, body,
        content type and number of predictions.
    """

    path = "pyfunc"
    quick = False
    classes: Sequence[str] = ()

    def __init__(
        self, ask: Callable[[bytes, str, Check | None], tuple[int, bytes, str, int]], path_reason: str = ""
    ) -> None:
        self._ask = ask
        self.path_reason = path_reason
        self.held: Held | None = None

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request."""
        return self._one(Ask(body, content_type))

    def answer_many(self, asks: Sequence[Ask]) -> list[Answer]:
        """Predict for one after the other: what a model of an unknown kind makes of several together is not known."""
        return [self._one(ask) for ask in asks]

    def answer_now(self, asks: Sequence[Ask]) -> Sequence[Answer | None]:
        """Nothing here is quick."""
        return [None] * len(asks)

    def _one(self, ask: Ask) -> Answer:
        if ask.method not in ("", "predict"):
            return Answer.error(400, BAD_REQUEST, f"This model is asked through MLflow, which has no {ask.method}.")
        try:
            return Answer(*self._ask(ask.body, ask.content_type, None if self.held is None else self._checked))
        except Exception as error:
            log.exception("mlflow could not answer")
            return Answer.error(400, BAD_REQUEST, f"{type(error).__name__}: {error}")

    def _checked(self, data: Any) -> tuple[int, bytes, str, int] | None:
        """The answer that refuses what mlflow has read, where it breaks the contract."""
        refused = None if self.held is None else self.held.parsed(data)
        return None if refused is None else (refused.status, refused.body, refused.media_type, 0)
