"""Models of any MLflow flavor, loaded and asked through mlflow itself; used by a model server, never by the service."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Pyfunc"]

log = logging.getLogger("jupyter_mlops.serving")

Told = tuple[int, bytes, str, int]


class Pyfunc:
    """An MLflow model behind MLflow's own scoring code.

    Parameters
    ----------
    path
        The model's folder.
    allow_pickle
        Whether loading it may run code that is stored in it.
    """

    def __init__(self, path: Path, *, allow_pickle: bool) -> None:
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = str(allow_pickle).lower()
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import mlflow.pyfunc

        self._model = mlflow.pyfunc.load_model(str(path))
        self._inputs = self._model.metadata.get_input_schema()

    def answer(self, body: bytes, content_type: str, check: Callable[[Any], Told | None] | None = None) -> Told:
        """Status, body, content type and number of predictions that MLflow's scoring server answers with.

        Parameters
        ----------
        check
            Given what was read from the body; what it gives is answered without asking the model.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc.scoring_server import invocations

        model = _Watched(self._model, check)
        try:
            answered = invocations(body, content_type, model, self._inputs)
        except MlflowException as error:
            if model.refused is not None:
                return model.refused
            told = {"error_code": error.error_code, "message": error.message}
            return error.get_http_status_code(), json.dumps(told).encode(), "application/json", 0
        text = answered.response
        return answered.status, text.encode(), answered.mimetype, _rows(text) if answered.status == 200 else 0


class _Watched:
    """A model that is asked only for data which a check lets through, and whose own failures are in the log: MLflow tells them
    in a stack trace, which no client is sent.
    """

    def __init__(self, model: Any, check: Callable[[Any], Told | None] | None) -> None:
        self.metadata = model.metadata
        self.refused: Told | None = None
        self._model, self._check = model, check

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        from mlflow.exceptions import MlflowException

        self.refused = None if self._check is None else self._check(data)
        if self.refused is not None:
            raise ValueError("the data breaks a contract")
        try:
            return self._model.predict(data, params=params)
        except MlflowException:  # what was sent does not fit; the answer says how
            raise
        except Exception:
            log.warning("the model could not predict", exc_info=True)
            raise


def _rows(text: str) -> int:
    data = json.loads(text)
    predictions = data.get("predictions", data) if isinstance(data, dict) else data
    return len(predictions) if isinstance(predictions, list) else 1
