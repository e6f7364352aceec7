"""Clock: calls that give another value each time, whatever seed is set: the time, the process, identities, true random bytes."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .known_calls import words
from .names import dotted_name
from .parse import Statement

__all__ = ["clock_calls"]

_CALLS = words(
    """
    time.time time.time_ns time.perf_counter time.perf_counter_ns time.process_time time.monotonic time.ctime
    time.localtime time.gmtime time.asctime datetime.now datetime.today datetime.utcnow date.today Timestamp.now
    Timestamp.today Timestamp.utcnow uuid.uuid1 uuid.uuid4 os.getpid os.urandom os.getloadavg os.stat path.getmtime
    timeit.timeit timeit.repeat timeit.default_timer threading.get_ident psutil.virtual_memory to_jshtml
    to_html5_video
    """
)
_ALONE = frozenset(("perf_counter", "process_time", "uuid4", "uuid1", "urandom", "getpid", "default_timer", "id"))
_NOW = frozenset(("Timestamp", "to_datetime", "datetime64"))
_SECRETS = frozenset(("secrets", "psutil"))


def clock_calls(statements: Iterable[Statement]) -> list[str]:
    r"""The calls, each with the cell it stands in.

    Examples
    --------
    >>> from jupyter_mlops.analysis.parse import parse_cells
    >>> from jupyter_mlops.domain.workspace import Cell
    >>> clock_calls(parse_cells([Cell("import time\nstart = time.time()", 4, outcome="ok")]).statements)
    ['time.time() in [4]']
    """
    found: dict[str, None] = {}
    for statement in statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Call) and (dotted := dotted_name(node.func)) and _reads(node, dotted):
                found[f"{dotted}() in {statement.where}"] = None
    return list(found)


def _reads(node: ast.Call, dotted: str) -> bool:
    parts = dotted.split(".")
    if ".".join(parts[-2:]) in _CALLS or parts[-1] in _CALLS or parts[0] in _SECRETS:
        return True
    if len(parts) == 1 and dotted in _ALONE:
        return True
    given = [a.value for a in node.args if isinstance(a, ast.Constant)]
    return parts[-1] in _NOW and bool({"now", "today"} & {v for v in given if isinstance(v, str)})
