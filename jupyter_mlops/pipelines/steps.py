"""Steps: the statements of a pipeline cut into functions, each with what it needs and what it gives."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..analysis.dataflow import Flow
from ..analysis.known_calls import words
from ..analysis.names import dotted_name
from ..analysis.own_lines import metric_calls
from ..analysis.trace import Execution
from .module_level import Module

__all__ = ["PlannedStep", "group"]

LOAD, PREPARE, SPLIT, TRAIN, EVALUATE = range(5)
KINDS = ("load", "prepare", "split", "train", "evaluate")
TITLES = ("Load the data", "Prepare the data", "Split the data", "Train the model", "Evaluate the model")
_LONGEST_NAME = 40
_HANGING = words("a an the of on in at to for from with using by and or as its our your is are via into")
"""Words that a name does not end on."""


@dataclass
class PlannedStep:
    """One function of the pipeline.

    Parameters
    ----------
    functions
        Functions of the notebook that read variables of the steps, repeated where they are used.
    """

    name: str
    title: str
    flows: list[Flow] = field(default_factory=list)
    functions: list[Flow] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[int]:
        """Execution counts of the cells it came from."""
        return list(dict.fromkeys(flow.statement.execution.cell.count for flow in self.flows))


def group(
    module: Module,
    targets: Collection[str],
    label: Callable[[Execution], tuple[str, bool]],
    *,
    live: Mapping[str, Any],
) -> list[PlannedStep]:
    """Cut what the module left into steps.

    Parameters
    ----------
    targets
        The results: a step gives them even if no later one needs them.
    label
        The heading or tag of a cell, and whether it is a tag.
    live
        The kernel's variables, to tell a model from what prepares data.
    """
    labels = [label(flow.statement.execution) for flow in module.rest]
    named = {text for text, _ in labels if text}
    by_name = len(named) > 1 or any(is_tag for _, is_tag in labels)
    steps = _by_label(module.rest, [text for text, _ in labels]) if by_name else _by_kind(module.rest, live)
    taken = set(module.names) | {p.name for p in module.parameters} | set(dir(builtins)) | set(keyword.kwlist)
    taken |= {"run", "main", "argparse"} | set(module.local_functions)
    taken |= {name for flow in module.rest for name in flow.touches | flow.reads}
    for step in steps:
        step.name = _free(step.name, taken)
        taken.add(step.name)
    _connect(steps, module, targets)
    return steps


# by headings and tags


def _by_label(flows: Sequence[Flow], labels: Sequence[str]) -> list[PlannedStep]:
    steps: list[PlannedStep] = []
    current = next((text for text in labels if text), "")
    before: str | None = None
    for flow, text in zip(flows, labels, strict=True):
        current = text or current
        if current != before:
            steps.append(PlannedStep(_slug(current), _plain(current)))
            before = current
        steps[-1].flows.append(flow)
    return steps


def _plain(heading: str) -> str:
    """A heading as plain text, without its number."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[`*_\"\\]+", lambda m: "_" if m[0] == "_" else "", text)
    return re.sub(r"^\W*(?:(?:step|part)\s+)?\d+(?:\.\d+)*\W+", "", text, flags=re.IGNORECASE).strip() or text.strip()


def _slug(heading: str) -> str:
    """A heading as the name of a function: whole words, none left hanging at the end.

    Examples
    --------
    >>> _slug("2. The author's *first* look at the data of all customers")
    'the_authors_first_look_at_the_data'
    """
    plain = unicodedata.normalize("NFKD", re.sub("['’]", "", _plain(heading))).encode("ascii", "ignore").decode()
    kept: list[str] = []
    for word in re.findall(r"[a-z0-9]+", plain.lower()):
        if kept and len("_".join([*kept, word])) > _LONGEST_NAME:
            while len(kept) > 1 and kept[-1] in _HANGING:
                kept.pop()
            break
        kept.append(word[:_LONGEST_NAME])
    name = "_".join(kept)
    return name if name.isidentifier() else f"step_{name}".rstrip("_")


def _free(name: str, taken: Collection[str]) -> str:
    if name not in taken:
        return name
    longer = f"{name}_model" if name in ("train", "evaluate") else f"{name}_data" if name in KINDS else f"{name}_step"
    return next(n for n in (longer, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in taken)


# by data flow


def _by_kind(flows: Sequence[Flow], live: Mapping[str, Any]) -> list[PlannedStep]:
    kinds = _kinds(flows, live)
    steps: list[PlannedStep] = []
    at = -1
    for flow, own in zip(flows, kinds, strict=True):
        again = own == TRAIN and at == EVALUATE
        kind = own if again else max(own, at)
        if kind != at:
            steps.append(PlannedStep(KINDS[kind], TITLES[kind]))
            at = kind
        steps[-1].flows.append(flow)
    for number, title in enumerate(TITLES):
        same = [step for step in steps if step.title == title]
        if len(same) > 1:
            for i, step in enumerate(same, 1):
                model = _model_of(steps[max(0, steps.index(step) - (number == EVALUATE))])
                step.name = f"{KINDS[number]}_{model or i}"
                step.title = f"{title}, {model or i}"
    return steps


def _kinds(flows: Sequence[Flow], live: Mapping[str, Any]) -> list[int]:
    own = [_kind(flow.statement.node, live) for flow in flows]
    from_data: set[str] = set()
    kinds: list[int | None] = []
    for flow, said in zip(flows, own, strict=True):
        depends = bool(flow.reads & from_data)
        kind = PREPARE if depends and said in (None, LOAD) else said
        if kind in (LOAD, PREPARE, SPLIT):
            from_data |= flow.touches
        kinds.append(kind)
    following: int | None = None
    for i in reversed(range(len(kinds))):  # what needs no data belongs to what comes after it
        if kinds[i] is None:
            kinds[i] = following
        following = kinds[i]
    return [PREPARE if kind is None else kind for kind in kinds]


def _kind(node: ast.stmt, live: Mapping[str, Any]) -> int | None:
    found: int | None = None
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        dotted = dotted_name(call.func)
        last, root = dotted.rpartition(".")[2], dotted.partition(".")[0]
        kind: int | None = None
        if last == "train_test_split":
            kind = SPLIT
        elif last in ("fit", "fit_predict", "partial_fit", "cross_val_score", "cross_validate"):
            owner = live.get(root)
            prepares = owner is not None and hasattr(owner, "transform") and not hasattr(owner, "predict")
            kind = PREPARE if prepares else TRAIN
        elif metric_calls(call) or last in ("predict", "predict_proba"):
            kind = EVALUATE
        elif re.match(r"(read|load|fetch)(_|$)|loadtxt|genfromtxt|make_(?!pipeline|column|union|scorer)", last):
            kind = LOAD
        if kind is not None:
            found = kind if found is None else max(found, kind) if TRAIN not in (found, kind) else TRAIN
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return None
    return found


def _model_of(step: PlannedStep) -> str:
    """The name of the model that a step trains."""
    for flow in step.flows:
        for call in ast.walk(flow.statement.node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "fit":
                root = dotted_name(call.func).partition(".")[0]
                bound = flow.writes - {root}
                return root if root in flow.touches else next(iter(sorted(bound)), "").lower()
    return ""


# what each needs and gives


def _connect(steps: list[PlannedStep], module: Module, targets: Collection[str]) -> None:
    parameters = {p.name for p in module.parameters}
    given: set[str] = set()
    made: list[dict[str, None]] = []
    for step in steps:
        step.functions = _functions_used(step, module)
        made.append(_bind(step, module, given | parameters))
        given |= made[-1].keys()
    wanted: set[str] = set(targets)
    for i in reversed(range(len(steps))):
        step, names = steps[i], made[i]
        step.outputs = [name for name in names if name in wanted]
        # A name bound only on some path keeps its value on the others: it must come in to go out.
        surely = {name for flow in step.flows for name in flow.writes}
        before = set().union(*made[:i])
        step.inputs += [n for n in step.outputs if n not in surely and n in before and n not in step.inputs]
        wanted = (wanted - surely) | set(step.inputs)


def _functions_used(step: PlannedStep, module: Module) -> list[Flow]:
    used: set[str] = set()
    waiting = [name for flow in step.flows for name in flow.uses]
    waiting += [n for flow in step.flows for f in flow.effects.functions.values() for n in f.reads]
    while waiting:
        name = waiting.pop()
        if name in module.local_functions and name not in used:
            used.add(name)
            flow = module.local_functions[name]
            waiting += [n for f in flow.effects.functions.values() for n in f.reads]
    return [flow for name, flow in module.local_functions.items() if name in used]


def _bind(step: PlannedStep, module: Module, before: Collection[str]) -> dict[str, None]:
    """Work out a step's inputs; return what it binds or changes, in order."""
    outside = module.names | set(module.local_functions)
    bound: set[str] = set()
    made: dict[str, None] = {}
    for flow in step.flows:
        inner = {
            name
            for f in step.functions
            for g in f.effects.functions.values()
            for name in g.reads | g.writes | g.mutates
        }
        spoken = flow.uses | flow.effects.surely | flow.effects.mutates | (flow.reads & inner)
        spoken |= {name for g in flow.effects.functions.values() for name in g.reads}
        for name in _in_order(flow, spoken):
            if name not in bound and name not in outside and name in before and name not in step.inputs:
                step.inputs.append(name)
        bound |= flow.writes
        there = {*before, *bound, *made, *flow.maybe}  # what failed to be made has nothing to be changed
        for name in _in_order(flow, flow.writes | flow.maybe | (flow.mutates & (spoken | bound) & there)):
            if name not in outside and not name.startswith("<"):
                made[name] = None
    return made


def _in_order(flow: Flow, names: Collection[str]) -> list[str]:
    """Names in the order in which the statement mentions them."""
    mentioned = dict.fromkeys(n.id for n in ast.walk(flow.statement.node) if isinstance(n, ast.Name) and n.id in names)
    return [*mentioned, *sorted(set(names) - mentioned.keys())]
