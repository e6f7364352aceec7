"""Clock: calls that give another value each time, whatever seed is set: the time, the process, identities, true random bytes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from .dataflow import RANDOM, Flow
from .known_calls import words
from .names import dotted_name
from .trace import Statement

__all__ = ["clock_calls", "clock_dependents"]

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
_NOW = frozenset(("Timestamp", "to_datetime", "datetime64", "date_range", "bdate_range"))
_SEEDED = frozenset(("RandomState", "default_rng", "SeedSequence", "PCG64", "MT19937", "Random"))
_TIMES = re.compile(r"((mean|std)_)?(fit|score)_time")
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
            elif told := _measured(node):
                found[f"{told} in {statement.where}"] = None
    return list(found)


def clock_dependents(flows: Iterable[Flow]) -> dict[str, list[str]]:
    r"""The names whose values come from such calls at the end, each with the calls.

    Examples
    --------
    >>> from jupyter_mlops.analysis.dataflow import link
    >>> from jupyter_mlops.analysis.parse import parse_cells
    >>> from jupyter_mlops.domain.workspace import Cell
    >>> text = "import time\nstart = time.time()\nn = 3\nlater = start + n"
    >>> clock_dependents(link(parse_cells([Cell(text, 4, outcome="ok")]).statements))
    {'start': ['time.time() in [4]'], 'later': ['time.time() in [4]']}
    """
    found: dict[str, dict[str, None]] = {}
    for flow in flows:
        calls = dict.fromkeys(clock_calls([flow.statement]))
        for name in flow.reads:
            calls |= found.get(name, {})
        for name in flow.writes:
            found[name] = dict(calls)
        for name in flow.maybe | flow.mutates:
            found[name] = found.get(name, {}) | calls
        found.pop(RANDOM, None)
    return {name: list(calls) for name, calls in found.items() if calls}


def _measured(node: ast.AST) -> str:
    """The name under which scikit-learn keeps a time that it has measured, where a node asks for it."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        key = str(node.slice.value)
        return key if _TIMES.fullmatch(key) else ""
    return node.attr if isinstance(node, ast.Attribute) and node.attr == "refit_time_" else ""


def _reads(node: ast.Call, dotted: str) -> bool:
    parts = dotted.split(".")
    if ".".join(parts[-2:]) in _CALLS or parts[-1] in _CALLS or parts[0] in _SECRETS:
        return True
    if len(parts) == 1 and dotted in _ALONE:
        return True
    if parts[-1] in _SEEDED and not node.args and not node.keywords:
        return True  # it seeds itself with true random bytes
    given = [a.value for a in node.args if isinstance(a, ast.Constant)]
    return parts[-1] in _NOW and bool({"now", "today"} & {v for v in given if isinstance(v, str)})
