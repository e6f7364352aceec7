"""Arrow tables, and what hands itself over as one (polars, DuckDB, readers), as DataFrames of the same content."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

__all__ = ["from_arrow"]

NULLABLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
WIDE = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """A DataFrame of the same content: whole numbers with gaps stay whole numbers, nested columns stay Arrow's.

    A table that pandas has described in its metadata becomes what that says.

    Examples
    --------
    >>> from_arrow(pa.table({"n": [1, None], "x": [0.5, None], "p": [{"a": 1}, None]})).dtypes.astype(str).tolist()
    ['Int64', 'float64', 'struct<a: int64>[pyarrow]']
    """
    for place, field in enumerate(table.schema):
        wide = WIDE.get(str(field.type))
        if wide is not None:
            table = table.set_column(place, field.with_type(wide), table.column(place).cast(wide))
    if b"pandas" in (table.schema.metadata or {}):
        described: pd.DataFrame = table.to_pandas()
        return described
    held: dict[int, Any] = {}
    for place, field in enumerate(table.schema):
        column, kind = table.column(place), field.type
        if pa.types.is_nested(kind):
            held[place] = pd.Series(pd.arrays.ArrowExtensionArray(column))
        elif column.null_count and kind in NULLABLE:
            held[place] = pd.Series(NULLABLE[kind].__from_arrow__(column))
        else:
            held[place] = column.to_pandas()
    frame = pd.DataFrame(held, index=pd.RangeIndex(table.num_rows), copy=False)
    frame.columns = pd.Index(table.column_names)
    return frame
