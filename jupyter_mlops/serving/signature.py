"""Signature: what a model takes, read from its MLmodel file, and the rules by which MLflow makes a request fit it.

MLflow's own rules are followed (`mlflow.models.utils._enforce_schema`, `mlflow.utils.proto_json_utils`) and its own
sentences are used, but for what MLflow changes without a word and what is refused here: a fraction or a number too large
in an integer column, anything but true, false, 0 and 1 in a boolean column, rows of unequal length.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..domain.signature import SignatureColumn

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["BAD_REQUEST", "INVALID_VALUE", "Refused", "Signature", "Tensor", "signature_columns"]

BAD_REQUEST = "BAD_REQUEST"
INVALID_VALUE = "INVALID_PARAMETER_VALUE"

# MLflow's column types that this server knows, and the pandas types they become
PANDAS = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
    "binary": "object",
    "datetime": "datetime64[ns]",
}


class Refused(Exception):
    """A request that the model cannot take.

    Parameters
    ----------
    code
        MLflow's error code; both kinds are answered with status 400.
    """

    def __init__(self, message: str, code: str = BAD_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Tensor:
    """One unnamed array: what a model takes that was trained on NumPy arrays."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What a model takes: named columns, unnamed columns or one array.

    Parameters
    ----------
    columns
        In the model's order; the names are empty where the signature has none.
    """

    columns: tuple[SignatureColumn, ...] = ()
    tensor: Tensor | None = None

    @classmethod
    def parse(cls, text: str | None) -> Signature | None:
        """Read the ``inputs`` of an MLmodel's signature; None for a model that states none.

        Raises
        ------
        ValueError
            The signature holds what only MLflow itself can enforce: nested columns or several arrays.

        Examples
        --------
        >>> Signature.parse('[{"type": "double", "name": "age", "required": true}]').columns[0].type
        'double'
        """
        if not text:
            return None
        entries = json.loads(text)
        tensors = [entry["tensor-spec"] for entry in entries if entry["type"] == "tensor"]
        if tensors:
            if len(entries) > 1 or entries[0].get("name"):
                raise ValueError("several or named arrays")
            return cls(tensor=Tensor(tensors[0]["dtype"], tuple(tensors[0]["shape"])))
        if any(entry["type"] not in PANDAS for entry in entries):
            raise ValueError("nested columns")
        return cls(tuple(SignatureColumn(e.get("name") or "", e["type"], e.get("required", True)) for e in entries))

    @property
    def named(self) -> bool:
        """Whether the columns have names."""
        return bool(self.columns) and bool(self.columns[0].name)

    @property
    def by_name(self) -> dict[Any, SignatureColumn]:
        """The columns by name, or by position where they have none."""
        return {column.name or i: column for i, column in enumerate(self.columns)}

    def kinds(self) -> dict[str, str]:
        """MLflow's type of every column by name, ``"0"``, ``"1"``... for an array's; empty where there are no columns."""
        if self.tensor is None:
            return {column.name: column.type for column in self.columns} if self.named else {}
        kind = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer"}.get(self.tensor.dtype)
        if kind is None or len(self.tensor.shape) != 2:
            return {}
        return {str(number): kind for number in range(self.tensor.shape[1])}

    def csv_types(self) -> dict[Any, str]:
        """The types to read a CSV body with; dates are read as text first."""
        return {n: PANDAS[c.type] if c.type != "datetime" else "object" for n, c in self.by_name.items()}

    def cast(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Turn the columns of a parsed table, in place, into the model's types, where that loses nothing."""
        _unique(frame)
        if self.tensor is not None:
            dtype = self.tensor.dtype
            for name in frame.columns:
                if not (len(frame) and isinstance(frame[name].iloc[0], list)):
                    frame[name] = _converted(name, dtype, lambda s: s.astype(dtype), frame[name])
            return frame
        known = self.by_name if self.named else dict(zip(frame.columns, self.columns, strict=False))
        for name in frame.columns:
            if name in known:
                frame[name] = cast_column(name, frame[name], known[name])
        return frame

    def enforce(self, data: Any) -> Any:
        """What the model is given: the columns in its order, none missing, others left out.

        Raises
        ------
        Refused
            A column is missing or cannot hold what was sent.
        """
        import numpy as np
        import pandas as pd

        if self.tensor is not None:
            return self._enforce_tensor(data)
        if isinstance(data, dict):
            data = _frame_of(data)
        elif isinstance(data, (list, np.ndarray)) or np.isscalar(data):
            values: Any = [data] if np.isscalar(data) else data
            data = pd.DataFrame(values)
        if not isinstance(data, pd.DataFrame):
            raise Refused(f"Expected input to be DataFrame. Found: {type(data).__name__}", INVALID_VALUE)
        if not self.named:
            return self._enforce_positions(data)
        known = self.by_name
        missing = [name for name, column in known.items() if column.required and name not in data.columns]
        if missing:
            extra = [name for name in data.columns if name not in known]
            tail = f" Note that there were extra inputs: {extra}." if extra else ""
            raise Refused(_failed(f"Model is missing inputs {missing}.{tail}"), INVALID_VALUE)
        _unique(data)
        return pd.DataFrame({n: _fitting(n, data[n], c) for n, c in known.items() if n in data.columns})

    def table(self, columns: Sequence[Sequence[Any]]) -> Any:
        """What the model is given, of values that are of the signature's types already."""
        import numpy as np
        import pandas as pd

        if self.tensor is not None:
            return np.array(columns, dtype=self.tensor.dtype).T
        names = [column.name for column in self.columns]
        return self.enforce(self.cast(pd.DataFrame(dict(zip(names, columns, strict=True)))))

    def _enforce_positions(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        if len(frame.columns) < len(self.columns):
            raise Refused(
                _failed(
                    f"Model inference is missing inputs. The model signature declares {len(self.columns)} inputs  but "
                    f"the provided value only has {len(frame.columns)} inputs. Note: the inputs were not named in the "
                    "signature so we can only verify their count."
                ),
                INVALID_VALUE,
            )
        pairs = zip(frame.columns, self.columns, strict=False)
        return pd.DataFrame({name: _fitting(name, frame[name], column) for name, column in pairs})

    def _enforce_tensor(self, data: Any) -> np.ndarray[Any, Any]:
        import numpy as np
        import pandas as pd

        assert self.tensor is not None  # noqa: S101 for the type checker; the caller has looked
        if isinstance(data, pd.DataFrame):
            if data.empty:
                raise Refused(_failed("Input DataFrame is empty."), INVALID_VALUE)
            if len(data.columns) == 1 and isinstance(data.iloc[0, 0], list):
                data = np.array(data.iloc[:, 0].tolist())
            elif len(data.columns) == 1 and self.tensor.shape == (
                -1,
            ):  # a row is one value, whatever its column is called
                data = data.iloc[:, 0].to_numpy()
            else:
                data = data.to_numpy()
        if not isinstance(data, np.ndarray):
            raise Refused(
                _failed(
                    "This model contains a tensor-based model signature with no input names, which suggests a numpy "
                    "array input or a pandas dataframe input with proper column values, but an input of type "
                    f"{type(data)} was found."
                ),
                INVALID_VALUE,
            )
        shape = self.tensor.shape
        if len(shape) != data.ndim or any(e not in (-1, a) for e, a in zip(shape, data.shape, strict=True)):
            raise Refused(_failed(f"Shape of input {data.shape} does not match expected shape {shape}."), INVALID_VALUE)
        if self.tensor.dtype not in ("object", "str") and data.dtype != np.dtype(self.tensor.dtype):
            raise Refused(
                _failed(f"dtype of input {data.dtype} does not match expected dtype {self.tensor.dtype}"), INVALID_VALUE
            )
        return data


def signature_columns(text: str) -> tuple[SignatureColumn, ...]:
    """The named columns a model takes; none where it takes an array, or what only MLflow can enforce."""
    try:
        signature = Signature.parse(text)
    except ValueError:
        return ()
    return signature.columns if signature is not None and signature.named else ()


def cast_column(name: Any, values: pd.Series, column: SignatureColumn) -> pd.Series:
    """One column as the signature's type.

    Raises
    ------
    Refused
        A value cannot be of that type; names the column.
    """
    import pandas as pd

    kind = column.type
    if kind == "string":
        return values if isinstance(values.dtype, pd.StringDtype) else values.astype("object")
    if kind == "binary":
        return _converted(
            name, "object", lambda s: s.map(lambda x: x if isinstance(x, bytes) else base64.b64decode(x)), values
        )
    if kind == "datetime":
        return _converted(name, PANDAS[kind], _dates, values)
    if kind == "boolean":
        return _booleans(name, values, required=column.required)
    if kind in ("integer", "long"):
        return _integers(name, values, PANDAS[kind])
    return _converted(name, PANDAS[kind], lambda s: s.astype(PANDAS[kind]), values)


def convert(given: Any, column: SignatureColumn | None) -> Any:
    """A column's values out of ``instances`` or ``inputs``, as MLflow turns them into an array; a scalar stays one."""
    import numpy as np
    import pandas as pd

    if column is None:
        return np.array(given)
    if not isinstance(given, list):
        return _one(convert([given], column))
    if any(isinstance(value, (list, dict)) for value in given):
        return given  # nested values never fit a column: `enforce` names it
    if column.type == "string":
        return [value if isinstance(value, str) or value is None else str(value) for value in given]
    return cast_column(column.name, pd.Series(given), column).to_numpy()


def _one(values: Any) -> Any:
    return values[0]


def _frame_of(data: Mapping[str, Any]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    try:
        if all(np.isscalar(value) or value is None for value in data.values()):
            return pd.DataFrame([dict(data)])
        flat = {k: v.tolist() if isinstance(v, np.ndarray) and v.ndim > 1 else v for k, v in data.items()}
        return pd.DataFrame(flat)
    except Exception as error:
        raise Refused(
            _failed(
                "This model contains a column-based signature, which suggests a DataFrame input. There was an error "
                f"casting the input data to a DataFrame: {error}"
            ),
            INVALID_VALUE,
        ) from error


def _fitting(name: Any, values: pd.Series, column: SignatureColumn) -> pd.Series:
    """The column, if its type is the signature's by now; what JSON can hold has been cast before."""
    import pandas as pd

    expected = PANDAS[column.type]
    if column.type == "string" and values.isna().all():  # a null alone is the missing value that it is beside a text
        return values.astype(pd.Series([""]).dtype)
    if column.type in ("string", "binary") or str(values.dtype) == expected:
        return values
    if column.type == "boolean" and not column.required and values.dtype == object:
        return values  # nulls where they are allowed
    raise Refused(
        _failed(f"Incompatible input types for column {name}. Can not safely convert {values.dtype} to {expected}."),
        INVALID_VALUE,
    )


def _dates(values: pd.Series) -> pd.Series:
    import pandas as pd

    parsed: pd.Series = pd.to_datetime(values)
    if getattr(parsed.dt, "tz", None) is not None:
        raise ValueError("a time zone; send times without one")
    return parsed.astype("datetime64[ns]")


def _booleans(name: Any, values: pd.Series, *, required: bool) -> pd.Series:
    if values.dtype == bool:
        return values
    missing = values.isna()
    if not values[~missing].isin([True, False]).all():  # 1 and 0 are equal to these
        wrong = values[~missing & ~values.isin([True, False])].iloc[0]
        raise _incompatible(name, "bool", f"{_plain(wrong)!r} is neither true nor false")
    if missing.any():
        if required:
            raise _incompatible(name, "bool", "a missing value, in a column that may have none")
        return values.astype("object").where(~missing, None)
    return values.astype("bool")


def _integers(name: Any, values: pd.Series, dtype: str) -> pd.Series:
    cast = _converted(name, dtype, lambda s: s.astype(dtype), values)
    numbers = values
    if values.dtype.kind == "O":  # texts are read as the numbers that they spell
        numbers = values.astype("object").where(~values.map(lambda v: isinstance(v, str)).astype(bool), cast)
    changed = numbers != cast
    if changed.any():
        raise _incompatible(name, dtype, f"{_plain(numbers[changed].iloc[0])!r} is no such number")
    return cast


def _plain(value: Any) -> Any:
    """A value as whoever sent it knows it: ``1.5``, not ``np.float64(1.5)``."""
    return value.item() if hasattr(value, "item") else value


def _converted(name: Any, dtype: str, change: Any, values: pd.Series) -> pd.Series:
    try:
        changed: pd.Series = change(values)
    except Exception as error:
        raise _incompatible(name, dtype, repr(error)) from error
    return changed


def _incompatible(name: Any, dtype: str, why: str) -> Refused:
    return Refused(
        "Invalid input. Data is not compatible with model signature. "
        f"Failed to convert column {name} to type '{dtype}'. Error: '{why}'"
    )


def _failed(why: str) -> str:
    return f"Failed to enforce schema of data. Error: {why}"


def _unique(frame: pd.DataFrame) -> None:
    """Refuse a column that was sent twice: MLflow fails on it in the depths of pandas."""
    if not frame.columns.is_unique:
        twice: Sequence[Any] = sorted({str(n) for n in frame.columns[frame.columns.duplicated()]})
        raise Refused(_failed(f"columns were sent more than once: {', '.join(twice)}."), INVALID_VALUE)
