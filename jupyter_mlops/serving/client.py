"""Client: asks a model server over HTTP, in pieces of a size that it takes."""

from __future__ import annotations

import base64
import json
import ssl
import time
import uuid
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any

import orjson

from ..domain.deployment import Predictions
from ..domain.signature import SignatureColumn
from ..errors import InvalidArgument, PredictionRefused, Unavailable
from .deployment_folder import StoredDeployment

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROWS_A_REQUEST", "ServerGone", "ask", "body_of", "check_columns", "connect"]

ROWS_A_REQUEST = 10_000
TIMEOUT_SECONDS = 600.0
AGAIN = (429, 503)  # says a server that has too much to do, or cannot at this moment
SHOWN = 12


class ServerGone(Unavailable):
    """The server does not answer, went away before it had answered, or says to ask again; `done` is what it answered before."""

    done: Predictions | None = None


def ask(
    stored: StoredDeployment, token: str, frame: pd.DataFrame | pd.Series, done: Predictions | None = None
) -> Predictions:
    """Predict every row of a table, or of a Series for a model whose rows have no columns.

    Parameters
    ----------
    done
        What an earlier try has got already; its rows are not asked again.

    Raises
    ------
    PredictionRefused
        The server turned the input down; with its message.
    ServerGone
        The server went away, or says that it has too much to do.
    """
    began = time.perf_counter()
    values, ids = (list(done.values), list(done.ids)) if done is not None else ([], [])
    model = stored.model
    connection = connect(stored, TIMEOUT_SECONDS)
    try:
        for at in range(len(values), len(frame), ROWS_A_REQUEST):
            piece = frame.iloc[at : at + ROWS_A_REQUEST]
            request_id = uuid.uuid4().hex
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {token}",
                "X-Request-Id": request_id,
            }
            connection.request("POST", "/invocations", body_of(piece), headers)
            response = connection.getresponse()
            body = response.read()
            if response.status in AGAIN:
                told = f"{stored.name} did not answer: {_message(response.status, body)}"
                raise _gone(told, _result(stored, model, values, ids, began))
            if response.status != 200:
                refused = _refused(stored, response.status, body, at if len(frame) > ROWS_A_REQUEST else None)
                if not stored.inputs and frame.ndim == 2 and frame.shape[1] == 1:
                    refused.hint = f"Perhaps it takes the column itself: table[{frame.columns[0]!r}]."
                raise refused
            model = response.headers.get("X-Model-Version", model)
            answered = _predictions(body)
            if len(answered) != len(piece):
                raise PredictionRefused(
                    f"{stored.name} answered {len(answered)} predictions to {len(piece)} rows.",
                    hint=f"Ask it over HTTP, at {stored.url}/invocations, for what it gives.",
                )
            values += answered
            ids += [f"{request_id}-{row}" for row in range(len(answered))]
    except (OSError, HTTPException) as error:
        told = f"the server of {stored.name} does not answer at {stored.url}: {error}."
        raise _gone(told, _result(stored, model, values, ids, began)) from error
    finally:
        connection.close()
    return _result(stored, model, values, ids, began)


def _gone(message: str, done: Predictions) -> ServerGone:
    gone = ServerGone(message)
    gone.done = done
    return gone


def connect(stored: StoredDeployment, patience: float) -> HTTPConnection:
    """A connection to a deployment; over TLS it must show the certificate that it was deployed with."""
    host = "127.0.0.1" if stored.host == "0.0.0.0" else "::1" if stored.host == "::" else stored.host  # noqa: S104
    if not stored.certificate:
        return HTTPConnection(host, stored.port, timeout=patience)
    context = ssl.create_default_context(cafile=stored.certificate)
    context.check_hostname = False  # it is known by its certificate
    return HTTPSConnection(host, stored.port, timeout=patience, context=context)


def body_of(frame: pd.DataFrame | pd.Series) -> bytes:
    """A table as the ``dataframe_split`` that ``/invocations`` takes, a Series as ``inputs``; missing values become null.

    Examples
    --------
    >>> import pandas as pd
    >>> body_of(pd.DataFrame({"age": [30.0, None], "job": ["a", "b"]}))
    b'{"dataframe_split":{"columns":["age","job"],"data":[[30.0,"a"],[null,"b"]]}}'
    """
    import pandas as pd

    if isinstance(frame, pd.Series):
        columns = [_values(frame)]
        split: dict[str, Any] = {"inputs": columns[0]}
    else:
        columns = [_values(frame.iloc[:, i]) for i in range(frame.shape[1])]
        data = [list(row) for row in zip(*columns, strict=True)]
        split = {"dataframe_split": {"columns": [str(name) for name in frame.columns], "data": data}}
    if any(isinstance(v, float) and v in (float("inf"), float("-inf")) for column in columns for v in column):
        return json.dumps(split, default=_plain).encode()  # orjson writes null for an infinity
    try:
        return orjson.dumps(split, default=_plain)
    except TypeError as error:
        raise InvalidArgument(f"the table cannot be sent: {error}.") from error


def check_columns(stored: StoredDeployment, frame: pd.DataFrame) -> None:
    """Refuse a table whose columns are not the model's, by name and by kind, before anything is sent.

    The server itself passes over columns that the model does not take, as MLflow does; a person who sends some has
    more likely mistaken the table.

    Raises
    ------
    PredictionRefused
        Columns are missing, unknown, or hold the wrong kind of value.
    """
    inputs = stored.inputs
    if not inputs:
        return
    sent = [str(column) for column in frame.columns]
    known = [column.name for column in inputs]
    missing = [c.name for c in inputs if (c.required or stored.needs_all) and c.name not in sent]
    extra = [column for column in sent if column not in known]
    twice = sorted({column for column in sent if sent.count(column) > 1})
    wrong = []
    for column in inputs:
        if sent.count(column.name) == 1:
            held = _mistyped(frame.iloc[:, sent.index(column.name)], column)
            if held:
                wrong.append(f"{column.name} must be {column.type} and holds {held}")
    problems = [
        *([f"missing columns: {_listed(missing)}"] if missing else []),
        *([f"columns it does not take: {_listed(extra)}"] if extra else []),
        *([f"columns given twice: {_listed(twice)}"] if twice else []),
        *wrong,
    ]
    if problems:
        takes = f"It takes {_listed([f'{column.name} ({column.type})' for column in inputs])}."
        without = f" Leave them out: `TABLE.drop(columns={extra!r})`." if len(problems) == 1 and extra else ""
        raise PredictionRefused(
            f"{stored.name} cannot predict this table; {'; '.join(problems)}.", hint=takes + without
        )


def _mistyped(values: pd.Series, column: SignatureColumn) -> str:
    """What a column holds, where that cannot be the signature's type; empty where it can, or the server must tell."""
    import pandas as pd
    from pandas.api import types

    kind = column.type
    if values.isna().any() and (kind in ("integer", "long") or (kind == "boolean" and column.required)):
        return "missing values"
    if values.isna().all():
        return ""
    values = values.dropna()
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    held = "text" if types.is_string_dtype(values.dtype) and not types.is_object_dtype(values.dtype) else ""
    if types.is_object_dtype(values.dtype):
        held = {"string": "text", "boolean": "boolean", "bytes": "bytes"}.get(types.infer_dtype(values), "objects")
    elif types.is_bool_dtype(values.dtype):
        held = "boolean"
    elif types.is_datetime64_any_dtype(values.dtype):
        held = "dates"
    elif types.is_float_dtype(values.dtype):
        held = "fractions" if (values % 1 != 0).any() else "numbers"
    elif types.is_integer_dtype(values.dtype):
        held = "numbers"
    wrong = {
        "string": ("boolean", "dates", "fractions", "numbers"),
        "boolean": ("text", "dates", "fractions"),
        "integer": ("text", "dates", "fractions"),
        "long": ("text", "dates", "fractions"),
        "float": ("text", "dates"),
        "double": ("text", "dates"),
        "datetime": ("boolean", "fractions", "numbers"),
    }
    return held if held in wrong.get(kind, ()) else ""


def _values(column: pd.Series) -> list[Any]:
    missing = column.isna().to_numpy()
    values = column.tolist()
    return [None if gone else value for gone, value in zip(missing, values, strict=True)] if missing.any() else values


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    for method in ("isoformat", "tolist"):
        if hasattr(value, method):
            return getattr(value, method)()
    if hasattr(value, "__float__"):  # a Decimal
        return float(value)
    return str(value)


def _predictions(body: bytes) -> list[Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:  # MLflow writes NaN, and so does its likeness
        data = json.loads(body)
    found = data.get("predictions") if isinstance(data, dict) else data
    return found if isinstance(found, list) else [found]


def _refused(stored: StoredDeployment, status: int, body: bytes, at: int | None) -> PredictionRefused:
    """What to raise; `at` is where the piece began that was turned down, from which the server counts rows."""
    hint = f"It takes {_listed([f'{c.name} ({c.type})' for c in stored.inputs])}." if stored.inputs else ""
    where = "" if at is None else f" in the rows from {at:,} on"
    return PredictionRefused(f"{stored.name} turned the table down{where}: {_message(status, body)}", hint=hint)


def _message(status: int, body: bytes) -> str:
    try:
        message = str(orjson.loads(body)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = body.decode(errors="replace").strip() or f"status {status}"
    return " ".join(message.split())


def _result(stored: StoredDeployment, model: str, values: list[Any], ids: list[str], began: float) -> Predictions:
    took = (time.perf_counter() - began) * 1000
    return Predictions(tuple(values), tuple(ids), model=model, deployment=stored.name, took_ms=took)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
