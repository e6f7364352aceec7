"""What an object is made of, as plain data: by which two objects of any class can be compared value by value.

This file is copied beside every exported pipeline and needs nothing of ours installed. An object is what its class
would hand to pickle; nothing is pickled, and nothing is run but what the class says of itself.
"""

from __future__ import annotations

import contextlib
import dis
import enum
import functools
import io
import itertools
import os
import re
import tempfile
import types
import warnings
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .fingerprint_drawings import drawing

__all__ = [
    "PLACES",
    "Held",
    "NotComparable",
    "class_name",
    "is_estimator",
    "measured_times",
    "placed",
    "state_of",
    "without_process",
]

PLACES: dict[str, str] = {}
"""The folder that a pipeline runs in, and the notebook's whose copy it is: texts with its path count as with the other."""
LARGEST_DATABASE = 100_000  # rows
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")
_MADE_UP = re.compile(r'id="(T_[0-9a-f]{5}|_anim_\w+?[0-9a-f]{32})"')
"""What parts of a page are told apart by, in the HTML of a styled table and of an animation."""

_CACHES = re.compile(
    r"_?cache.*|.*_cache|_reader|_abc_impl|_stop_words_id|_html_representation|_base64_video|_time_stamp|_time_fit_was_called"
)
_SUMMED_UP = ("diagn", "_nobs_int", "_tmp_like_exog")
"""What models of statsmodels keep for themselves: of summing up, and memory to work in, of which the content is chance."""
_TIMES = re.compile(r".*_time_?")
"""What scikit-learn measures with a clock while it fits: never the same twice, and no part of what was learnt."""
_MEASURED = re.compile(r"(mean_|std_)?(fit|score|pred(_\w+)?)_time")
"""What `cross_validate`, sktime's `evaluate` and searches tell of their time, beside the scores."""
_SCORES = re.compile(r"((mean|std|rank|split\d+)_)?(test|train)_\w+|estimator|indices|params")
_OPERATORS = ("BINARY_", "COMPARE_", "CONTAINS_", "IS_OP", "UNARY_")
_GROUPED_BY = ("_selection", "as_index", "sort", "group_keys", "dropna", "observed", "level")
_MADE = re.compile(r"Date:\s+(\w{3}, \d\d \w{3} \d{4}|[\d-]{10} [\d:]{5})|Time:\s+[\d:]{8}")
_LOCAL = ("__main__", "pipeline", "builtins")
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type)
_PASSING = {
    types.CoroutineType: "a coroutine, which runs once",
    types.AsyncGeneratorType: "a generator, which is used up by reading it",
    io.IOBase: "an open file, which belongs to the process that opened it",
    types.FrameType: "a frame of a running program",
    types.TracebackType: "a traceback of a running program",
}


class NotComparable(Exception):
    """There is no way to tell whether another value would be the same."""


def class_name(value: Any) -> str:
    """The class of a value; one of the notebook's own has no module, whichever it stands in."""
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    name = kind.__qualname__.rpartition("<locals>.")[2]
    return name if root in _LOCAL else f"{root}.{name}"


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator in scikit-learn's sense."""
    return not isinstance(value, type) and hasattr(value, "fit") and hasattr(value, "get_params")


def measured_times(keys: Iterable[Any]) -> set[str]:
    """Which of the keys of scikit-learn's scores, or the columns of a table of them, are times taken with a clock.

    Examples
    --------
    >>> sorted(measured_times(["fit_time", "pred_quantiles_time", "test_score"])), measured_times(["fit_time", "price"])
    (['fit_time', 'pred_quantiles_time'], set())
    """
    texts = {key for key in keys if isinstance(key, str)}
    times = {text for text in texts if _MEASURED.fullmatch(text)}
    return times if any(_SCORES.fullmatch(text) for text in texts - times) else set()


def placed(value: Any) -> Any:
    """A text as it would be in the folder that this one stands for, and wherever its objects stand in memory."""
    if isinstance(value, str):
        for made in dict.fromkeys(_MADE_UP.findall(value)) if "<style" in value else ():
            value = value.replace(made if made[0] == "T" else made[-32:], "")
        value = _ADDRESS.sub(" at 0x", value) if " at 0x" in value else value
        for here, there in PLACES.items():
            value = value.replace(here, there)
        if (folder := tempfile.gettempdir()) in value:  # `tempfile` gives what it makes a name by chance
            value = re.sub(re.escape(folder + os.sep) + r"tmp[a-z0-9_]{8}(?![a-z0-9_])", f"{folder}{os.sep}tmp", value)
    return value


def without_process(value: Any) -> Any:
    """Matplotlib's settings without those that say where the process draws; anything else as it is."""
    if type(value).__name__ != "RcParams":
        return value
    return {key: dict.__getitem__(value, key) for key in value if key not in ("backend", "interactive")}


def state_of(value: Any) -> Any:
    """What a value consists of, in containers, numbers, texts, arrays and tables.

    Raises
    ------
    NotComparable
        It stands for something outside of it: a file, a connection, a running generator.
    """
    if isinstance(value, (io.StringIO, io.BytesIO)) and not value.closed:
        return ("buffer", value.getvalue(), value.tell())
    if isinstance(value, io.IOBase) and value.closed:
        return ("closed", str(getattr(value, "name", "")), str(getattr(value, "mode", "")))
    name = getattr(value, "name", None) if isinstance(value, io.IOBase) else None
    if isinstance(name, str):
        with contextlib.suppress(OSError):  # one that is being iterated over does not tell where it is
            return ("file", name, str(getattr(value, "mode", "")), value.tell())
    if isinstance(value, memoryview):
        return ("memory", value.format, value.tobytes())
    if isinstance(value, types.GeneratorType):
        return _generator(value)
    for kind, told in _PASSING.items():
        if isinstance(value, kind):
            raise NotComparable(told)
    if isinstance(value, (*_FUNCTIONS, functools.partial)) or type(value).__name__ == "ufunc":
        return _function(value)
    if isinstance(value, enum.Enum):
        return ("enum", value.name)
    if isinstance(value, re.Pattern):
        return ("pattern", value.pattern, value.flags)
    if isinstance(value, re.Match):
        return ("match", value.span(), value.groups())
    if isinstance(value, warnings.WarningMessage):  # where it was raised is a place in a notebook, or in a pipeline
        return ("warning", value.category.__name__, str(value.message))
    if isinstance(value, BaseException):
        return ("exception", value.args)
    root = type(value).__module__.partition(".")[0]
    if root == "sklearn" and hasattr(value, "get_arrays"):  # trees of neighbours count how often they were asked
        return ("neighbours", [_plain_array(part) for part in value.get_arrays()])
    if root == "tqdm":
        raise NotComparable("a progress bar, which belongs to what it is shown in")
    if root in ("ipywidgets", "ipympl") and hasattr(value, "trait_values"):
        return _widget(value)
    special = {"matplotlib": drawing, "mpl_toolkits": drawing, "seaborn": drawing, "pandas": _pandas, "scipy": _scipy, "sqlalchemy": _sqlalchemy, "statsmodels": _statsmodels, "numpy": _numpy, "random": _random, "sqlite3": _database, "zipfile": _archive, "_csv": _csv, "_thread": _lock, "threading": _thread, "concurrent": _executor}.get(root)  # fmt: skip
    found = special(value) if special is not None else None
    return found if found is not None else _reduced(value)


def _generator(value: Any) -> Any:
    """A generator by its code, how far it has come, and what its variables are; one that has ended by its code alone."""
    name = (
        value.gi_code.co_qualname.rpartition("<locals>.")[2]
        if hasattr(value.gi_code, "co_qualname")
        else value.__name__
    )
    frame = value.gi_frame
    if frame is None:
        return ("generator", name, _code(value.gi_code), "ended")
    code = frame.f_code
    yielded = sum(i.opname == "YIELD_VALUE" and i.offset <= frame.f_lasti for i in dis.get_instructions(code))
    # what it takes from around it are globals in a notebook, and variables of the step in a pipeline
    own = {k: v for k, v in frame.f_locals.items() if k not in code.co_freevars}
    return ("generator", name, _code(code), yielded, own)


def _plain_array(view: Any) -> Any:
    import numpy as np

    return np.asarray(view)


def _function(value: Any) -> Any:
    if isinstance(value, functools.partial):
        return ("partial", _function(value.func), value.args, value.keywords)
    if isinstance(value, types.MethodType):
        return ("method", value.__func__.__qualname__, class_name(value.__self__))
    code = getattr(value, "__code__", None)
    name = str(getattr(value, "__qualname__", getattr(value, "__name__", value))).rpartition("<locals>.")[2]
    if code is None:
        return ("function", name)
    cells = zip(code.co_freevars, value.__closure__ or (), strict=True)
    return ("function", name, _code(code), value.__defaults__, value.__kwdefaults__, _held(cells))


class Held(dict[str, Any]):
    """The numbers and texts that a function holds of what is around it; of a pipeline's, more is around it than of a notebook's."""


def _held(cells: Iterable[tuple[str, Any]]) -> Held:
    held = Held()
    for name, cell in cells:
        with contextlib.suppress(ValueError):  # it has no value yet
            if isinstance(cell.cell_contents, (bool, int, float, str)):
                held[name] = cell.cell_contents
    return held


def _code(code: Any) -> Any:
    constants = tuple(_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts)
    # how a name is loaded depends on where the function stands; what is done with it does not
    done = [i.argrepr or i.opname for i in dis.get_instructions(code) if i.opname.startswith(_OPERATORS)]
    return (code.co_varnames[: code.co_argcount], sorted({*code.co_names, *code.co_freevars}), constants, done)


def _reduced(value: Any) -> Any:
    try:
        made = value.__reduce_ex__(4)
    except Exception as error:
        raise NotComparable(f"a {class_name(value)}, of which {str(error) or type(error).__name__}") from None
    if isinstance(made, str):
        return ("global", made)
    function, arguments, state, items, pairs = (*made, None, None, None, None)[:5]
    if getattr(function, "__name__", "") in ("__newobj__", "__newobj_ex__", "_reconstructor"):
        arguments = tuple(a for a in arguments if not isinstance(a, type))
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict) and isinstance(state[0], (dict, type(None))):  # fmt: skip
        state = {**(state[0] or {}), **state[1]}
    if isinstance(state, dict):
        kind = type(value)
        state = {
            k: v for k, v in state.items() if not isinstance(getattr(kind, str(k), None), functools.cached_property)
        }
        state = _without_caches(state, own=kind.__module__ in _LOCAL, timed=is_estimator(value)) or None
    return (arguments, state, list(items) if items is not None else None, list(pairs) if pairs is not None else None)


def _without_caches(state: dict[Any, Any], *, own: bool, timed: bool) -> dict[Any, Any]:
    """A library's object without what it keeps for itself; in one of the notebook's own classes all is what it seems."""
    kept = {k: v for k, v in state.items() if own or not (isinstance(k, str) and _CACHES.fullmatch(k))}
    # when it was made, to the microsecond, as the results of linearmodels and arch note: never the same twice
    kept = {k: v for k, v in kept.items() if own or not (type(v) is datetime and v.microsecond and str(k)[0] == "_")}
    # who is told when a drawing changes, and how many have asked to be, is no part of it
    kept = {k: v for k, v in kept.items() if type(v).__name__ != "CallbackRegistry"}
    for name in _SUMMED_UP if "_results" in state or "_data_attr" in state else ():
        kept.pop(name, None)
    if timed:
        kept = {k: v for k, v in kept.items() if not (k == "refit_time_" if own else _TIMES.fullmatch(str(k)))}
        results = kept.get("cv_results_")
        if isinstance(results, dict):
            kept["cv_results_"] = {k: v for k, v in results.items() if not _TIMES.fullmatch(str(k))}
        kept.pop("_sklearn_version", None)
    return kept


def _pandas(value: Any) -> Any:
    if type(value).__name__ == "Styler":
        return ("style", value.data, _styled(value))
    if hasattr(value, "ngroup") and hasattr(value, "obj"):
        how = {name: getattr(value, name, None) for name in _GROUPED_BY}
        try:
            return ("groups", value.obj, value.ngroup(), how)
        except KeyError:  # the table it groups has lost the column since
            return ("groups", value.obj, str(getattr(value, "keys", "")), how)
    for held in ("obj", "data"):  # windows, resamplers, `.str` and `.dt`
        inner = getattr(value, held, None)
        if type(inner).__name__ in ("DataFrame", "Series"):
            plain = {k: v for k, v in vars(value).items() if isinstance(v, (bool, int, float, str, type(None)))}
            return (held, inner, plain, str(getattr(value, "_timegrouper", "")))
    inner = getattr(value, "_parent", None)  # accessors
    return ("of", inner) if type(inner).__name__ in ("DataFrame", "Series", "Index") else None


def _styled(style: Any) -> str:
    """What a table's style shows; what it is told apart by is made up each time."""
    with contextlib.suppress(Exception):  # what shows tables is not installed, or a column is gone
        return str(style.to_html(table_uuid="-"))
    return ""


def _scipy(value: Any) -> Any:
    if hasattr(value, "dist") and hasattr(value, "kwds"):
        return ("distribution", getattr(value.dist, "name", type(value.dist).__name__), value.args, value.kwds)
    if type(value).__name__.endswith("_gen"):
        return ("distribution", getattr(value, "name", type(value).__name__))
    if type(value).__name__ in ("KDTree", "cKDTree"):  # it is kept as memory, with places in it
        told = (value.data, value.indices, value.boxsize, value.leafsize, value.size)
        return ("tree", [part if part is None or isinstance(part, int) else _plain_array(part) for part in told])
    if hasattr(value, "get_knots") and hasattr(value, "get_residual"):  # a spline, without its workspace
        return ("spline", value.get_knots(), value.get_coeffs(), value.get_residual())
    return None


def _sqlalchemy(value: Any) -> Any:
    """By what it says of itself: what it has worked out for itself so far is no part of it."""
    return ("sqlalchemy", repr(value), [repr(table) for table in getattr(value, "tables", {}).values()])


def _statsmodels(value: Any) -> Any:
    """A summary tells when it was made; that is no part of what it sums up."""
    return ("summary", _MADE.sub("", value.as_text())) if hasattr(value, "as_text") else None


def _widget(value: Any) -> Any:
    """A widget by what it is set to and what stands in it: it is shown in a notebook alone, under names made up each time."""
    plain = (bool, int, float, str, type(None))
    told = {
        name: held
        for name, held in sorted(value.trait_values().items())
        if not name.startswith("_")
        and name not in ("msg_id", "outputs", "comm")
        and (isinstance(held, plain) or (isinstance(held, (list, tuple)) and all(isinstance(v, plain) for v in held)))
    }
    return ("widget", told, [_widget(child) for child in getattr(value, "children", ())])


def _numpy(value: Any) -> Any:
    if hasattr(value, "bit_generator"):
        return ("generator", value.bit_generator.state)
    if type(value).__name__ == "RandomState":
        return ("generator", value.get_state(legacy=False))
    if type(value).__name__ == "nditer":
        with contextlib.suppress(ValueError):
            return ("iterator", list(value.operands), value.finished, value.itersize)
        return ("iterator", "closed")
    if type(value).__name__ == "NpzFile":
        return ("archive", {name: value[name] for name in value.files} if value.zip is not None else "closed")
    if type(value).__name__ == "poly1d":
        return ("polynomial", value.coeffs, value.variable)
    if type(value).__name__ == "dtype" or type(value).__name__.startswith("dtype["):
        return ("numpy", repr(value))
    return None


def _random(value: Any) -> Any:
    return ("generator", value.getstate()) if hasattr(value, "getstate") else None


def _database(value: Any) -> Any:
    """A database by all that stands in it."""
    import sqlite3

    if not isinstance(value, sqlite3.Connection):
        raise NotComparable(f"a {class_name(value)}: how far it has read is known to the database alone")
    try:
        lines = list(itertools.islice(value.iterdump(), LARGEST_DATABASE + 1))
    except sqlite3.ProgrammingError:
        return ("database", "closed")
    if len(lines) > LARGEST_DATABASE:
        raise NotComparable(f"a database of more than {LARGEST_DATABASE:,} rows")
    return ("database", lines)


def _archive(value: Any) -> Any:
    if not hasattr(value, "infolist"):
        return None
    members = [(member.filename, member.file_size, member.CRC) for member in value.infolist()]
    return ("archive", str(value.filename or ""), value.mode, value.fp is None, members)


def _csv(value: Any) -> Any:
    """What reads or writes CSV: how it does so, and how far it has read."""
    how = value.dialect
    return (
        ("csv", getattr(value, "line_num", -1), how.delimiter, how.quotechar, how.quoting) if how is not None else None
    )


def _lock(value: Any) -> Any:
    return ("lock", " unlocked " in repr(value).replace("<", " ")) if "lock" in type(value).__name__.lower() else None


def _thread(value: Any) -> Any:
    return ("thread", value.is_alive(), value.daemon) if hasattr(value, "is_alive") else None


def _executor(value: Any) -> Any:
    workers = getattr(value, "_max_workers", None)
    return ("executor", workers) if workers is not None else None
