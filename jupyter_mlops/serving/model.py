"""Model: a loaded model behind MLflow's request format; scikit-learn's is served here, without mlflow."""

from __future__ import annotations

import base64
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from .request import Unsupported, media_type, parse
from .signature import BAD_REQUEST, Refused, Signature

__all__ = ["Answer", "PyfuncModel", "ServedModel", "SklearnModel", "encode"]

log = logging.getLogger("jupyter_mlops.serving")


@dataclass(frozen=True)
class Answer:
    """What a request is answered.

    Parameters
    ----------
    rows
        How many predictions the body holds; 0 for an answer that is none.
    """

    status: int
    body: bytes
    media_type: str = "application/json"
    rows: int = 0

    @classmethod
    def error(cls, status: int, code: str, message: str) -> Answer:
        """An error as MLflow writes it."""
        return cls(status, orjson.dumps({"error_code": code, "message": message}))


class ServedModel(Protocol):
    """A loaded model, ready to answer; used from several threads."""

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request; never raises."""


class SklearnModel:
    """A scikit-learn estimator behind MLflow's request format.

    Parameters
    ----------
    estimator
        Anything with ``predict``.
    signature
        What it takes; None takes anything.
    """

    def __init__(self, estimator: Any, signature: Signature | None) -> None:
        self.estimator = estimator
        self.signature = signature

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request; a request that does not fit is answered with MLflow's status and sentence."""
        try:
            data = parse(body, media_type(content_type), self.signature)
            if self.signature is not None:
                data = self.signature.enforce(data)
        except Unsupported as error:
            return Answer(415, str(error).encode(), "text/plain; charset=utf-8")
        except Refused as error:
            return Answer.error(400, error.code, error.message)
        except Exception as error:  # pandas on a body nobody has thought of
            log.exception("a request could not be read")
            return Answer.error(400, BAD_REQUEST, f"Invalid input. {type(error).__name__}: {error}")
        try:
            return encode(self.estimator.predict(data))
        except Exception as error:
            log.warning("the model could not predict: %s", type(error).__name__)  # the answer tells the rest
            return Answer.error(
                400,
                BAD_REQUEST,
                "Encountered an unexpected error while evaluating the model. Verify that the serialized input "
                f"Dataframe is compatible with the model for inference. Error: {type(error).__name__}: {error}",
            )


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
        Takes a body and its content type; gives status, body, content type and number of predictions.
    """

    def __init__(self, ask: Callable[[bytes, str], tuple[int, bytes, str, int]]) -> None:
        self._ask = ask

    def answer(self, body: bytes, content_type: str) -> Answer:
        """Predict for one request."""
        try:
            return Answer(*self._ask(body, content_type))
        except Exception as error:
            log.exception("mlflow could not answer")
            return Answer.error(400, BAD_REQUEST, f"{type(error).__name__}: {error}")
