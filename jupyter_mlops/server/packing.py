"""Packing: commands, their arguments and their results as JSON, and errors with their status codes."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from ..domain.command import Argument, Command
from ..domain.record import Record
from ..errors import InvalidArgument, MLOpsError

__all__ = ["STATUS", "describe", "offered", "pack", "read_query", "status_of"]

STATUS: dict[str, int] = {
    "error": 500,
    "invalid-argument": 400,
    "not-found": 404,
    "conflict": 409,
    "not-ready": 409,
    "missing-dependency": 424,
    "integrity": 500,
    "verification-failed": 422,
    "prediction-refused": 422,
    "promotion-refused": 409,
    "unavailable": 503,
    "store-unavailable": 503,
    "service-unavailable": 503,
    "service-outdated": 503,
}
"""The one table from the errors' codes to HTTP."""

_PLAIN = (str, int, float, bool, list, tuple, dict)


def status_of(error: MLOpsError) -> int:
    """The HTTP status of one of our errors."""
    return STATUS.get(error.code, 500)


def describe(command: Command) -> dict[str, Any]:
    """A command's declaration, as the panel reads it."""
    return {
        "name": command.name,
        "stage": command.stage,
        "help": command.help,
        "description": command.description,
        "examples": list(command.examples),
        "changes": command.changes,
        "offered": offered(command),
        "arguments": [
            {
                "name": argument.name,
                "value": argument.value,
                "help": argument.help,
                "required": argument.required,
                "many": argument.many,
                "default": _plain(argument.default) if isinstance(argument.default, _PLAIN) else None,
                "choices": list(argument.choices),
                "complete": argument.complete,
            }
            for argument in command.arguments
        ],
    }


def offered(command: Command) -> bool:
    """Whether the panel may ask for it here: its result is a noun or text, not an object for a kernel."""
    result = typing.get_type_hints(command.function).get("return")
    kinds = typing.get_args(result) if typing.get_origin(result) in (typing.Union, types.UnionType) else (result,)
    return all(kind is str or (isinstance(kind, type) and issubclass(kind, Record)) for kind in kinds)


def read_query(command: Command, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A query's texts as a command's arguments: on and off for flags, several values where there may be several."""
    known = {argument.name: argument for argument in command.arguments}
    return {name: _from_text(known.get(name), texts) for name, texts in given.items()}


def _from_text(argument: Argument | None, texts: Sequence[str]) -> Any:
    if argument is None:  # the command itself says which it knows
        return texts[-1]
    if argument.value == "flag":
        words = {"true": True, "1": True, "false": False, "0": False}
        if texts[-1].lower() not in words:
            raise InvalidArgument.unknown(f"value of {argument.label}", texts[-1], ("true", "false"))
        return words[texts[-1].lower()]
    return list(texts) if argument.many else texts[-1]


def pack(result: Any) -> dict[str, Any]:
    """A command's result: a noun's fields and what it knows of itself, and its ``kind``; text under ``text``."""
    if isinstance(result, Record):
        packed: dict[str, Any] = _plain(result)
        return packed
    return {"kind": "Text", "text": str(result)}


@cache
def _derived(cls: type[Record]) -> tuple[str, ...]:
    """The properties of a noun: what it derives from its fields, such as a reference or a verdict."""
    return tuple(name for name in dir(cls) if not name.startswith("_") and isinstance(getattr(cls, name), property))


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        cls = type(value)
        names = [*(field.name for field in fields(value)), *_derived(cls)]  # type: ignore[arg-type]  # a class is hashable
        return {"kind": cls.__name__, **{name: _plain(getattr(value, name)) for name in names}}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")  # as JavaScript's Number reads them
    return value
