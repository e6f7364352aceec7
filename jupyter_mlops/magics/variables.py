"""Variables: how a word of a magic's line stands for something in the user's namespace.

- ``{expression}`` and ``$name`` put a value's text into the line, as IPython does, but only where that is what is
  meant: braces around a Python expression over names that exist, and ``$name`` as a whole word. JSON stays JSON.
- Where a command takes a table or an object, a variable's name stands for the variable, and so does a simple
  expression on one: ``df[df.age > 30]``, ``search.best_estimator_``. Anything else is handed on as text: a file, a
  data version.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..domain.command import Argument
from ..errors import InvalidArgument, NotFound

__all__ = ["expand", "look_up"]

_BRACES = re.compile(r"\{([^{}]+)\}")
_DOLLAR = re.compile(r"\$([A-Za-z_]\w*)")


def expand(words: Sequence[str], variables: Mapping[str, Any]) -> list[str]:
    """Put values in for ``$name`` and ``{expression}``.

    Raises
    ------
    NotFound
        ``$name`` names no variable.
    InvalidArgument
        The expression fails.

    Examples
    --------
    >>> expand(["clf@{v}", "{len(rows)}", "$v", '{"v": 1}'], {"v": 7, "rows": [1, 2]})
    ['clf@7', '2', '7', '{"v": 1}']
    """
    expanded = []
    for word in words:
        dollar = _DOLLAR.fullmatch(word)
        if dollar:
            if dollar[1] not in variables:
                raise NotFound(f"no variable {dollar[1]!r} for {word!r}.", hint="Define it first.")
            expanded.append(str(variables[dollar[1]]))
        else:
            expanded.append(_BRACES.sub(lambda found: _filled(found, variables), word))
    return expanded


def _filled(found: re.Match[str], variables: Mapping[str, Any]) -> str:
    names = _names_in(found[1])
    if not names or not all(name in variables or hasattr(builtins, name) for name in names):
        return found[0]
    return str(_value(found[1], variables))


def look_up(given: Any, argument: Argument, variables: Mapping[str, Any]) -> Any:
    """What a word stands for where `argument` takes a table or an object.

    Raises
    ------
    NotFound
        The word can only be a variable, and there is none of that name.
    InvalidArgument
        The word is an expression over variables, and it fails.
    """
    if isinstance(given, list):
        return [look_up(word, argument, variables) for word in given]
    word = str(given)
    if word in variables and (not argument.complete or argument.value == "object" or _is_table(variables[word])):
        return variables[word]
    names = _names_in(word, ast.Attribute, ast.Subscript, ast.Call)
    if names and all(name in variables or hasattr(builtins, name) for name in names) and not _is_file(word):
        return _value(word, variables)
    return word


def _is_table(held: Any) -> bool:
    """Whether a variable can stand for a table where a name out of the store can stand too.

    A classifier in a variable ``clf`` must not hide the deployment ``clf``. Decided by the type; nothing is touched.
    """
    marks = ("columns", "__dataframe__", "__array__", "__arrow_c_stream__", "to_batches")  # the last: Arrow's datasets
    return isinstance(held, (list, dict)) or any(hasattr(type(held), mark) for mark in marks)


def _is_file(word: str) -> bool:
    try:
        return Path(word).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def _names_in(text: str, *kinds: type[ast.expr]) -> set[str]:
    """The names that a Python expression reads; none if it is no expression, or not one of `kinds`."""
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return set()
    if kinds and not isinstance(body, kinds):
        return set()
    inner = {a.arg for node in ast.walk(body) if isinstance(node, ast.arguments) for a in node.args}
    inner |= {n.id for n in ast.walk(body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {node.id for node in ast.walk(body) if isinstance(node, ast.Name)} - inner


def _value(expression: str, variables: Mapping[str, Any]) -> Any:
    try:
        return eval(expression, dict(variables))  # noqa: S307 the user's own expression, in the user's own kernel
    except Exception as error:
        raise InvalidArgument(f"{expression!r} cannot be evaluated: {type(error).__name__}: {error}.") from None
