"""The door to MLflow: every error of theirs comes out as one of ours."""

from __future__ import annotations

import pytest
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2

from jupyter_mlops.errors import MLOpsError, NotFound, StoreUnavailable
from jupyter_mlops.store.door import CODES, mlflow_errors


@pytest.mark.parametrize("code", sorted(databricks_pb2.ErrorCode.keys()))
def test_every_code_of_mlflow_becomes_one_of_ours(code: str) -> None:
    with pytest.raises(MLOpsError) as told, mlflow_errors("sqlite:///x"):
        raise MlflowException("No such thing", error_code=databricks_pb2.ErrorCode.Value(code))
    assert type(told.value) is CODES.get(code, StoreUnavailable)


def test_every_code_we_map_is_one_that_mlflow_has_or_sends() -> None:
    known = set(databricks_pb2.ErrorCode.keys())
    assert set(CODES) <= known


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("refused"), sqlalchemy.exc.OperationalError("x", {}, Exception("locked"))]
)
def test_what_does_not_answer_is_unavailable_with_its_address(error: Exception) -> None:
    with pytest.raises(StoreUnavailable, match="http://h:1 does not answer"), mlflow_errors("http://h:1"):
        raise error


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (sqlalchemy.exc.OperationalError("x", {}, Exception("database or disk is full")), "Make room"),
        (OSError(28, "No space left on device"), "Make room"),
        (sqlalchemy.exc.OperationalError("x", {}, Exception("attempt to write a readonly database")), "right to write"),
        (requests.ConnectionError("refused"), "is up"),
    ],
)
def test_what_to_do_is_told_by_what_went_wrong(error: Exception, hint: str) -> None:
    with pytest.raises(StoreUnavailable) as raised, mlflow_errors("sqlite:///x"):
        raise error
    assert hint in (raised.value.hint or "")


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(NotFound), mlflow_errors("x"):
        raise NotFound("no.")
