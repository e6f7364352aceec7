"""Record: the base of every noun that travels between processes; plain data out, the same object back in."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Self, TypeVar, Union, get_args, get_origin

__all__ = ["Record"]

T = TypeVar("T", bound="Record")


@dataclass(frozen=True)
class Record:
    """A frozen dataclass that turns into JSON-ready data and back.

    Fields may be plain values, other records, tuples, dicts and optionals of those. A field that the data does not
    name takes its default and a name that the class does not know is passed over, so that two versions of the
    package can talk to one service.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Point(Record):
    ...     x: float
    ...     tags: tuple[str, ...] = ()
    >>> Point.from_dict(Point(1.0, ("a",)).to_dict()) == Point(1.0, ("a",))
    True
    """

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-ready data."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a record from `to_dict`'s data."""
        hints = _hints(cls)  # type: ignore[arg-type]  # a class is hashable
        return cls(**{f.name: _read(hints[f.name], data[f.name]) for f in fields(cls) if f.name in data})


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    return value


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _read(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _read(next(arg for arg in args if arg is not type(None)), value)
    if origin is tuple:
        return tuple(_read(args[0], item) for item in value)
    if origin is dict:
        return {key: _read(args[1], item) for key, item in value.items()}
    if is_dataclass(hint) and isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict(value)
    return value
