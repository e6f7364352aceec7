"""Rows: a request's rows, decoded straight into the signature's types; what is not plainly right is left to pandas."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from ..limits import ROWS
from ..signature import Signature

__all__ = ["Decoder"]

Rows = list[Sequence[Any]]

INT32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
TIME = Annotated[datetime, msgspec.Meta(tz=False)]
astuple = msgspec.structs.astuple
TYPES: dict[str, Any] = {
    "double": float | None,
    "float": float | None,
    "long": INT64,
    "integer": INT32,
    "boolean": bool,
    "string": str | None,
    "datetime": TIME,
}
NUMBERS = {"float64": float, "float32": float, "int64": INT64, "int32": INT32}
MOST_ORDERS = 64  # orders of columns that are remembered


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """A table as ``dataframe_split``; its rows are decoded when the order of the columns is known."""

    data: msgspec.Raw
    columns: list[str] | None = None
    index: Any = None


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """A request's body; exactly one of the four is there."""

    dataframe_split: Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | None = None


class Decoder:
    """Decodes the requests that fit a signature.

    Parameters
    ----------
    signature
        Named columns, or one array of two dimensions.

    Raises
    ------
    ValueError
        The signature is of another kind.

    Examples
    --------
    >>> signature = Signature.parse('[{"type": "double", "name": "age"}, {"type": "string", "name": "job"}]')
    >>> Decoder(signature).decode(b'{"dataframe_records": [{"job": "cook", "age": 31}]}')
    ([(31.0, 'cook')], '')
    """

    def __init__(self, signature: Signature) -> None:
        self._body = msgspec.json.Decoder(Body)
        self._names: tuple[str, ...] = ()
        if signature.tensor is not None:
            kind, shape = NUMBERS.get(signature.tensor.dtype), signature.tensor.shape
            if kind is None or len(shape) != 2 or shape[0] != -1 or shape[1] < 1:
                raise ValueError("an array that is no table of numbers")
            self._row = tuple[(kind,) * shape[1]]  # type: ignore[misc]
        else:
            if not signature.named or any(column.type not in TYPES for column in signature.columns):
                raise ValueError("columns without names, or of bytes")
            self._names = tuple(column.name for column in signature.columns)
            self._types = [TYPES[column.type] for column in signature.columns]
            self._row = tuple[tuple(self._types)]  # type: ignore[misc]
            fields = [(f"f{i}", kind) for i, kind in enumerate(self._types)]
            rename = {f"f{i}": name for i, name in enumerate(self._names)}
            record = msgspec.defstruct("Record", fields, rename=rename)
            self._records = msgspec.json.Decoder(list[record])  # type: ignore[valid-type]
            self._record = record
        self._rows = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._listed = list(self._names)
        self._plain_body = self._in_one_pass()
        self._orders: dict[tuple[str, ...], tuple[Any, Callable[[Any], Any] | None] | None] = {
            self._names: (self._rows, None)
        }

    def _in_one_pass(self) -> Any:
        """Decodes the two forms that most clients send, records and a table in the signature's order, without a stop between."""
        if not self._names:
            return None
        parts: list[Any] = [("columns", list[str]), ("data", list[self._row])]  # type: ignore[name-defined]
        split = msgspec.defstruct("PlainSplit", parts, forbid_unknown_fields=True)
        fields: list[Any] = [
            ("dataframe_records", list[self._record] | msgspec.UnsetType, msgspec.UNSET),  # type: ignore[name-defined]
            ("dataframe_split", split | msgspec.UnsetType, msgspec.UNSET),
        ]
        return msgspec.json.Decoder(msgspec.defstruct("PlainBody", fields, forbid_unknown_fields=True))

    def _plainly(self, body: bytes) -> Rows | None:
        try:
            given = self._plain_body.decode(body)
        except msgspec.DecodeError:
            return None
        records, split = given.dataframe_records, given.dataframe_split
        if split is msgspec.UNSET:
            return None if records is msgspec.UNSET else [astuple(record) for record in records]
        if records is msgspec.UNSET and split.columns == self._listed:
            rows: Rows = split.data
            return rows
        return None

    def decode(self, body: bytes) -> tuple[Rows, str] | None:
        """The rows in the signature's order and the method that ``params`` asks for; None where pandas must read them."""
        plain = None if self._plain_body is None else self._plainly(body)
        if plain:
            return None if len(plain) > ROWS else (plain, "")
        try:
            given = self._body.decode(body)
            found = self._decoded(given)
        except msgspec.DecodeError:
            if b"NaN" not in body and b"Infinity" not in body:
                return None
            try:
                return self._plain(json.loads(body))
            except (ValueError, TypeError, RecursionError, AttributeError):
                return None
        if not found or len(found) > ROWS:
            return None
        method = "" if given.params is None else given.params.get("predict_method", "")
        return (found, method) if isinstance(method, str) else None

    def _decoded(self, given: Body) -> Rows | None:
        forms = [f for f in (given.dataframe_split, given.dataframe_records, given.instances, given.inputs)
                 if f is not msgspec.UNSET]  # fmt: skip
        if len(forms) != 1:
            return None
        form = forms[0]
        if isinstance(form, Split):
            if not self._names:
                return self._rows.decode(form.data) if form.columns is None or len(form.columns) else None
            decoder = self._order(tuple(form.columns or ()))
            if decoder is None:
                return None
            rows: Rows = decoder[0].decode(form.data)
            if not _names_each(form.index, rows):
                return None
            return rows if decoder[1] is None else [decoder[1](row) for row in rows]
        assert isinstance(form, msgspec.Raw)  # noqa: S101 for the type checker
        if given.dataframe_records is not msgspec.UNSET:
            return self._of_records(form)
        return self._of_any(form)

    def _of_records(self, form: msgspec.Raw) -> Rows | None:
        if not self._names:
            return None
        return [astuple(record) for record in self._records.decode(form)]

    def _of_any(self, form: msgspec.Raw) -> Rows | None:
        first = bytes(memoryview(form)[:64]).lstrip()[:1]
        if first == b"{":
            return self._of_columns(msgspec.json.decode(form))
        if first != b"[":
            return None
        if self._names:
            return self._of_records(form)
        return self._rows.decode(form)

    def _of_columns(self, given: dict[str, Any]) -> Rows | None:
        if not self._names or any(name not in given for name in self._names):
            return None
        columns = [given[name] for name in self._names]
        if any(not isinstance(c, list) for c in columns) or len({len(c) for c in columns}) != 1:
            return None
        return self._converted(list(zip(*columns, strict=True)))

    def _converted(self, rows: list[Any]) -> Rows:
        made: Rows = msgspec.convert(rows, list[self._row])  # type: ignore[name-defined]
        return made

    def _order(self, columns: tuple[str, ...]) -> tuple[Any, Callable[[Any], Any] | None] | None:
        """How rows in another order of columns are decoded; None where a column is missing or there twice."""
        if columns in self._orders:
            return self._orders[columns]
        made: tuple[Any, Callable[[Any], Any] | None] | None = None
        if len(set(columns)) == len(columns) and all(name in columns for name in self._names):
            types = [self._types[self._names.index(c)] if c in self._names else Any for c in columns]
            places = [columns.index(name) for name in self._names]
            pick: Any = operator.itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
            made = msgspec.json.Decoder(list[tuple[tuple(types)]]), pick  # type: ignore[misc]
        if len(self._orders) < MOST_ORDERS:
            self._orders[columns] = made
        return made

    def _plain(self, data: Any) -> tuple[Rows, str] | None:
        """From a body with NaN or Infinity, which is not quite JSON."""
        forms = [name for name in ("dataframe_split", "dataframe_records", "instances", "inputs") if name in data]
        if len(forms) != 1 or data.get("params") or not self._names:
            return None
        given = data[forms[0]]
        if forms[0] == "dataframe_split":
            columns = given.get("columns") or ()
            if self._order(tuple(columns)) is None or given.keys() - {"columns", "data", "index"}:
                return None
            places = [columns.index(name) for name in self._names]
            if any(len(row) != len(columns) for row in given["data"]) or not _names_each(
                given.get("index"), given["data"]
            ):
                return None
            rows = [tuple(row[p] for p in places) for row in given["data"]]
        elif isinstance(given, list) and all(isinstance(r, dict) and all(n in r for n in self._names) for r in given):
            rows = [tuple(record[name] for name in self._names) for record in given]
        else:
            return None
        try:
            found = self._converted(rows)
        except msgspec.ValidationError:
            return None
        return (found, "") if found and len(found) <= ROWS else None


def _names_each(index: Any, rows: Any) -> bool:
    """Whether an index is left out or has a name for every row; any other is refused where pandas reads it."""
    return index is None or (isinstance(index, list) and len(index) == len(rows))
