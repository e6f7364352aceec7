"""Models of any MLflow flavor, loaded and asked through mlflow itself; used by a model server, never by the service."""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["Pyfunc"]


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
        import mlflow.pyfunc

        self._model = mlflow.pyfunc.load_model(str(path))
        self._inputs = self._model.metadata.get_input_schema()

    def answer(self, body: bytes, content_type: str) -> tuple[int, bytes, str, int]:
        """Status, body, content type and number of predictions that MLflow's scoring server answers with."""
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc.scoring_server import invocations

        try:
            answered = invocations(body, content_type, self._model, self._inputs)
        except MlflowException as error:
            told = {"error_code": error.error_code, "message": error.message}
            return error.get_http_status_code(), json.dumps(told).encode(), "application/json", 0
        text = answered.response
        return answered.status, text.encode(), answered.mimetype, _rows(text) if answered.status == 200 else 0


def _rows(text: str) -> int:
    data = json.loads(text)
    predictions = data.get("predictions", data) if isinstance(data, dict) else data
    return len(predictions) if isinstance(predictions, list) else 1
