"""A model's signature: what it takes and gives, in MLflow's words, found as `mlflow.models.infer_signature` does, without MLflow.

A table gives one column specification a column, an array one tensor specification. Kept as the plain data that MLflow
writes into an ``MLmodel`` file, so that it can be made in a kernel that never loads MLflow. Where MLflow gives up on a
whole table because of one column (a time span, mixed objects), here only that column gets the type ``any``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..domain.signature import Schema
from ..errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["categories_of", "output_schema", "schema_of"]

MOST_CATEGORIES = 1000

# what pandas says of the values in a column of objects, and MLflow's name for it
OBJECTS = {
    "string": "string",
    "bytes": "binary",
    "boolean": "boolean",
    "integer": "long",
    "floating": "double",
    "datetime": "datetime",
    "datetime64": "datetime",
    "empty": "any",
}


def schema_of(data: Any) -> Schema:
    """The schema of a model's input: a DataFrame, a Series of texts, an array or a sparse matrix.

    Raises
    ------
    InvalidArgument
        A DataFrame names two columns alike or has no columns, or `data` is none of these.

    Examples
    --------
    >>> import pandas as pd
    >>> schema_of(pd.DataFrame({"age": [41, 7], "job": ["cook", None]}))
    [{'type': 'long', 'name': 'age', 'required': True}, {'type': 'string', 'name': 'job', 'required': False}]
    """
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        doubled = data.columns[data.columns.duplicated()]
        if len(doubled):
            raise InvalidArgument(f"the table has two columns called {doubled[0]!r}.", hint="Rename one of them.")
        if not len(data.columns):
            raise InvalidArgument("the table has no columns.")
        return [_column(data[name], name=_plain(name)) for name in data.columns]
    if isinstance(data, pd.Series):  # a model that takes texts gets an array of them, never a table
        return [_tensor("object", (-1,))]
    if isinstance(data, np.ndarray):
        return [_tensor(_dtype_name(data.dtype), (-1, *data.shape[1:]))]
    if hasattr(data, "tocsr"):
        return [_tensor(_dtype_name(data.dtype), (-1, *data.shape[1:]))]
    raise InvalidArgument(f"a model's input is a table or an array, not {type(data).__name__}.")


def output_schema(predictions: Any, inputs: Schema) -> Schema:
    """The schema of what a model gives for inputs of the schema `inputs`.

    One value a row of a table is a column without a name, as MLflow has it; anything else is a tensor.
    """
    import numpy as np
    import pandas as pd

    if isinstance(predictions, (pd.DataFrame, pd.Series)):
        frame = predictions
    else:
        array = np.asarray(predictions)
        if array.ndim != 1 or inputs[0]["type"] == "tensor":
            return schema_of(array)
        frame = pd.Series(array)
    if isinstance(frame, pd.DataFrame):
        return schema_of(frame)
    column = _column(frame, name=None if frame.name is None else _plain(frame.name))
    return [column if "name" in column else {**column, "required": True}]  # what has no name is always required


def categories_of(inputs: Any) -> dict[str, Any]:
    """The categories of the category columns: a signature calls these text, but the model may need them as they were."""
    import pandas as pd

    if not isinstance(inputs, pd.DataFrame):
        return {}
    found = {}
    for name in inputs.select_dtypes("category"):
        dtype = inputs[name].cat
        values = dtype.categories.tolist()
        if len(values) <= MOST_CATEGORIES and all(isinstance(value, (str, int, float, bool)) for value in values):
            found[str(name)] = {"values": values, "ordered": bool(dtype.ordered)}
    return found


def _column(column: pd.Series[Any], name: str | int | None) -> dict[str, Any]:
    kind = _column_type(column)
    spec: dict[str, Any] = {"type": kind}
    if name is not None:
        spec["name"] = name
    return {**spec, "required": not bool(column.isna().any())}


def _column_type(column: pd.Series[Any]) -> str:
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories().cat.categories
        # MLflow looks at a category column's values as Python objects
        return OBJECTS.get(pd.api.types.infer_dtype(used, skipna=True), "any") if len(used) else "any"
    if isinstance(dtype, pd.StringDtype):
        return "any" if column.isna().all() else "string"
    if dtype.kind == "O":
        return _object_type(column.infer_objects())
    return _number_type(dtype)


def _object_type(column: pd.Series[Any]) -> str:
    import pandas as pd

    if column.dtype.kind != "O":
        return _number_type(column.dtype)
    present = column.dropna()
    found = pd.api.types.infer_dtype(present, skipna=False)
    if found not in ("integer", "floating", "boolean"):
        return OBJECTS.get(found, "any")
    # Python's own numbers are long and double; NumPy's keep their width, if all are alike
    kinds = {type(value) for value in present}
    if kinds <= {int} or kinds <= {float} or kinds <= {bool}:
        return OBJECTS[found]
    alone = next(iter(kinds)) if len(kinds) == 1 else None
    widths = {"int64": "long", "int32": "integer", "float64": "double", "float32": "float", "bool": "boolean"}
    return widths.get(getattr(alone, "__name__", ""), "any")


def _number_type(dtype: Any) -> str:
    kind, size = dtype.kind, getattr(dtype, "itemsize", 8)
    if kind == "b":
        return "boolean"
    if kind in "iu":
        if size < 4 or (kind == "i" and size == 4):
            return "integer"
        return "long" if size < 8 or kind == "i" else "any"
    if kind == "f":
        return "float" if size <= 4 else "double" if size <= 8 else "any"
    return {"U": "string", "S": "binary", "M": "datetime"}.get(kind, "any")


def _tensor(dtype: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [int(size) for size in shape]}}


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return {"U": "str", "S": "bytes"}.get(dtype.kind, dtype.name)


def _plain(name: Any) -> str | int:
    if isinstance(name, (str, int)):
        return name
    if hasattr(name, "item"):
        return _plain(name.item())
    raise InvalidArgument(
        f"a column is called {name!r}, which is neither text nor a number.", hint="Give the columns plain names."
    )
