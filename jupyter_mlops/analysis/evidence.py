"""Evidence: what each cell really bound and changed, seen from outside: identity and cheap marks of the user's variables.

Static reading says what a cell may do; this says what it did. A mark is made of a value's identity, its size and a few
samples of its content, so that a gigabyte table costs what a small one does; a change that touches none of the samples
is not seen. It is used to add to what is read in the text, never to take away from it.
"""

from __future__ import annotations

import contextlib
import random
import sys
import timeit
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from .entropy import Entropy

__all__ = ["CellEvidence", "Watch", "deeds", "is_variable"]

SMALL = 2_048  # bytes: smaller arrays are looked at whole
SAMPLES = 16
"""Elements of a container, and of each block of a table, that are looked at."""
MOST_VARIABLES = 2_000
_SHELL_NAMES = frozenset(("In", "Out", "exit", "quit", "open", "get_ipython"))
_HOLDS_BACK = 5  # where a mark of the generators says that NumPy holds a normal number back
_UNUSED = ((623,), (624,))
"""Where NumPy's generator stands as long as nothing was drawn: as it seeds itself, and after a seed was set."""
_INSTALLED = (sys.prefix, sys.base_prefix)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type, type(sys))


@dataclass(frozen=True)
class CellEvidence:
    """What one execution of a cell did.

    Parameters
    ----------
    bound, deleted
        Names that stand for another object afterwards, and names that are gone.
    changed
        Names that stand for the same object with another content.
    outside
        Names that changed between the end of the cell before and the beginning of this one; a widget's when its value did.
    error, error_line
        The class of what it raised, and the line of the transformed cell on which it did; empty and 0 for none.
    body_line
        Of a cell under ``%%time`` or the like, the line of its body.
    drew
        The global random generators that it moved on: ``random``, ``numpy``.
    entropy
        What NumPy took from the system to seed generators that were given no seed, in order.
    timed
        How often each ``%timeit`` ran its code, in order.
    """

    count: int
    bound: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()
    error: str = ""
    error_line: int = 0
    body_line: int = 0
    drew: frozenset[str] = frozenset()
    entropy: tuple[int, ...] = ()
    timed: tuple[int, ...] = ()


def deeds(seen: Iterable[CellEvidence]) -> CellEvidence | None:
    """All that executions of one cell were seen to bind, change and draw, of whichever of them; None for no execution.

    Examples
    --------
    >>> deeds([CellEvidence(3, changed=frozenset("a")), CellEvidence(5, bound=frozenset("b"))])
    CellEvidence(count=3, bound=frozenset({'b'}), deleted=frozenset(), changed=frozenset({'a'}), outside=frozenset(), error='', error_line=0, body_line=0, drew=frozenset(), entropy=(), timed=())
    """
    every = list(seen)
    if not every:
        return None
    bound, changed, drew = (
        frozenset[str]().union(*(getattr(one, name) for one in every)) for name in ("bound", "changed", "drew")
    )
    return CellEvidence(every[0].count, bound=bound, changed=changed, drew=drew)


class _Timed:
    """Counts how often ``%timeit`` runs its code while a cell runs: the clock decides, and what it has changed follows from that.

    IPython loads its own kind of timer with the first ``%timeit``; it is known as it is made, by the class it derives from.
    """

    def __init__(self) -> None:
        self._counts: list[int] = []
        self._original: Any = None

    def begin(self) -> None:
        """Count from here on."""
        self.end()
        original, counts = timeit.Timer.__init__, self._counts

        def make(timer: Any, /, *arguments: Any, **keywords: Any) -> None:
            original(timer, *arguments, **keywords)
            if type(timer).__module__.startswith("IPython"):
                place, run = len(counts), timer.timeit
                counts.append(0)

                def counted(number: int = 1_000_000) -> Any:
                    counts[place] += number
                    return run(number)

                timer.timeit = counted

        self._original = original
        timeit.Timer.__init__ = make  # type: ignore[method-assign, assignment]

    def end(self) -> tuple[int, ...]:
        """Count no more; gives the number of runs of each timer."""
        if self._original is not None:
            timeit.Timer.__init__ = self._original  # type: ignore[method-assign]
        self._original = None
        found, self._counts = tuple(self._counts), []
        return found


@dataclass
class Watch:
    """Looks at the user's variables before and after each cell.

    Examples
    --------
    >>> watch, names = Watch(), {"rows": [1]}
    >>> watch.before(names, 1)
    >>> names["rows"].append(2); names["more"] = 3
    >>> found = watch.after(names)
    >>> sorted(found.bound), sorted(found.changed)
    (['more'], ['rows'])
    """

    cells: dict[int, CellEvidence] = field(default_factory=dict)
    """By execution count."""
    random_states: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Where the global random generators stood before a cell, by execution count; only where they had moved."""
    _marks: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _count: int = 0
    _outside: frozenset[str] = frozenset()
    _random: tuple[Any, ...] = ()
    _ended: tuple[tuple[Any, ...], tuple[Any, ...]] = ((), ())
    """The short mark of the generators when they were last looked at, and the whole one."""
    _entropy: Entropy = field(default_factory=Entropy)
    _timed: _Timed = field(default_factory=_Timed)

    def before(self, namespace: Mapping[str, Any], count: int) -> None:
        """A cell is about to run."""
        known = self._marks
        if not known:
            self._marks = known = _marks(namespace)
        self._outside = frozenset(
            name
            for name, mark in known.items()
            if name in namespace
            and (
                mark[0] != id(namespace[name])
                or (_is_widget(namespace[name]) and mark != (mark[0], *_mark(namespace[name])))
            )
        )
        self._count = count
        short = _short_random_mark()
        now = self._ended[1] if short and short == self._ended[0] else _random_mark()
        self._ended = short, now
        if now != self._random:
            self.random_states[count] = random_state()
        self._random = now
        self._entropy.begin()
        self._timed.begin()

    def after(self, namespace: Mapping[str, Any], error: BaseException | None = None) -> CellEvidence:
        """The cell has ended; gives what it did and keeps that under its count."""
        entropy, timed = self._entropy.end(), self._timed.end()
        before, after = self._marks, _marks(namespace)
        short = _short_random_mark()
        holds_back = len(self._random) > _HOLDS_BACK and self._random[_HOLDS_BACK]
        moved = self._random if short and short == self._ended[0] and not holds_back else _random_mark()
        self._ended = short, moved
        found = CellEvidence(
            self._count,
            bound=frozenset(n for n, mark in after.items() if n not in before or before[n][0] != mark[0]),
            deleted=frozenset(before.keys() - after.keys()),
            changed=frozenset(n for n, mark in after.items() if n in before and before[n] != mark and before[n][0] == mark[0]),
            outside=self._outside,
            error=type(error).__name__ if error is not None else "",
            error_line=_line(error, ("ipykernel_", "<ipython-")),
            body_line=_line(error, ("<timed ",)),
            drew=_moved(self._random, moved),
            entropy=entropy,
            timed=timed,
        )  # fmt: skip
        self._marks = after
        self.cells[self._count] = found
        return found


def is_variable(name: str, value: Any) -> bool:
    """Whether a name of the namespace is one of the user's variables and holds a value, not a module."""
    return name not in _SHELL_NAMES and not name.startswith("_") and type(value) is not type(sys)


def random_state() -> dict[str, Any]:
    """Where the global random generators stand, as JSON can hold it."""
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {"random": [version, list(internal), gauss]}
    generator = _numpy_generator()
    if generator is not None:
        name, keys, position, has_gauss, cached = generator.get_state()
        state["numpy"] = [name, keys.tolist(), position, has_gauss, cached]
    return state


def _numpy_generator() -> Any:
    module = sys.modules.get("numpy.random.mtrand")
    return getattr(module, "_rand", None)


def _random_mark() -> tuple[Any, ...]:
    """A few words of the generators' states; any draw moves the position or rewrites the words.

    Of Python's the second word: the first is the same after any seed.
    """
    internal = random.getstate()[1]
    generator = _numpy_generator()
    if generator is None:
        return (internal[-1], internal[1], None)
    state = generator.get_state(legacy=False)
    keys = state["state"]["key"]
    return (internal[-1], internal[1], int(state["state"]["pos"]), int(keys[0]), int(keys[-1]), state["has_gauss"], state["gauss"])  # fmt: skip


def _short_random_mark() -> tuple[Any, ...]:
    """As `_random_mark`, without a normal number that NumPy holds back, for a tenth of its cost; empty where it cannot be had.

    NumPy's own way copies the 624 words one by one; they are read where they lie instead.
    """
    source: Any = getattr(_numpy_generator(), "_bit_generator", None)
    if type(source).__name__ != "MT19937":
        return ()
    import ctypes

    words = (ctypes.c_uint32 * 625).from_address(source.ctypes.state_address)  # 624 words, and the position
    internal = random.getstate()[1]
    return (internal[-1], internal[1], words[624], words[0], words[623])


def _moved(before: tuple[Any, ...], after: tuple[Any, ...]) -> frozenset[str]:
    """Which generators another mark tells of; the first two words are those of Python's own."""
    if before[2:] == (None,) and after[2:3] in _UNUSED:  # NumPy was loaded, and nothing was drawn since
        after = (*after[:2], None)
    parts = (("random", slice(0, 2)), ("numpy", slice(2, None)))
    return frozenset(name for name, part in parts if before[part] != after[part])


def _line(error: BaseException | None, files: tuple[str, ...]) -> int:
    """The line of the cell on which an error arose: the outermost frame of the traceback that is of such a file."""
    at = error.__traceback__ if error is not None else None
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_name == "<module>" and any(file in code.co_filename for file in files):
            return at.tb_lineno
        at = at.tb_next
    return 0


def _marks(namespace: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    marks: dict[str, tuple[Any, ...]] = {}
    for name, value in list(namespace.items()):
        if name in _SHELL_NAMES or name.startswith("_"):
            continue
        if (isinstance(value, _PLAIN) and not _is_own(value)) or len(marks) > MOST_VARIABLES:
            marks[name] = (id(value),)
            continue
        try:
            marks[name] = (id(value), *_mark(value))
        except Exception:  # an object that does not like to be looked at
            marks[name] = (id(value),)
    return marks


def _mark(value: Any) -> tuple[Any, ...]:
    kind = type(value)
    if isinstance(value, (type, ModuleType)):
        return _common_mark(value)
    if isinstance(value, dict):
        return (
            len(value),
            *[(id(k), id(v)) for k, v in zip(value, value.values(), strict=False)][:SAMPLES],
            *_last(value),
        )
    if kind in (list, tuple):
        return (len(value), *map(id, value[:SAMPLES]), *map(id, value[-2:]))
    if kind in (set, frozenset):
        return (len(value), *[id(v) for v, _ in zip(value, range(SAMPLES), strict=False)])
    if kind is FunctionType:
        return _function_mark(value)
    root = kind.__module__.partition(".")[0]
    if root == "numpy" and hasattr(value, "strides"):
        return _array_mark(value)
    if root == "pandas":
        return _table_mark(value)
    state = getattr(value, "__dict__", None)
    if _is_widget(value):
        return (id(value._trait_values.get("value")),)  # noqa: SLF001 to ask the widget may make the value
    if state is not None:
        return (len(state), *[(k, id(v)) for k, v in zip(state, state.values(), strict=False)][: 4 * SAMPLES])
    return ()


def _is_own(value: Any) -> bool:
    """Whether a class is of the notebook, or a module of the user's own: no installed one."""
    if isinstance(value, type):
        return value.__module__ == "__main__"
    file = vars(value).get("__file__") if type(value) is ModuleType else None
    return isinstance(file, str) and not file.startswith(_INSTALLED) and "site-packages" not in file


def _is_widget(value: Any) -> bool:
    return hasattr(type(value), "_model_name") and hasattr(value, "_trait_values")


def _common_mark(value: type | ModuleType) -> tuple[Any, ...]:
    """What a class keeps for all its objects, or a module for all who use it: a counter, say, or a list in which things enter themselves."""
    held = [(name, one) for name, one in vars(value).items() if not name.startswith("__")]
    if isinstance(value, ModuleType):  # its functions are others after a reload
        held = [(name, one) for name, one in held if not callable(one) and type(one) is not ModuleType]
    return tuple(
        (name, id(one), len(one) if type(one) in (list, dict, set) else 0) for name, one in held[: 4 * SAMPLES]
    )


def _function_mark(function: FunctionType) -> tuple[Any, ...]:
    """What a function keeps from one call to the next: its defaults, and the variables it shares with where it was made."""
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not bound yet
            held.append(cell.cell_contents)
    plain = (*_PLAIN, FunctionType)
    return tuple((id(value), *(() if isinstance(value, plain) else _mark(value))) for value in held[:SAMPLES])


def _last(value: dict[Any, Any]) -> tuple[int, ...]:
    for key in reversed(value):
        return (id(key), id(value[key]))
    return ()


def _array_mark(array: Any) -> tuple[Any, ...]:
    size = array.size
    if array.dtype.kind == "O" or not size:
        return (array.shape,)
    if array.nbytes <= SMALL:
        return (array.shape, hash(array.tobytes()))
    flags = array.flags
    if flags.c_contiguous or flags.f_contiguous:
        flat = array.ravel(order="K")
        return (array.shape, flat[:: max(1, size // SAMPLES)].tobytes(), flat[-1:].tobytes())
    return (array.shape, array[:1].tobytes(), array[-1:].tobytes()) if array.ndim == 1 else (array.shape,)


def _table_mark(table: Any) -> tuple[Any, ...]:
    manager = getattr(table, "_mgr", None)
    if manager is None:
        return ()
    marks: list[Any] = [id(axis) for axis in manager.axes]
    for block in manager.blocks:
        values = block.values
        if type(values).__module__ == "numpy":
            marks += _array_mark(values)
        else:  # an array of pandas' own: what it keeps its content in is replaced when it is changed
            marks += [id(held) for held in vars(values).values()] if hasattr(values, "__dict__") else [id(values)]
    return tuple(marks)
