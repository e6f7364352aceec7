"""Request: the bodies that ``/invocations`` takes, turned into what a model is given, as MLflow's scoring server does."""

from __future__ import annotations

import json
from collections import defaultdict
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec

from .limits import DEPTH, ROWS
from .signature import INVALID_VALUE, Refused, Signature, convert

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORMATS", "JSON", "TooMuch", "Unsupported", "decode", "loads", "media_type", "parse", "parse_with_params",
]  # fmt: skip

CSV = "text/csv"
JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
REQUIRED_FORMAT = f"The input must be a JSON dictionary with exactly one of the input fields {', '.join(FORMATS)}"


class Unsupported(Exception):
    """A content type that is not taken: status 415."""


class TooMuch(Exception):
    """A request that asks for more than is given: status 413, or 422 for JSON that nests too deep."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def media_type(content_type: str) -> str:
    """The kind of body a ``Content-Type`` names.

    Raises
    ------
    Unsupported
        It is none of ours, or carries a parameter other than ``charset=utf-8``.

    Examples
    --------
    >>> media_type("application/json; charset=utf-8")
    'application/json'
    """
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    values = {key: value for key, _, value in (pair.partition("=") for pair in parameters)}
    if values.pop("charset", "utf-8").lower() != "utf-8":
        raise Unsupported("The scoring server only supports UTF-8")
    if values:
        raise Unsupported(f"Unrecognized content type parameters: {', '.join(values)}.")
    if kind not in (CSV, JSON, PARQUET):
        raise Unsupported(
            f"This predictor only supports the following content types: {CSV}, {JSON}, {PARQUET}. Got '{content_type}'."
        )
    return kind


def parse(body: bytes, kind: str, signature: Signature | None) -> Any:
    """The table or array in a body, cast to the signature's types where it has one; see `Signature.enforce` for the rest.

    Raises
    ------
    Refused
        The body is not what its content type says, or holds what the signature cannot take.
    TooMuch
        It nests too deep or holds too many rows.
    """
    return parse_with_params(body, kind, signature)[0]


def parse_with_params(body: bytes, kind: str, signature: Signature | None) -> tuple[Any, dict[str, Any] | None]:
    """As `parse`, and the body's ``params``."""
    if kind == CSV:
        return _csv(body, signature), None
    if kind == PARQUET:
        return _parquet(body), None
    data = decode(body)
    found = [name for name in FORMATS if name in data]
    if len(found) != 1:
        raise Refused(f"{REQUIRED_FORMAT}. Received dictionary with input fields: {found}.")
    params = data.get("params")
    if params is not None and not isinstance(params, dict):
        raise Refused(f"Parameters must be a dictionary. Got type '{type(params).__name__}'.", INVALID_VALUE)
    return _table(found[0], data[found[0]], signature), params


def _table(form: str, given: Any, signature: Signature | None) -> Any:
    _check_amount(given, form)
    if form == "dataframe_split":
        frame = _split(given)
    elif form == "dataframe_records":
        frame = _records(given)
    else:
        return _instances(given, signature) if form == "instances" else _inputs(given, signature)
    return frame if signature is None else signature.cast(frame)


def _check_amount(given: Any, form: str) -> None:
    rows = given.get("data") if form == "dataframe_split" and isinstance(given, dict) else given
    if isinstance(rows, dict):
        rows = next(iter(rows.values()), None)
    if isinstance(rows, list) and len(rows) > ROWS:
        raise TooMuch(413, f"The request holds {len(rows)} rows; at most {ROWS} are taken at a time.")
    level = [given]
    for _ in range(DEPTH):
        level = [inner for outer in level for inner in _nested(outer)]
        if not level:
            return
    raise _too_deep()


def _nested(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in inside if isinstance(inner, (list, dict))]


def _too_deep() -> TooMuch:
    return TooMuch(422, f"The JSON nests deeper than {DEPTH} levels.")


def loads(body: bytes) -> Any:
    """JSON, and the ``NaN`` and ``Infinity`` that Python writes; a whole number stays one, however large.

    orjson makes floats of those beyond 64 bits: ``-2**63 - 1`` would become the number beside it, which an int64 holds.

    Raises
    ------
    ValueError
        It is none.
    RecursionError
        It nests too deep to be read.

    Examples
    --------
    >>> loads(b"[-9223372036854775809, NaN]")
    [-9223372036854775809, nan]
    """
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return json.loads(body)


def decode(body: bytes) -> dict[str, Any]:
    """A JSON body as a dictionary; ``NaN`` and ``Infinity``, which MLflow's own client sends, are taken."""
    try:
        data = loads(body)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise Refused(
            f"Invalid input. Ensure that input is a valid JSON formatted string. Error: '{error!r}'"
        ) from error
    if isinstance(data, dict):
        return data
    kind = "a list" if isinstance(data, list) else f"unexpected input type '{type(data)}'"
    raise Refused(f"Invalid input. {REQUIRED_FORMAT}. Received {kind}.")


def _csv(body: bytes, signature: Signature | None) -> pd.DataFrame:
    import pandas as pd

    dtype: Any = None
    if signature is not None:
        dtype = signature.tensor.dtype if signature.tensor is not None else signature.csv_types()
    try:
        frame = pd.read_csv(BytesIO(body), dtype=dtype)
        shifted = not isinstance(frame.index, pd.RangeIndex)  # pandas has taken the first values for names of the rows
        if shifted:
            raise ValueError("a row holds more values than the header names columns")
    except Exception as error:
        raise Refused(
            "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid CSV-formatted Pandas "
            f"DataFrame produced using the `pandas.DataFrame.to_csv()` method. Error: '{error}'"
        ) from error
    return frame if signature is None else signature.cast(frame)


def _parquet(body: bytes) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(BytesIO(body))
    except Exception as error:
        raise Refused(
            "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid Parquet Pandas DataFrame "
            f"produced using the `pandas.DataFrame.to_parquet()` method. Error: '{error}'"
        ) from error


def _split(given: Any) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(given, dict):
        kind = "list" if isinstance(given, list) else f"type {type(given)}"
        raise Refused(f"Invalid input. Dataframe split format must be a dictionary. Got {kind}.")
    if "data" not in given or given.keys() - {"columns", "data", "index"}:
        raise Refused(
            "Invalid input. Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields. "
            f"Got {set(given)}.'"
        )
    rows = given["data"]
    if isinstance(rows, list) and len({len(row) for row in rows if isinstance(row, list)}) > 1:
        raise Refused("Invalid input. The rows of dataframe_split are not all of the same length.")
    index = given.get("index")
    if isinstance(rows, list) and isinstance(index, list) and len(index) != len(rows):  # pandas repeats a single row
        raise Refused(f"Invalid input. dataframe_split has an index of {len(index)} for {len(rows)} rows.")
    try:
        return pd.DataFrame(index=index, columns=given.get("columns"), data=rows)
    except Exception as error:
        raise Refused(
            "Invalid input. Provided dataframe_split field is not a valid dataframe representation in 'split' format. "
            f"Error: '{error}'"
        ) from error


def _records(given: Any) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(given, list):
        kind = "dictionary" if isinstance(given, dict) else f"type {type(given)}"
        raise Refused(f"Invalid input. Dataframe records format must be a list of records. Got {kind}.")
    try:
        return pd.DataFrame(data=given)
    except Exception as error:
        raise Refused(
            "Invalid input. Provided dataframe_records field is not a valid dataframe representation in 'records' "
            f"format. Error: '{error}'"
        ) from error


def _instances(given: Any, signature: Signature | None) -> Any:
    """``instances``: a list of records is turned into columns, and every column must be as long as the others."""
    if isinstance(given, list) and given and isinstance(given[0], dict):
        if not all(isinstance(record, dict) for record in given):
            raise Refused("Invalid input. Ensure that the input is a valid JSON-formatted string.")
        columns: dict[str, list[Any]] = defaultdict(list)
        for record in given:
            for name, value in record.items():
                columns[name].append(value)
        data: Any = _columns(columns, signature)
    else:
        data = _inputs(given, signature)
    if isinstance(data, dict):
        required = None if signature is None else {c.name for c in signature.columns if c.required}
        lengths = {
            len(v)
            for n, v in data.items()
            if hasattr(v, "__len__") and not isinstance(v, str) and (required is None or n in required)
        }
        if len(lengths) > 1:
            raise Refused("Invalid input. The length of values for each input/column name are not the same")
    return data


def _inputs(given: Any, signature: Signature | None) -> Any:
    """``inputs``: columns by name, a list of records, or an array."""
    import numpy as np

    records = isinstance(given, list) and any(isinstance(value, dict) for value in given)
    if signature is not None and signature.named and len(signature.columns) == 1 and isinstance(given, list):
        given = given if records else {signature.columns[0].name: given}
    if signature is not None and not signature.named and not (isinstance(given, list) or np.isscalar(given)):
        raise Refused(
            "Invalid input. Failed to parse input data. This model contains an un-named  model signature which expects "
            f"a single n-dimensional array or a single value as input, however, an input of type {type(given)} was found."
        )
    if isinstance(given, dict):
        return _columns(given, signature)
    if records:
        frame = _records(given)
        return frame if signature is None else signature.cast(frame)
    try:
        if signature is not None and signature.tensor is not None:
            return np.array(given, dtype=signature.tensor.dtype)
        array = np.array(given)
    except Exception as error:
        raise Refused(f"Invalid input. {error}") from error
    if signature is None:
        return array
    import pandas as pd

    return signature.cast(pd.DataFrame(given if isinstance(given, list) else [given]))


def _columns(given: dict[str, Any], signature: Signature | None) -> dict[str, Any]:
    known = signature.by_name if signature is not None and signature.named else {}
    try:
        return {name: convert(values, known.get(name)) for name, values in given.items()}
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"Invalid input. {error}") from error
