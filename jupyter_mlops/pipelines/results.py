"""Results: what a pipeline must give, and the values the notebook has for it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..analysis.dataflow import Flow
from ..analysis.own_lines import metric_calls
from ..analysis.trace import Trace
from ..errors import NotFound

__all__ = ["Results", "choose", "data_used", "is_estimator", "is_number"]

_USES = ("predict", "predict_proba", "score", "decision_function", "transform", "fit", "fit_transform", "fit_predict")


@dataclass
class Results:
    """The names whose values a pipeline must give.

    Parameters
    ----------
    values
        What the notebook has for each.
    """

    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names, in the order in which the notebook came to them."""
        return list(self.values)


def choose(trace: Trace, flows: Sequence[Flow], live: Mapping[str, Any], asked: Sequence[str] = ()) -> Results:
    """Choose the results: what was asked for, else what runs logged and registered, else metrics and models, else the last cell's.

    Raises
    ------
    NotFound
        A name that was asked for is no variable of the notebook.
    """
    results = Results()
    metrics = {flow.statement.metric: i for i, flow in enumerate(flows) if flow.statement.metric}
    if asked:
        known = [n for n, v in live.items() if not n.startswith("_") and _is_result(v)]
        for name in asked:
            if name not in live and name not in metrics:
                raise NotFound.among("variable", name, known)
        wanted = list(asked)
    else:
        wanted = _logged(trace, flows, live) or _models(flows, live, metrics) or _last(flows, live)
    for name in dict.fromkeys(wanted):
        if name in metrics:
            _evaluate(results, name, flows, metrics[name], live)
        elif name in live:
            results.values[name] = live[name]
        else:
            results.notes.append(f"{name!r} was logged or registered, and is no variable any more: it is not compared.")
    return results


def _logged(trace: Trace, flows: Sequence[Flow], live: Mapping[str, Any]) -> list[str]:
    """What runs gave and what was registered."""
    found: list[str] = []
    for flow in flows:
        if flow.statement.in_run:
            found += [flow.statement.metric] if flow.statement.metric else []
            found += [n for n in sorted(flow.writes | flow.maybe | flow.effects.surely) if _is_run_result(live.get(n))]
    return [*found, *trace.logged]


def _models(flows: Sequence[Flow], live: Mapping[str, Any], metrics: Mapping[str, int]) -> list[str]:
    found: list[str] = []
    for flow in flows:
        node = flow.statement.node
        if flow.statement.metric:
            found.append(flow.statement.metric)
        elif isinstance(node, ast.Assign) and metric_calls(node.value):
            found += [n for n in sorted(flow.writes) if _is_result(live.get(n))]
        found += [n for n in sorted(flow.effects.surely | flow.writes | flow.maybe) if is_estimator(live.get(n))]
    return found


def _last(flows: Sequence[Flow], live: Mapping[str, Any]) -> list[str]:
    for flow in reversed(flows):
        execution = flow.statement.execution
        if not execution.ok:
            continue
        last = [f for f in flows if f.statement.execution is execution]
        found = [n for f in last for n in sorted(f.writes | f.effects.surely) if n in live and _is_result(live[n])]
        if not found and isinstance(last[-1].statement.node, ast.Expr):
            found = [n for n in sorted(last[-1].uses) if n in live and _is_result(live[n])]
        if found:
            return found
    return []


def _evaluate(results: Results, name: str, flows: Sequence[Flow], at: int, live: Mapping[str, Any]) -> None:
    """Give a metric that was only logged or shown the value that the notebook's variables still give."""
    flow = flows[at]
    changed = sorted({n for later in flows[at + 1 :] for n in flow.reads & later.touches})
    where = f"{flow.statement.where} {ast.unparse(flow.statement.node)}"
    if changed:
        results.notes.append(f"{where} is not compared: {', '.join(changed)} changed afterwards.")
        return
    node = flow.statement.node
    if not isinstance(node, ast.Assign):
        return
    try:
        code = compile(ast.fix_missing_locations(ast.Expression(node.value)), "<metric>", "eval")
        results.values[name] = eval(code, dict(live))  # noqa: S307 the notebook's own expression, in its own kernel
    except Exception as error:
        results.notes.append(f"{where} is not compared: {type(error).__name__}: {error}.")


def data_used(name: str, flows: Sequence[Flow], live: Mapping[str, Any]) -> Any:
    """The data that an estimator was last evaluated on, else fitted on, as it is now; None if none is known.

    Any data in the notebook that was handed to an estimator is tried, the estimator's own first.
    """
    own: list[ast.expr] = []
    others: list[ast.expr] = []
    for flow in flows:
        for call in ast.walk(flow.statement.node):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in _USES
                and call.args
            ):
                mine = isinstance(call.func.value, ast.Name) and call.func.value.id == name
                (own if mine or flow.statement.metric == name else others).append(call.args[0])
    for expression in (*reversed(own), *reversed(others)):
        if any(isinstance(n, (ast.Call, ast.NamedExpr, ast.Await, ast.Lambda)) for n in ast.walk(expression)):
            continue
        try:
            code = compile(ast.fix_missing_locations(ast.Expression(expression)), "<data>", "eval")
            data = eval(code, dict(live))  # noqa: S307 a name or a part of a variable, no call
            head = data.iloc[:2] if hasattr(data, "iloc") else data[:2]
            use = getattr(live[name], "predict", None) or live[name].transform
            use(head)
        except Exception:  # noqa: S112 this data is not for this estimator
            continue
        return data
    return None


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator in scikit-learn's sense."""
    return not isinstance(value, type) and hasattr(value, "fit") and hasattr(value, "get_params")


def is_number(value: Any) -> bool:
    """Whether a value is one number."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_run_result(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(is_number(v) or is_estimator(v) for v in value.values())
    return is_number(value) or is_estimator(value)


def _is_result(value: Any) -> bool:
    """Whether a value may be compared at all; modules, functions and drawings may not."""
    package = type(value).__module__.partition(".")[0]
    plain = isinstance(value, (bool, int, float, str, dict, list, tuple, set))
    return plain or package in ("pandas", "numpy", "scipy", "polars") or is_estimator(value)
