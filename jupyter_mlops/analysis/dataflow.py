"""Data flow: what each statement reads, binds and may change, at its place in the trace.

A trace is read forwards once, to know at each statement which names may be the same object, which names are functions
and what those read. `slicing` goes backwards from the results.
"""

from __future__ import annotations

import ast
import builtins
import io
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .effects import Call, Effects, FunctionEffects
from .known_calls import CHANGES_FIRST, SHOWING
from .lasting import is_display_option, is_setting, sets_style
from .names import dotted_name, shared_names, stored_names
from .outside import GENERATORS
from .statement_reader import effects_of
from .trace import Execution, Statement

__all__ = ["KNOWN", "RANDOM", "STYLE", "Flow", "link"]

KNOWN = (
    frozenset(dir(builtins))
    | {"__name__", "__file__", "__doc__", "__annotations__", "display", "get_ipython"}
    | {"restore_random_state"}
)
PURE_LIBRARIES = ("numpy", "pandas", "scipy", "sklearn")
CHANGING = {"out", "copy", "inplace", "overwrite"}
"""How the keywords begin by which a function may be told to change what it is given."""
DRAWERS = ("plt", "sns", "pyplot", "pylab")
RANDOM = "<random>"
"""Stands for the state of the global random generators."""
STYLE = "<style>"
"""Stands for how drawings are drawn unless they say it themselves."""

_IMMUTABLE = (bool, int, float, complex, str, bytes)


@dataclass(frozen=True)
class Flow:
    """A statement with its effects as they are at its place in the trace: aliases and functions resolved."""

    statement: Statement
    effects: Effects
    reads: frozenset[str]
    writes: frozenset[str]
    maybe: frozenset[str]
    mutates: frozenset[str]
    uses: frozenset[str]
    """What the statement names itself: `reads` without what the functions it uses read."""
    setting: bool = False

    @property
    def touches(self) -> frozenset[str]:
        """Every name whose value may be another one afterwards."""
        return self.writes | self.maybe | self.mutates


def link(
    statements: Iterable[Statement],
    *,
    star_names: Callable[[str], Iterable[str]] = lambda _module: (),
    live: Mapping[str, Any] | None = None,
) -> list[Flow]:
    """Read a trace forwards.

    Parameters
    ----------
    star_names
        Gives the names that ``from module import *`` binds.
    live
        The kernel's variables: what is a table in pandas 3 or later shares nothing with its parts.
    """
    return list(_Linker(star_names, live or {}).read(statements))


@dataclass
class _Linker:
    star_names: Callable[[str], Iterable[str]]
    live: Mapping[str, Any]
    modules: set[str] = field(default_factory=set)
    functions: dict[str, FunctionEffects] = field(default_factory=dict)
    iterators: set[str] = field(default_factory=set)
    aliases: dict[str, set[str]] = field(default_factory=dict)
    made_by: dict[str, set[str]] = field(default_factory=dict)
    """Names bound to what a function or class of the notebook has made: it may run again when they are used."""
    caches: set[str] = field(default_factory=set)
    """Functions that keep what they gave, and were used: they give that on when what they read has changed."""
    constants: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    _told: dict[int, set[str]] = field(default_factory=dict)
    _told_to_draw: dict[int, bool] = field(default_factory=dict)
    _seeded: set[str] = field(default_factory=set)
    """The global random generators that the notebook sets the seed of."""
    _drawings: set[str] = field(default_factory=set)
    ever_bound: set[str] = field(default_factory=set)

    def read(self, statements: Iterable[Statement]) -> Iterable[Flow]:
        statements = list(statements)
        self._drawings = {n for n, value in self.live.items() if _is_drawing(value)}
        self.ever_bound = stored_names([statement.node for statement in statements])
        self._seeded = set().union(*(GENERATORS if s.seeds else effects_of(s.node).outside.seeded for s in statements))
        for statement in statements:
            node = statement.node
            effects = effects_of(node, self.modules)
            if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
                effects.writes = set(self.star_names(node.module or ""))
            if statement.seeds:
                effects.outside.seeds = True
                effects.outside.seeded |= set(GENERATORS)
            if not statement.execution.ok:
                _doubt(statement, effects)
            elif statement.failed:
                seen = statement.execution.evidence
                perhaps = effects.maybe | effects.writes
                effects.maybe, effects.writes = perhaps & seen.bound if seen is not None else perhaps, set()
            yield self._flow(statement, effects)

    def _flow(self, statement: Statement, effects: Effects) -> Flow:
        inner = [self.functions[name] for name in self._used_functions(effects.reads)]
        for function in inner:
            effects.outside.add(function.outside)
        reads = effects.reads | self._evident(set().union(*(f.reads for f in inner)))
        mutates = effects.mutates.union(*(f.mutates for f in inner)) - self.modules - KNOWN
        mutates |= self._changed_arguments(effects) - KNOWN
        mutates |= effects.reads & self.iterators
        draws = self._draws(effects) or any(_on_current_figure(call) for function in inner for call in function.calls)
        drawings = self._drawn_on(statement, effects) if draws else set()
        mutates |= self._seen_to_change(statement, effects) | drawings
        styles = bool(self._drawings) and sets_style(statement.node)
        drawings |= effects.writes if draws else effects.writes & self._drawings  # `lim = plt.axis()` asks the figure
        canvas = f"<drawing of {statement.where}>"  # figures are closed with their cell
        mutates |= self._handed_streams(effects)
        if not statement.execution.ok:  # it failed somewhere: only what it does for certain counts
            mutates &= effects.surely
        shared = {name: self._really_shared(name, effects) for name in effects.aliases}
        mutates = mutates.union(*(shared[name] for name in mutates & shared.keys()))
        mutates = mutates.union(*(self.aliases.get(name, set()) for name in mutates))
        if not is_display_option(statement.node):
            mutates |= effects.surely & self.modules  # an option set on a module
        maybe = (effects.maybe | self._seen_to_bind(statement, effects)).union(
            *(f.writes for f in inner)
        ) - effects.writes
        touched = effects.writes | maybe | mutates
        mutates |= {name for name in self.caches if self.functions[name].reads & touched} - effects.writes
        self.caches |= {name for name in effects.reads & self.functions.keys() if self.functions[name].caches}
        self._remember(statement, effects, shared)
        seen = statement.execution.evidence
        still = seen is not None and not seen.drew  # the generators stand where they stood
        moves = (effects.outside.draws and not still) or self._seen_to_draw(statement, effects)
        drawn = {RANDOM} if moves else set()
        seeded = {RANDOM} if effects.outside.seeds else set()
        return Flow(
            statement,
            effects,
            reads=frozenset(reads | drawn | ({STYLE, canvas} if drawings else set())),
            writes=frozenset(effects.writes),
            maybe=frozenset(maybe | seeded | ({STYLE} if styles else set()) | ({canvas} if draws else set())),
            mutates=frozenset(mutates | drawn),
            uses=frozenset(effects.reads),
            setting=styles or is_setting(statement.node),
        )

    def _seen_to_change(self, statement: Statement, effects: Effects) -> set[str]:
        """What the cell was seen to change though no text of it says so: any call of it may have done that."""
        seen = statement.execution.evidence
        if seen is None or not seen.changed or not _acts(statement, effects):
            return set()
        imported = {name for name in self.modules if not isinstance(self.live.get(name), ModuleType)}
        return (set(seen.changed) - self._told_by(statement.execution) - imported) & self.seen

    def _seen_to_bind(self, statement: Statement, effects: Effects) -> set[str]:
        """What the cell was seen to bind though no text of it says so: ``exec`` and ``globals()`` do that."""
        seen = statement.execution.evidence
        if seen is None or not seen.bound or not _acts(statement, effects):
            return set()
        return set(seen.bound) - self._told_by(statement.execution)

    def _told_by(self, execution: Execution) -> set[str]:
        """What the text of a cell says that it may bind or change."""
        told = self._told.get(id(execution))
        if told is None:
            firsts = [effects_of(s.node, self.modules) for s in execution.statements]
            told = self._told[id(execution)] = set().union(*(e.mutates | e.writes | e.maybe for e in firsts))
        return told

    def _seen_to_draw(self, statement: Statement, effects: Effects) -> bool:
        """Whether the cell was seen to draw random numbers though no text of it says so: any call of it may have."""
        seen, around = statement.execution.evidence, statement.execution.statements
        if seen is None or not seen.drew & self._seeded or not _acts(statement, effects):
            return False
        told = self._told_to_draw.get(id(statement.execution))
        if (
            told is None
            and seen.drew == {"random"}
            and any(isinstance(s.node, (ast.Import, ast.ImportFrom)) for s in around)
        ):
            told = True  # a library that is loaded may draw from Python's own generator for itself
        elif told is None:
            firsts = [effects_of(s.node, self.modules) for s in around]
            outside = [first.outside for first in firsts]
            outside += [self.functions[n].outside for first in firsts for n in self._used_functions(first.reads)]
            told = any(one.draws or one.seeds for one in outside)
        self._told_to_draw[id(statement.execution)] = told
        return not told

    def _draws(self, effects: Effects) -> bool:
        """Whether a statement draws."""
        return bool(effects.calls and effects.reads & self._drawings) or any(
            _on_current_figure(call)
            or call.dotted.partition(".")[0] in self._drawings
            or (call.dotted.rpartition(".")[2] in SHOWING and call.dotted not in KNOWN)
            for call in effects.calls
        )

    def _drawn_on(self, statement: Statement, effects: Effects) -> set[str]:
        """The variables that hold what a statement draws into: those it names, or those of the current figure."""
        here = {n for s in statement.execution.statements for n in stored_names([s.node])}
        return self._drawings & (effects.reads | here) & self.seen

    def _handed_streams(self, effects: Effects) -> set[str]:
        """The open files, buffers and random generators that calls are handed: they are read on, written to, drawn from."""
        handed = {name for call in effects.calls for _, names in call.handed for name in names}
        return {name for name in handed if _is_stream(self.live.get(name))}

    def _evident(self, reads: set[str]) -> set[str]:
        """Of the names that functions read, those that they can have read: bound by now, or nowhere in the trace."""
        return {
            name
            for name in reads
            if name in self.seen or (name not in self.ever_bound and (not self.live or name in self.live))
        }

    def _used_functions(self, reads: Iterable[str]) -> set[str]:
        """The functions that may run when these names are used, with those they use themselves."""
        found: set[str] = set()
        waiting = list(reads)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            if name in self.functions:
                found.add(name)
                waiting += self.functions[name].reads
            waiting += [other for other in self.aliases.get(name, ()) if other in self.functions]
            waiting += self.made_by.get(name, ())
        return found

    def _changed_arguments(self, effects: Effects) -> set[str]:
        return self._changed(effects.calls, frozenset()) - self.modules - set(self.functions)

    def _changed(self, calls: Iterable[Call], within: frozenset[str]) -> set[str]:
        """What calls may change of what they are handed; `within` are the functions that are being looked into."""
        changed: set[str] = set()
        for call in calls:
            function = self.functions.get(call.dotted)
            if function is not None:
                if call.dotted in within:
                    continue
                touched = function.changed_parameters | self._changed(function.calls, within | {call.dotted})
                left = set(function.defaults)
                for i, (keyword, names) in enumerate(call.handed):
                    parameter = keyword or (function.parameters[i] if i < len(function.parameters) else "")
                    left.discard(parameter)
                    known = parameter in function.parameters
                    if parameter in touched or (not known and touched):
                        changed |= names
                changed = changed.union(*(function.defaults[name] for name in left & touched))
                continue
            acts = call.acts and call.dotted not in KNOWN and not self._is_pure(call)
            if acts or call.dotted.partition(".")[0] in self.made_by:
                changed = changed.union(*(names for _, names in call.handed))
        return changed

    def _is_pure(self, call: Call) -> bool:
        """Whether a call is of a function of the numeric libraries, which leave what they are given unless they are told to."""
        first, *rest = call.dotted.split(".")
        held: Any = self.live.get(first)
        for part in rest:
            held = getattr(held, part, None)
        told = {keyword.partition("_")[0] for keyword, _ in call.handed}
        root, _, inner = str(getattr(held, "__module__", None) or type(held).__module__).partition(".")
        if inner.startswith("plotting") or any(names & self._drawings for _, names in call.handed):
            return False
        return root in PURE_LIBRARIES and call.dotted.rpartition(".")[2] not in CHANGES_FIRST and not told & CHANGING

    def _remember(self, statement: Statement, effects: Effects, shared: dict[str, set[str]]) -> None:
        bound = effects.writes | effects.maybe
        for name in effects.writes:
            if name not in effects.surely:  # `a += 1` binds the object that it has changed
                for others in self.aliases.values():
                    others.discard(name)
                self.aliases.pop(name, None)
            self.functions.pop(name, None)
            self.caches.discard(name)
            self.modules.discard(name)
            self.iterators.discard(name)
            self.made_by.pop(name, None)
            self.constants.discard(name)
        for name, sources in shared.items():
            group = {name} | sources
            group = group.union(*(self.aliases.get(other, set()) for other in group))
            for one in group:
                self.aliases.setdefault(one, set()).update(group - {one})
        self.functions.update({n: f for n, f in effects.functions.items() if n in bound})
        self.iterators |= effects.iterators & bound
        used = {call.dotted.partition(".")[0] for call in effects.calls} & self.functions.keys()
        for name in effects.aliases.keys() & bound if used else ():
            self.made_by[name] = used
            if any(self.functions[function].is_generator for function in used):
                self.iterators.add(name)
        for decorator in getattr(statement.node, "decorator_list", []):  # its code runs with the function's
            for name in effects.writes:
                self.made_by.setdefault(name, set()).update(shared_names(decorator) & self.functions.keys())
                self.made_by[name].add(dotted_name(decorator).partition(".")[0])
        if isinstance(statement.node, (ast.Import, ast.ImportFrom)):
            self.modules |= {n for n in effects.writes if self.live.get(n) is None or _is_callable(self.live[n])}
        if isinstance(getattr(statement.node, "value", None), ast.Constant):
            self.constants |= effects.writes
        self.seen |= bound

    def _really_shared(self, name: str, effects: Effects) -> set[str]:
        same = effects.same.get(name, set())
        others = {
            n
            for n in effects.aliases[name] - self.constants
            if n != name and not isinstance(self.live.get(n), _IMMUTABLE)
        }
        return {n for n in others if n in same or not _copies_on_write(self.live.get(n))}


def _acts(statement: Statement, effects: Effects) -> bool:
    """Whether a statement may do what its text does not show: it calls, imports or shows something, or is no Python at all."""
    runs = isinstance(statement.node, (ast.Expr, ast.Import, ast.ImportFrom)) or hasattr(statement.node, "body")
    return bool(effects.calls or statement.opaque or runs)


def _on_current_figure(call: Call) -> bool:
    """Whether a call goes to a library that draws into the figure that is open."""
    return call.dotted.partition(".")[0] in DRAWERS


def _doubt(statement: Statement, effects: Effects) -> None:
    """What a statement of a failed cell has done is not sure; the cell's last statement failed, or never ran."""
    last = statement is statement.execution.statements[-1]
    compound = hasattr(statement.node, "body")
    effects.maybe = set() if last and not compound else effects.maybe | effects.writes
    effects.writes = set()
    if last and not compound:
        effects.surely.clear()
        effects.mutates.clear()


def _is_stream(value: Any) -> bool:
    return isinstance(value, (io.IOBase, random.Random)) or type(value).__module__.startswith("numpy.random.")


def _is_drawing(value: Any) -> bool:
    if hasattr(type(value), "from_estimator") and hasattr(value, "figure_"):  # scikit-learn's displays
        return True
    if type(value).__name__ == "ndarray" and value.dtype.kind == "O" and value.size:
        value = value.flat[0]
    return type(value).__module__.partition(".")[0] in ("matplotlib", "mpl_toolkits", "seaborn")


def _is_callable(value: Any) -> bool:
    # a module that loads late, as ours does, has a class of its own
    return callable(value) or isinstance(value, ModuleType)


def _copies_on_write(value: Any) -> bool:
    """Whether a value is a table of pandas 3 or later, whose parts are copies as soon as one of them is changed."""
    kind = type(value)
    pandas = sys.modules.get("pandas")
    return (
        kind.__module__.partition(".")[0] == "pandas"
        and kind.__name__ in ("DataFrame", "Series", "Index")
        and pandas is not None
        and int(pandas.__version__.partition(".")[0]) >= 3
    )
