"""Slicing: which statements a result needs.

A trace that was read forwards, see `dataflow`, is read backwards from the results. A statement is kept when it binds or may
change something that is needed further down; what is surely bound is from there upwards no longer needed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from .dataflow import KNOWN, RANDOM, STYLE, Flow
from .outside import depends_on_file
from .trace import Statement

__all__ = ["SIDE_EFFECT_IMPORTS", "Missing", "Slice", "slice_back"]

SIDE_EFFECT_IMPORTS = ("sklearn.experimental", "__future__")


@dataclass(frozen=True)
class Missing:
    """A name that is needed, and that nothing before has made."""

    name: str
    reader: Statement


@dataclass
class Slice:
    """What is kept of a trace."""

    flows: list[Flow]
    missing: list[Missing] = field(default_factory=list)
    dropped: list[Flow] = field(default_factory=list)


def slice_back(flows: list[Flow], targets: Iterable[str]) -> Slice:
    """Keep what gives the targets.

    Parameters
    ----------
    targets
        Names, with the values they have at the end of the trace.
    """
    needed: dict[str, Statement | None] = dict.fromkeys(targets)
    files: set[str] = set()
    seeded = any(flow.effects.outside.seeds for flow in flows)
    generators = set().union(*(flow.effects.outside.seeded for flow in flows))
    unsettled = set(generators)
    saves = False  # something that is kept writes files, for which folders must be there
    kept: list[Flow] = []
    dropped: list[Flow] = []
    perhaps: set[str] = set()
    for flow in reversed(flows):
        wanted = flow.touches & needed.keys()
        if not seeded:
            wanted -= {RANDOM}
        elif flow.effects.outside.seeds and RANDOM in needed:
            wanted |= {RANDOM}
        writes_wanted = depends_on_file(files, flow.effects.outside.files_written)
        kept_anyway = (
            (flow.setting and STYLE not in flow.maybe) or flow.statement.keep or _for_its_effect(flow.statement.node)
        )
        folder_wanted = saves and flow.effects.outside.makes_folder
        if not (wanted or writes_wanted or folder_wanted or kept_anyway):
            dropped.append(flow)
            continue
        kept.append(flow)
        perhaps |= flow.maybe & needed.keys()
        for name in flow.writes - flow.reads:
            needed.pop(name, None)
        if flow.effects.outside.seeds:
            unsettled -= flow.effects.outside.seeded
            if not unsettled:
                needed.pop(RANDOM, None)
                unsettled = set(generators)
        for name in flow.reads | ((flow.mutates & wanted) - flow.writes):
            needed[name] = flow.statement  # the earliest reader is named when it is missing
        files |= flow.effects.outside.files_read
        saves = saves or flow.effects.outside.saves
    missing = [
        Missing(name, reader)
        for name, reader in needed.items()
        if reader is not None
        and name not in KNOWN
        and name not in perhaps
        and not name.startswith("<")
        and not (reader.failed and reader.execution.evidence and reader.execution.evidence.error == "NameError")
    ]
    return Slice(kept[::-1], sorted(missing, key=lambda m: m.name), dropped[::-1])


def _for_its_effect(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module in SIDE_EFFECT_IMPORTS
