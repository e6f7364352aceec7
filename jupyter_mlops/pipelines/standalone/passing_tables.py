"""Passing tables: pandas' tables, series and indexes as Parquet, with their index, labels and types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .passing import Reader, Writer

__all__ = ["decode_pandas", "encode_pandas"]


def encode_pandas(value: Any, writer: Writer) -> dict[str, Any] | None:
    """A node for something of pandas; None for what has no format."""
    import pandas as pd

    if value is pd.NaT or value is pd.NA:
        return {"$": "pandas.missing", "v": "NaT" if value is pd.NaT else "NA"}
    if isinstance(value, pd.Timestamp):
        zone = str(value.tz) if value.tz is not None else ""
        return {"$": "pandas.Timestamp", "v": value.isoformat(), "zone": zone, "unit": value.unit}
    if isinstance(value, pd.Timedelta):
        return {"$": "pandas.Timedelta", "v": value.asm8.astype("int64").item(), "unit": value.unit}
    if isinstance(value, pd.Period):
        return {"$": "pandas.Period", "v": [value.ordinal, value.freqstr]}
    if isinstance(value, pd.Interval):
        return {"$": "pandas.Interval", "v": [writer.encode(value.left), writer.encode(value.right)], "closed": value.closed}  # fmt: skip
    if type(value) is pd.DataFrame:
        return _encode_frame(value, "frame", writer)
    if type(value) is pd.Series:
        return {**_encode_frame(value.to_frame(), "series", writer), "name": writer.encode(value.name)}
    if isinstance(value, pd.Index):
        return _encode_frame(pd.DataFrame(index=value), "index", writer)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return {"$": "pandas.array", "v": writer.encode(pd.Series(value))}
    return None


def decode_pandas(kind: str, node: dict[str, Any], reader: Reader) -> Any:
    """The value that a node of `encode_pandas` stands for."""
    import pandas as pd

    held: Any = node.get("v")
    if kind == "pandas.missing":
        return pd.NaT if held == "NaT" else pd.NA
    if kind == "pandas.Timestamp":
        made = pd.Timestamp(held)
        return (made.tz_convert(node["zone"]) if node["zone"] else made).as_unit(node["unit"])
    if kind == "pandas.Timedelta":
        return pd.Timedelta(held, unit=node["unit"]).as_unit(node["unit"])
    if kind == "pandas.Period":
        return pd.Period(ordinal=node["v"][0], freq=node["v"][1])
    if kind == "pandas.Interval":
        left, right = (reader.decode(side) for side in node["v"])
        return pd.Interval(left, right, closed=node["closed"])
    if kind == "pandas.array":
        return reader.decode(held).array
    frame = _decode_frame(node, reader)
    if kind == "index":
        return frame.index
    if kind == "series":
        series = frame.iloc[:, 0]
        series.name = reader.decode(node["name"])
        return series
    return frame


def _encode_frame(frame: Any, kind: str, writer: Writer) -> dict[str, Any]:
    import pandas as pd

    index = frame.index
    labels = [str(label) for label in frame.columns]
    plain = len(set(labels)) == len(labels) and all(type(label) is str for label in frame.columns)
    names = labels if plain else [f"c{i}" for i in range(len(labels))]
    columns = [frame.iloc[:, i] for i in range(len(labels))]
    ranged = type(index) is pd.RangeIndex
    levels = [] if ranged else [index.get_level_values(i) for i in range(index.nlevels)]
    arrays: dict[str, Any] = {}
    told = [_column(name, column, arrays, writer) for name, column in zip(names, columns, strict=True)]
    told_levels = [_column(f"__index_{i}__", pd.Series(level), arrays, writer) for i, level in enumerate(levels)]
    node: dict[str, Any] = {"$": kind, "rows": len(frame), "columns": told, "levels": told_levels}
    if not (plain and type(frame.columns) is pd.Index and frame.columns.name is None) and kind == "frame":
        node["labels"] = writer.encode([*frame.columns])
        node["label_names"] = writer.encode([*frame.columns.names])
        node["label_type"] = "multi" if frame.columns.nlevels > 1 else str(frame.columns.dtype)
        if type(frame.columns) is pd.RangeIndex:
            node["label_type"] = "range"
    node["names"] = writer.encode([*index.names])
    if ranged:
        node["range"] = [index.start, index.stop, index.step]
    elif index.nlevels == 1:
        node["index_type"] = type(index).__name__
        node["freq"] = getattr(index, "freqstr", None) if type(index).__name__ != "PeriodIndex" else None
    if frame.attrs:
        node["attrs"] = writer.encode(frame.attrs)
    return {**node, **writer.file("parquet", lambda path: _write(arrays, path))}


def _column(name: str, column: Any, arrays: dict[str, Any], writer: Writer) -> dict[str, Any]:
    """Take a column apart into what Parquet can hold; gives how to put it together again."""
    import pandas as pd
    import pyarrow as pa

    dtype = column.dtype
    told: dict[str, Any] = {"name": name, "dtype": str(dtype)}
    if isinstance(dtype, pd.CategoricalDtype):
        arrays[name] = pa.array(column.cat.codes.to_numpy())
        return {**told, "categories": writer.encode(dtype.categories), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, (pd.IntervalDtype, pd.PeriodDtype)) or str(dtype) == "object":
        missing = column[column.isna()]
        if str(dtype) == "object" and pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty"):
            kinds = {_missing(item) for item in missing}
            if len(kinds) <= 1 and not (len(missing) == len(column) and len(column)):
                arrays[name] = pa.array(column.where(column.notna(), None).astype(object).to_list(), pa.large_string())
                return {**told, "missing": next(iter(kinds), "")}
        return {**told, "items": [writer.encode(item) for item in column.to_list()]}
    if isinstance(dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    arrays[name] = pa.array(column, from_pandas=True)
    if arrays[name].null_count and getattr(dtype, "kind", "") == "f" and not hasattr(dtype, "na_value"):
        arrays[name] = pa.array(column.to_numpy(), from_pandas=False)  # a NaN stays the NaN it is
    return told


def _missing(item: Any) -> str:
    import pandas as pd

    return "None" if item is None else "NA" if item is pd.NA else "NaT" if item is pd.NaT else "nan"


def _write(arrays: dict[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(arrays) if arrays else pa.table({"__none__": pa.array([], pa.int8())})
    pq.write_table(table, path, row_group_size=100_000, compression="zstd")


def _decode_frame(node: dict[str, Any], reader: Reader) -> Any:
    import pandas as pd
    import pyarrow.parquet as pq

    table = pq.read_table(reader.path(node))
    columns = [_restored(told, table, reader) for told in node["columns"]]
    names = reader.decode(node["names"])
    if "range" in node:
        start, stop, step = node["range"]
        index: Any = pd.RangeIndex(start, stop, step, name=names[0])
    else:
        levels = [_restored(told, table, reader) for told in node["levels"]]
        index = _index(levels, names, node)
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(node["rows"]))
    frame.index = index
    frame.columns = _labels([told["name"] for told in node["columns"]], node, reader)
    if "attrs" in node:
        frame.attrs = reader.decode(node["attrs"])
    return frame


def _labels(names: list[str], node: dict[str, Any], reader: Reader) -> Any:
    import pandas as pd

    if "labels" not in node:
        return pd.Index(names) if names else pd.Index([], dtype=object)
    labels, label_names = reader.decode(node["labels"]), reader.decode(node["label_names"])
    if node["label_type"] == "multi":
        return pd.MultiIndex.from_tuples(labels, names=label_names)
    if node["label_type"] == "range":
        start, stop, step = _range_of(labels)
        return pd.RangeIndex(start, stop, step, name=label_names[0])
    return pd.Index(labels, dtype=node["label_type"], name=label_names[0], tupleize_cols=False)


def _range_of(labels: Sequence[int]) -> tuple[int, int, int]:
    step = labels[1] - labels[0] if len(labels) > 1 else 1
    start = labels[0] if labels else 0
    return start, start + step * len(labels), step


def _index(levels: list[Any], names: list[Any], node: dict[str, Any]) -> Any:
    import pandas as pd

    if len(levels) > 1:
        return pd.MultiIndex.from_arrays(levels, names=names)
    index = pd.Index(levels[0], name=names[0])
    if node.get("freq"):
        index.freq = node["freq"]
    return index


def _restored(told: dict[str, Any], table: Any, reader: Reader) -> Any:
    import pandas as pd

    dtype = told["dtype"]
    if "items" in told:
        items = [reader.decode(item) for item in told["items"]]
        if dtype == "object":
            made = pd.Series([None] * len(items), dtype=object)
            for i, item in enumerate(items):
                made.iloc[i] = item
            return made
        return pd.Series(items, dtype=dtype)
    array = table.column(told["name"])
    if "categories" in told:
        categories = pd.CategoricalDtype(reader.decode(told["categories"]), ordered=told["ordered"])
        return pd.Series(pd.Categorical.from_codes(array.to_numpy(), dtype=categories))
    if "missing" in told:
        empty = {"None": None, "NA": pd.NA, "NaT": pd.NaT, "nan": float("nan")}.get(told["missing"])
        return pd.Series([empty if item is None else item for item in array.to_pylist()], dtype=object)
    kind = pd.api.types.pandas_dtype(dtype)
    if hasattr(kind, "__from_arrow__") and not isinstance(kind, pd.DatetimeTZDtype):
        return pd.Series(kind.__from_arrow__(array))
    made = array.to_pandas()
    made.name = None
    return made if str(made.dtype) == dtype else made.astype(dtype)
