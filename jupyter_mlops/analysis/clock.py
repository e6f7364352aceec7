"""Clock: what gives another value each time, whatever seed is set: the time, the process, identities, true random bytes, the order of sets."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

from .dataflow import RANDOM, Flow
from .known_calls import words
from .names import dotted_name
from .trace import Statement

__all__ = ["clock_calls", "clock_dependents", "is_certain"]

_CALLS = words(
    """
    time.time time.time_ns time.perf_counter time.perf_counter_ns time.process_time time.monotonic time.ctime
    time.localtime time.gmtime time.asctime datetime.now datetime.today datetime.utcnow date.today Timestamp.now
    Timestamp.today Timestamp.utcnow uuid.uuid1 uuid.uuid4 os.getpid os.urandom os.getloadavg os.stat path.getmtime
    timeit.timeit timeit.repeat timeit.default_timer threading.get_ident tempfile.mkdtemp tempfile.mkstemp
    tempfile.mktemp tempfile.TemporaryDirectory tempfile.NamedTemporaryFile psutil.virtual_memory to_jshtml
    to_html5_video
    """
)
_ALONE = frozenset(("perf_counter", "process_time", "uuid4", "uuid1", "urandom", "getpid", "default_timer", "id"))
_NOW = frozenset(("Timestamp", "to_datetime", "datetime64", "date_range", "bdate_range"))
_SEEDED = frozenset(("RandomState", "default_rng", "SeedSequence", "PCG64", "MT19937", "Random"))
_TIMES = re.compile(r"((mean|std)_)?(fit|score)_time")
_SECRETS = frozenset(("secrets", "psutil"))
_SETS = frozenset(("set", "frozenset"))
_RESAMPLED = frozenset(("barplot", "catplot", "jointplot", "lineplot", "lmplot", "pointplot", "regplot", "relplot"))
_DATED = ("svg", "svgz", "pdf", "ps", "eps")


def clock_calls(statements: Iterable[Statement], *, sets: bool = False) -> list[str]:
    r"""The calls, each with the cell it stands in.

    Parameters
    ----------
    sets
        Sets count too: nothing fixes the order in which their texts are read.

    Examples
    --------
    >>> from jupyter_mlops.analysis.parse import parse_cells
    >>> from jupyter_mlops.domain.workspace import Cell
    >>> clock_calls(parse_cells([Cell("import time\nstart = time.time()", 4, outcome="ok")]).statements)
    ['time.time() in [4]']
    """
    statements = list(statements)
    aliases = _aliases(statements)
    return list(dict.fromkeys(call for statement in statements for call in _calls(statement, aliases, sets=sets)))


def _calls(statement: Statement, aliases: Mapping[str, str], *, sets: bool, seeded: bool = False) -> Iterator[str]:
    for node in ast.walk(statement.node):
        told = _measured(node)
        if isinstance(node, ast.Call) and (dotted := dotted_name(node.func)):
            first, dot, rest = dotted.partition(".")
            if _reads(node, f"{aliases.get(first, first)}{dot}{rest}", seeded=seeded):
                told = f"{dotted}()"
            elif dotted.endswith("savefig") and _is_dated(node):
                told = f"{dotted}(), which writes its date into the drawing,"
            elif dotted.rpartition(".")[2] in ("empty", "empty_like") and aliases.get(first, first) == "numpy":
                told = f"{dotted}(), which holds whatever stood in memory,"
            elif _in_processes(node):
                told = f"{dotted}(), whose processes (n_jobs) draw random numbers that nothing seeds,"
        if isinstance(node, (ast.Attribute, ast.Name)) and (name := dotted_name(node)):
            first, _, last = f"{aliases.get(name.partition('.')[0], name)}.{name.partition('.')[2]}".rpartition(".")
            if first.partition(".")[0] == "seaborn" and last in _RESAMPLED and not seeded:
                told = f"{name}(), which resamples for its error bars,"
        if sets and (
            isinstance(node, (ast.Set, ast.SetComp)) or (isinstance(node, ast.Call) and dotted_name(node.func) in _SETS)
        ):
            told = told or "the order of a set made"
        if told:
            yield f"{told} in {statement.where}"


def is_certain(cause: str) -> bool:
    """Whether a value that differs does so for this cause, whatever else there is: a clock, not what may draw or be ordered.

    Examples
    --------
    >>> is_certain("time.time() in [4]"), is_certain("the order of a set made in [1]")
    (True, False)
    """
    return not cause.startswith("the order") and ", wh" not in cause


def _in_processes(node: ast.Call) -> bool:
    """Whether a call spreads its work over processes."""
    jobs = next((k.value for k in node.keywords if k.arg == "n_jobs"), None)
    return jobs is not None and not (isinstance(jobs, ast.Constant) and jobs.value in (None, 1))


def _aliases(statements: Iterable[Statement]) -> dict[str, str]:
    """What names that were imported stand for: ``from time import time`` is ``time.time``."""
    found: dict[str, str] = {}
    for statement in statements:
        node = statement.node
        if isinstance(node, ast.Import):
            found |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def _is_dated(node: ast.Call) -> bool:
    """Whether a drawing is saved in a format that carries the date, or may be."""
    if any(k.arg == "metadata" for k in node.keywords):
        return False
    given = [*node.args[:1], *(k.value for k in node.keywords if k.arg in ("format", "fname"))]
    texts = [str(a.value).lower() for a in given if isinstance(a, ast.Constant)]
    return any(text.endswith(_DATED) for text in texts)


def clock_dependents(
    flows: Iterable[Flow],
    *,
    sets: bool = False,
    timed: Mapping[int, Collection[str]] | None = None,
    seeded: Collection[int] = (),
) -> dict[str, list[str]]:
    r"""The names whose values come from such calls at the end, each with the calls.

    Parameters
    ----------
    sets
        Sets count too: nothing fixes the order in which their texts are read.
    timed
        What was changed as many times as the clock let it, by execution count.
    seeded
        The execution counts of cells in which NumPy is given the seeds that it took from the system.

    Examples
    --------
    >>> from jupyter_mlops.analysis.dataflow import link
    >>> from jupyter_mlops.analysis.parse import parse_cells
    >>> from jupyter_mlops.domain.workspace import Cell
    >>> text = "import time\nstart = time.time()\nn = 3\nlater = start + n"
    >>> clock_dependents(link(parse_cells([Cell(text, 4, outcome="ok")]).statements))
    {'start': ['time.time() in [4]'], 'later': ['time.time() in [4]']}
    """
    flows = list(flows)
    aliases = _aliases(flow.statement for flow in flows)
    found: dict[str, dict[str, None]] = {}
    waiting = dict(timed or {})

    def note_timed(before: int) -> None:
        for count in [count for count in waiting if count < before]:
            for name in waiting.pop(count):
                found[name] = found.get(name, {}) | {f"%timeit's number of runs in [{count}]": None}

    for flow in flows:
        count = flow.statement.execution.cell.count
        note_timed(count)
        calls = dict.fromkeys(_calls(flow.statement, aliases, sets=sets, seeded=count in seeded))
        for name in (*flow.reads, *(f"<file {file}>" for file in flow.effects.outside.files_read)):
            calls |= found.get(name, {})
        for file in flow.effects.outside.files_written if calls else ():
            found[f"<file {file}>"] = dict(calls)
        for name in flow.writes:
            found[name] = dict(calls)
        for name in flow.maybe | flow.mutates:
            found[name] = found.get(name, {}) | calls
        found.pop(RANDOM, None)
    note_timed(sys.maxsize)
    return {name: list(calls) for name, calls in found.items() if calls}


def _measured(node: ast.AST) -> str:
    """The name under which scikit-learn keeps a time that it has measured, where a node asks for it."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        key = str(node.slice.value)
        return key if _TIMES.fullmatch(key) else ""
    return node.attr if isinstance(node, ast.Attribute) and node.attr == "refit_time_" else ""


def _reads(node: ast.Call, dotted: str, *, seeded: bool) -> bool:
    parts = dotted.split(".")
    if ".".join(parts[-2:]) in _CALLS or parts[-1] in _CALLS or parts[0] in _SECRETS:
        return True
    if len(parts) == 1 and dotted in _ALONE:
        return True
    if parts[-1] in _SEEDED and not node.args and not node.keywords and not (seeded and parts[-1] != "Random"):
        return True  # it seeds itself with true random bytes
    given = [a.value for a in node.args if isinstance(a, ast.Constant)]
    return parts[-1] in _NOW and bool({"now", "today"} & {v for v in given if isinstance(v, str)})
