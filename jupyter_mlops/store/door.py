"""The door to MLflow: its errors, and those of the database and network below it, become ours here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Conflict, InvalidArgument, MLOpsError, NotFound, StoreUnavailable

__all__ = ["CODES", "mlflow_errors"]

# MLflow's error codes; a test walks every code MLflow defines, so that a new one cannot slip through unmapped.
CODES: dict[str, type[MLOpsError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "ENDPOINT_NOT_FOUND": NotFound,
    "NOT_FOUND": NotFound,
    "RESOURCE_ALREADY_EXISTS": Conflict,
    "RESOURCE_CONFLICT": Conflict,
    "INVALID_PARAMETER_VALUE": InvalidArgument,
    "BAD_REQUEST": InvalidArgument,
    "MALFORMED_REQUEST": InvalidArgument,
    "INVALID_STATE": Conflict,
    "INVALID_STATE_TRANSITION": Conflict,
    "ALREADY_EXISTS": Conflict,
}


@contextmanager
def mlflow_errors(store: str) -> Iterator[None]:
    """Raise ours instead of MLflow's, SQLAlchemy's and requests', with the store's address in what cannot be reached."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        kind = CODES.get(error.error_code, StoreUnavailable)
        text = _reason(str(error.message))
        if kind is StoreUnavailable:
            raise StoreUnavailable(f"the MLflow store {store} failed: {text}.", hint=_hint(text)) from error
        raise kind(text if text.endswith(".") else f"{text}.") from error
    except (sqlalchemy.exc.SQLAlchemyError, requests.RequestException, OSError) as error:
        text = _reason(str(error))
        raise StoreUnavailable(f"the MLflow store {store} does not answer: {text}.", hint=_hint(text)) from error


def _hint(reason: str) -> str:
    """What to do about a store that fails for this reason."""
    plain = reason.lower()
    if "disk is full" in plain or "no space left" in plain:
        return "Make room on its disk; what waits for it is stored then."
    if "readonly database" in plain or "permission denied" in plain or "read-only file system" in plain:
        return "Give yourself the right to write there; what waits for it is stored then."
    return "Check that it is up and that its address is right; `%mlops connect URI` chooses another."


def _reason(text: str) -> str:
    """The first line of a message; of a refused connection only the system's own word for it.

    Examples
    --------
    >>> _reason("API request failed: Max retries exceeded (Caused by X('h', 1): [Errno 111] Connection refused'))")
    'connection refused'
    """
    refused = re.search(r"Max retries exceeded.*\[Errno -?\d+\] ([\w ]+)", text, re.DOTALL)
    return refused[1].lower() if refused else text.strip().split("\n", 1)[0][:400]
