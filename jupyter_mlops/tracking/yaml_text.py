"""YAML text of plain data, for the small files of a model folder: a first fit need not wait for a YAML library."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["as_yaml"]

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
NOT_PLAIN = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})")


def as_yaml(data: Mapping[str, Any]) -> str:
    r"""Plain data as a YAML document in block style, keys in order, strings in double quotes.

    Parameters
    ----------
    data
        Mappings, lists, strings, finite numbers, booleans and None.

    Returns
    -------
    str
        Any YAML 1.1 or 1.2 reader gives the same data.

    Raises
    ------
    ValueError
        A number is not finite.

    Examples
    --------
    >>> print(as_yaml({"name": "mlflow-env", "dependencies": ["python=3.11", {"pip": ["mlflow==3.4.0"]}]}), end="")
    dependencies:
    - "python=3.11"
    - pip:
      - "mlflow==3.4.0"
    name: "mlflow-env"
    """
    return "".join(f"{line}\n" for line in _lines(data))


def _lines(value: Any) -> Iterator[str]:
    """The lines of a value, without the indentation that it stands in."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            plain = PLAIN.match(key) and key.lower() not in NOT_PLAIN
            yield from _entry(f"{key if plain else _scalar(key)}:", value[key], deeper=isinstance(value[key], Mapping))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for item in value:
            first, *rest = _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(head: str, value: Any, *, deeper: bool) -> Iterator[str]:
    """A key with its value: on the same line where it is a scalar."""
    lines = list(_lines(value))
    if isinstance(value, (str, int, float, type(None))) or not value:
        yield f"{head} {lines[0]}"
        return
    yield head
    yield from (f"  {line}" if deeper else line for line in lines)


def _scalar(value: Any) -> str:
    """A scalar or an empty collection as JSON has it, which is YAML but for characters beyond the first plane."""
    text = json.dumps(value, allow_nan=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")  # YAML 1.1 takes 1e-07 for a string
    return PAIR.sub(lambda m: f"{m[1]}\\U{_beyond(m[2], m[3]):08x}", text)


def _beyond(high: str, low: str) -> int:
    return 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
