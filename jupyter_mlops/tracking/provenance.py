"""Provenance: of every value a trace makes, what it was made by; two traces that make a value alike give it one key.

A trace is read from top to bottom. Each statement gets a key out of its code and of the keys of all that it reads, and
what it binds or changes gets a key out of that. So the key of a value stands for the whole history that matters to it:
the order of cells that have nothing to do with each other is not in it, nor comments and blank lines, nor that a cell ran twice
that gives the same each time; a second draw from a random generator, an edited function or a table changed in place is.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..analysis.dataflow import RANDOM, Flow
from ..analysis.known_calls import DRAWS, STEADY
from ..analysis.outside import ANY_FILE
from ..analysis.trace import Execution
from ..domain.workspace import Cell
from .repeating import FITS, refitted, says_again

__all__ = ["Maker", "Provenance", "Since", "code_of", "trace_provenance"]

Since = Callable[[Flow, Sequence[Cell]], str]
FILE = "<file> "
IGNORED_SETTINGS = ("warnings.",)
PATCHES = re.compile(r"\bpatch(\.\w+)?\(.*\)\.start\(\)", re.DOTALL)
"""A mock that is left in place."""
DRAWING = {"plt", "sns", "mpl", "matplotlib", "seaborn", "pyplot", "px", "pio"}
"""What is set on these shows, and changes no result; anything else that is put into a module stays there when that is imported again."""


@dataclass(frozen=True)
class Maker:
    """The statement that made a value.

    Parameters
    ----------
    reads
        By name, the keys of what it used.
    since
        What it read from outside that is another one now, in words; empty for nothing. It is part of the key: the same
        code that has read the same file anew has made something else.
    """

    key: str
    flow: Flow
    reads: Mapping[str, str]
    since: str = ""

    @property
    def execution(self) -> Execution:
        """The cell's execution that it stands in."""
        return self.flow.statement.execution


@dataclass
class Provenance:
    """What a trace has made."""

    makers: dict[str, Maker] = field(default_factory=dict)
    """By the key of a value."""
    statements: list[Maker] = field(default_factory=list)
    """Every statement, in order."""
    settings: dict[str, Maker] = field(default_factory=dict)
    """What changes how later code works without binding a name, by its code."""

    def of(self, execution: Execution) -> list[Maker]:
        """The statements of one execution."""
        return [maker for maker in self.statements if maker.execution is execution]

    def behind(self, makers: Iterable[Maker]) -> list[Maker]:
        """All statements that these depend on, themselves left out, in the order in which they ran."""
        found: dict[int, Maker] = {}
        given = {id(maker) for maker in makers}
        waiting = [self.makers[key] for maker in makers for key in maker.reads.values() if key in self.makers]
        while waiting:
            maker = waiting.pop()
            if id(maker) not in found and id(maker) not in given:
                found[id(maker)] = maker
                waiting += [self.makers[key] for key in maker.reads.values() if key in self.makers]
        return [maker for maker in self.statements if id(maker) in found]


def trace_provenance(
    flows: Iterable[Flow], live: Mapping[str, Any] | None = None, outside: Since | None = None
) -> Provenance:
    """Read a linked trace.

    Parameters
    ----------
    live
        The kernel's variables: whether a fit draws random numbers depends on the estimator.
    outside
        Gives of a statement `Maker.since`, told besides it which cells write files.
    """
    flows = list(flows)
    writers = [flow.statement.execution.cell for flow in flows if flow.effects.outside.files_written]
    seeded = any(flow.effects.outside.seeds for flow in flows)
    made = Provenance()
    current: dict[str, str] = {}
    imported: set[str] = set()
    for flow in flows:
        random = seeded and not _fits_steadily(flow, live or {})
        reads = {name: current.get(name, "") for name in _needed(flow, current, random=random)}
        code = code_of(flow)
        fitted = refitted(flow, live or {})
        while fitted and (before := made.makers.get(reads.get(fitted, ""))) is not None:
            if refitted(before.flow, live or {}) != fitted:
                break
            reads[fitted] = before.reads.get(fitted, "")  # what it was fitted to before is forgotten
        since = outside(flow, writers) if outside is not None else ""
        key = _digest(code, *(f"{name}={value}" for name, value in sorted(reads.items())), *([since] if since else []))
        maker = Maker(key, flow, reads, since)
        made.statements.append(maker)
        patches = PATCHES.search(flow.statement.text) or flow.effects.surely & imported - DRAWING
        if (flow.setting or patches) and not flow.statement.text.startswith(IGNORED_SETTINGS):
            made.settings.setdefault(code, maker)
        imported -= flow.writes
        if isinstance(flow.statement.node, (ast.Import, ast.ImportFrom)):
            imported |= flow.writes
        if says_again(maker, made.makers):
            continue
        for name in _changed(flow, random=random):
            current[name] = _digest(key, name)
            made.makers.setdefault(current[name], maker)
    return made


def code_of(flow: Flow) -> str:
    """A statement's code, comments and layout left out, and the names that the analysis gives to what was only shown."""
    node = flow.statement.node
    return ast.dump(node.value if flow.statement.metric and isinstance(node, ast.Assign) else node)


def _needed(flow: Flow, current: Mapping[str, str], *, random: bool) -> Iterator[str]:
    """The names whose values a statement's effect depends on; what it may change in place is among them."""
    reads = set(flow.reads | flow.maybe | _mutated(flow))
    if flow.effects.outside.seeds and not flow.effects.outside.draws:
        reads.discard(RANDOM)  # what a seed sets does not depend on what was there
    yield from (name for name in reads if random or name != RANDOM)
    files = flow.effects.outside.files_read | flow.effects.outside.files_appended
    if ANY_FILE in files:
        yield from (name for name in current if name.startswith(FILE))
    elif files:
        yield from (FILE + file for file in {*files, ANY_FILE} if FILE + file in current)


def _changed(flow: Flow, *, random: bool) -> Iterator[str]:
    yield from (name for name in flow.writes | flow.maybe | _mutated(flow) if random or name != RANDOM)
    yield from (FILE + file for file in flow.effects.outside.files_written)


def _mutated(flow: Flow) -> frozenset[str]:
    """What a statement may change in place: a fit changes the estimator, and not the data it is given."""
    acting = [call for call in flow.effects.calls if call.acts]
    if not acting or any(call.dotted.rpartition(".")[2] not in FITS for call in acting):
        return flow.mutates
    own = {call.dotted.partition(".")[0] for call in acting} | flow.effects.surely | {RANDOM}
    return flow.mutates & own


def _fits_steadily(flow: Flow, live: Mapping[str, Any]) -> bool:
    """Whether all that a statement may draw for is fits of estimators that draw nothing, or have a seed of their own."""
    outside = flow.effects.outside
    if outside.seeds or outside.unseeded or not outside.draws:
        return False
    for call in flow.effects.calls:
        owner, _, last = call.dotted.rpartition(".")
        if last in FITS:
            held = live.get(owner)
            seeds = _seeds(held)
            if not (
                owner.rpartition(".")[2] in STEADY or type(held).__name__ in STEADY or (seeds and None not in seeds)
            ):
                return False
        elif last in DRAWS:
            return False
    return any(call.dotted.rpartition(".")[2] in FITS for call in flow.effects.calls)


def _seeds(estimator: Any) -> list[Any]:
    try:
        params = {} if isinstance(estimator, type) else estimator.get_params()
    except Exception:  # whatever a user's object does
        return []
    return [value for name, value in params.items() if name.endswith("random_state")]


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
