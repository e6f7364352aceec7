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
import re
import types
import warnings
from collections.abc import Iterable
from typing import Any

__all__ = [
    "PLACES",
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
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")

_CACHES = re.compile(r"_?cache.*|.*_cache|_reader|_abc_impl|_stop_words_id")
_SUMMED_UP = ("diagn", "_nobs_int")
"""What results of statsmodels keep for themselves when they are summed up."""
_TIMES = re.compile(r".*_time_?")
"""What scikit-learn measures with a clock while it fits: never the same twice, and no part of what was learnt."""
_MEASURED = re.compile(r"(mean_|std_)?(fit|score)_time")
"""What `cross_validate` and searches tell of their time, beside the scores."""
_SCORES = re.compile(r"((mean|std|rank|split\d+)_)?(test|train)_\w+|estimator|indices|params")
_MARKS = ("uuid", "uuid_len")
"""What a table's style is told apart by, made up each time."""
_OF_USE = ("_parents", "_invalid", "_mtx", "_inverted", "_shorthand_name")
"""What a transform of matplotlib keeps of those that use it, and what it has worked out already."""
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
    >>> sorted(measured_times(["fit_time", "score_time", "test_score"])), measured_times(["fit_time", "price"])
    (['fit_time', 'score_time'], set())
    """
    texts = {key for key in keys if isinstance(key, str)}
    times = {text for text in texts if _MEASURED.fullmatch(text)}
    return times if any(_SCORES.fullmatch(text) for text in texts - times) else set()


def placed(value: Any) -> Any:
    """A text as it would be in the folder that this one stands for, and wherever its objects stand in memory."""
    if isinstance(value, str):
        value = _ADDRESS.sub(" at 0x", value) if " at 0x" in value else value
        for here, there in PLACES.items():
            value = value.replace(here, there)
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
    special = {"matplotlib": _drawing, "mpl_toolkits": _drawing, "seaborn": _drawing, "pandas": _pandas, "scipy": _scipy, "sqlalchemy": _sqlalchemy, "statsmodels": _statsmodels, "numpy": _numpy, "random": _random}.get(root)  # fmt: skip
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
    return ("function", name, _code(code)) if code is not None else ("function", name)


def _code(code: Any) -> Any:
    constants = tuple(_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts)
    # how a name is loaded depends on where the function stands; what is done with it does not
    return (code.co_varnames[: code.co_argcount], sorted({*code.co_names, *code.co_freevars}), constants)


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
        state = _without_caches(state, timed=is_estimator(value)) or None
    return (arguments, state, list(items) if items is not None else None, list(pairs) if pairs is not None else None)


def _without_caches(state: dict[Any, Any], *, timed: bool) -> dict[Any, Any]:
    kept = {k: v for k, v in state.items() if not (isinstance(k, str) and _CACHES.fullmatch(k))}
    # who is told when a drawing changes, and how many have asked to be, is no part of it
    kept = {k: v for k, v in kept.items() if type(v).__name__ != "CallbackRegistry"}
    for name in _SUMMED_UP if "_results" in state or "_data_attr" in state else ():
        kept.pop(name, None)
    if timed:
        kept = {k: v for k, v in kept.items() if not _TIMES.fullmatch(str(k))}
        results = kept.get("cv_results_")
        if isinstance(results, dict):
            kept["cv_results_"] = {k: v for k, v in results.items() if not _TIMES.fullmatch(str(k))}
        kept.pop("_sklearn_version", None)
    return kept


def _pandas(value: Any) -> Any:
    if hasattr(value, "ngroup") and hasattr(value, "obj"):
        try:
            return ("groups", value.obj, value.ngroup())
        except KeyError:  # the table it groups has lost the column since
            return ("groups", value.obj, str(getattr(value, "keys", "")))
    for held in ("obj", "data"):  # windows, resamplers, stylers, `.str` and `.dt`
        inner = getattr(value, held, None)
        if type(inner).__name__ in ("DataFrame", "Series"):
            plain = {
                k: v
                for k, v in vars(value).items()
                if k not in _MARKS and isinstance(v, (bool, int, float, str, type(None)))
            }
            return (held, inner, plain)
    inner = getattr(value, "_parent", None)  # accessors
    return ("of", inner) if type(inner).__name__ in ("DataFrame", "Series", "Index") else None


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
    if type(value).__name__ == "poly1d":
        return ("polynomial", value.coeffs, value.variable)
    if type(value).__name__ == "dtype" or type(value).__name__.startswith("dtype["):
        return ("numpy", repr(value))
    return None


def _random(value: Any) -> Any:
    return ("generator", value.getstate()) if hasattr(value, "getstate") else None


# drawings, by what they show


def _settle(figure: Any) -> None:
    """Have a figure draw itself, to nowhere: ticks, labels and limits are only then what a notebook has shown."""
    if getattr(figure, "stale", False) and hasattr(figure, "draw_without_rendering"):
        with contextlib.suppress(Exception):  # what cannot be drawn is compared as it is
            figure.draw_without_rendering()


def _drawing(value: Any) -> Any:
    if hasattr(value, "source_vars") and hasattr(value, "ids"):  # seaborn's data; the ids are places in memory
        return (type(value).__name__, value.frame, value.names)
    _settle(value if hasattr(value, "draw_without_rendering") else getattr(value, "figure", None))
    if hasattr(value, "get_axes") and hasattr(value, "get_size_inches"):
        return ("figure", [_drawing(axes) for axes in value.get_axes()], [text.get_text() for text in value.texts])
    if hasattr(value, "set_children") and hasattr(value, "frozen"):  # a transform: what it consists of, not who uses it
        worked_out = (*_OF_USE, "_points") if "_bbox" in vars(value) else _OF_USE
        return (type(value).__name__, {k: v for k, v in vars(value).items() if k not in worked_out})
    if hasattr(value, "legend_handles"):  # where its box stands is only known once it has been drawn
        title = value.get_title().get_text()
        return ("legend", title, [text.get_text() for text in value.get_texts()], [type(h).__name__ for h in value.legend_handles])  # fmt: skip
    if hasattr(value, "axes_dict") or type(value).__name__ in ("PairGrid", "JointGrid", "ClusterGrid"):
        figure = getattr(value, "figure", None) or getattr(value, "fig", None)
        return ("grid", _drawing(figure)) if figure is not None else None
    if hasattr(value, "get_title") and hasattr(value, "get_xlabel"):
        return _axes(value)
    data = _artist(value)
    if data is not None:
        return data
    if hasattr(value, "set_under") and hasattr(value, "N"):  # a colour map fills its table when it is first asked
        return ("colours", type(value).__name__, value.name, value(range(value.N)), value([-1, value.N, float("nan")]))
    if hasattr(value, "get_children") and not hasattr(value, "get_paths"):
        inner = [child for child in value.get_children() if type(child).__name__ != "FancyBboxPatch"]  # a frame
        return (type(value).__name__, [_artist(child) for child in inner])
    if type(value).__name__ in ("GridSpec", "SubplotSpec"):
        return (type(value).__name__, str(value))
    if hasattr(value, "mappable"):  # a colour bar
        return (type(value).__name__, _artist(value.mappable))
    if isinstance(value, (list, tuple, dict)):
        return None
    return None


def _axes(axes: Any) -> Any:
    shown = [_artist(child) for child in (*axes.lines, *axes.patches, *axes.collections, *axes.images, *axes.texts)]
    legend = axes.get_legend()
    texts = [text.get_text() for text in legend.get_texts()] if legend is not None else []
    fixed = [
        [label.get_text() for label in axis.get_ticklabels()]
        for axis in (axes.xaxis, axes.yaxis)
        if type(axis.get_major_locator()).__name__ == "FixedLocator"
    ]
    return ("axes", axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale(), axes.get_yscale(), shown, texts, _limits(axes), fixed)  # fmt: skip


def _limits(axes: Any) -> list[float]:
    """The limits of the axes; where they follow from the room that the layout leaves, they are no part of what is shown."""
    if axes.get_aspect() != "auto" and axes.get_adjustable() == "datalim":
        return []
    every = (getattr(axes, name, None) for name in ("get_xlim", "get_ylim", "get_zlim"))
    return [float(v) for limits in every if limits is not None for v in limits()]


def _colour(value: Any) -> str:
    from matplotlib.colors import to_hex

    try:
        return str(to_hex(value, keep_alpha=True))
    except (ValueError, TypeError):
        return str(value)


def _artist(value: Any) -> Any:
    import numpy as np

    kind = type(value).__name__
    if hasattr(value, "get_xydata"):
        style = (_colour(value.get_color()), str(value.get_linestyle()), str(value.get_marker()))
        return (kind, np.asarray(value.get_xydata(), dtype=float), style)
    if hasattr(value, "get_bbox") and hasattr(value, "get_width"):
        return (kind, [float(v) for v in value.get_bbox().bounds], _colour(value.get_facecolor()))
    if hasattr(value, "get_offsets"):
        paths = [np.asarray(path.vertices) for path in value.get_paths()[:200]]
        array = value.get_array()
        colours = np.asarray(value.get_facecolor(), dtype=float)
        return (kind, np.asarray(value.get_offsets(), dtype=float), paths, None if array is None else np.asarray(array), colours)  # fmt: skip
    if hasattr(value, "get_array"):
        array = value.get_array()
        return (kind, None if array is None else np.asarray(array))
    if hasattr(value, "get_xy") and not callable(getattr(value, "get_text", None)):
        return (kind, np.asarray(value.get_xy(), dtype=float))
    if hasattr(value, "get_text"):
        return (kind, value.get_text())
    return None
