"""Live: the same tables as widgets that sort, filter, compare, promote and stop, while a kernel is there.

One widget class and one small module of JavaScript serve every noun. The kernel sends rows of cells that are drawn by
the same code as the static HTML; the browser sends back what was clicked, which becomes one call of the session.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from ..domain.deployment import DeploymentTable
from ..domain.display import Displayed
from ..domain.model_version import ModelTable
from ..domain.panel import Panel
from ..domain.run import RunComparison, RunTable
from ..domain.workspace import Status
from ..errors import MLOpsError
from ..session import current
from . import models, runs, workspace
from .markup import LIVE_STYLE, STYLE, Number, join, page
from .run_arranging import PLAIN, ArrangedRuns, arranged

__all__ = ["state", "widget_for"]

SCRIPT = Path(__file__).with_name("live.js")
FEWEST_FOUND = 200  # runs that a filter typed into a table asks for at the least


def widget_for(thing: Displayed) -> str | None:
    """Make the live form of `thing`; the id of its model, None where none can come alive or there is none."""
    if type(thing) not in STATES:
        return None
    try:
        live = current().context.hooks.get("live")
        if live is None or not live():
            return None
        return str(_widget_class()(thing).model_id)
    except Exception:  # a display never fails for want of its upgrade: the static form is whole
        return None


def state(thing: Any) -> dict[str, Any]:
    """What the browser draws `thing` from: JSON-ready."""
    return STATES[type(thing)](thing)


def _cells(rows: Sequence[Sequence[Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Rows as HTML with what to sort by: the number itself, else the text."""
    return [
        {
            "key": key,
            "cells": [str(join([cell])) for cell in row],
            "sort": [_sortable(cell.value) if isinstance(cell, Number) else _text(str(join([cell]))) for cell in row],
        }
        for key, row in zip(keys, rows, strict=True)
    ]


def _sortable(value: float | None) -> float | None:
    """A number that JSON has: it knows neither infinity nor what is no number, which stands last as what is missing does."""
    if value is None or math.isnan(value):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def _text(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def _table(drawn: tuple[Sequence[Any], Sequence[Sequence[Any]]], keys: Sequence[str], **more: Any) -> dict[str, Any]:
    heads, rows = drawn
    return {
        "kind": "table",
        "heads": [str(join([head])) for head in heads],
        "right": [any(isinstance(row[i], Number) for row in rows) for i in range(len(heads))],
        "rows": _cells(rows, keys),
        **more,
    }


def _runs(table: RunTable | ArrangedRuns) -> dict[str, Any]:
    """The first rows of what may be thousands; where there are more, the browser lets the kernel sort and filter all."""
    told = arranged(table)
    shown, names = told.first(runs.ROWS), told.names()
    wanted = told.shown
    metrics = runs.shown_metrics(told.found) if wanted is None else _chosen(names, "metrics", wanted)
    params = _chosen(names, "params", wanted or ())
    more: dict[str, Any] = {
        "columns": [*PLAIN, *(f"params.{name}" for name in params), *(f"metrics.{name}" for name in metrics)],
        "choice": [f"{kind}.{name}" for kind in ("params", "metrics") for name in names[kind]],
        "sort": told.sort,
        "direction": told.direction,
        "filter": told.found.filter if told.found is not told.whole else "",
        "note": "the store has more that match: runs --limit" if told.found.more else "",
    }
    if len(told.found) > runs.ROWS:
        more |= {"asks": True, "matching": len(told.places), "total": len(told.found)}
    drawn = _table(runs.run_rows(shown, metrics, params), [run.id for run in shown.runs], select="Compare", **more)
    for key in ("took", *(f"params.{name}" for name in params)):  # what is written is no order: 12 ms, 3.2 s
        at, values = more["columns"].index(key), told.columns.values(key)
        for row, place in zip(drawn["rows"], told.places, strict=False):
            row["sort"][at] = values[place]
    return drawn


def _chosen(names: Mapping[str, Sequence[str]], kind: str, wanted: Sequence[str]) -> list[str]:
    return [name for name in names[kind] if f"{kind}.{name}" in wanted]


def _models(table: ModelTable) -> dict[str, Any]:
    return _table(models.model_rows(table), [v.ref for v in table.versions], action="Promote", ask="champion")


def _deployments(table: DeploymentTable) -> dict[str, Any]:
    return _table(
        models.deployment_rows(table), [d.name for d in table.deployments], action="Stop", confirm=True, refresh=True
    )


def _status(told: Status) -> dict[str, Any]:
    return {"kind": "html", "html": str(join(workspace.status_parts(told))), "refresh": True}


def _comparison(compared: RunComparison) -> dict[str, Any]:
    heads, groups = runs.compared_rows(compared)
    colours = {r.id: runs.COLOURS[i % len(runs.COLOURS)] for i, r in enumerate(compared.runs)}
    names = {r.id: r.name for r in compared.runs}
    return {
        "kind": "compare",
        "heads": [str(join([head])) for head in heads],
        "groups": {title: [[str(join([cell])) for cell in row] for row in rows] for title, rows in groups.items()},
        "curves": [
            {
                "metric": s.metric,
                "run": names.get(s.run, s.run[:8]),
                "colour": colours.get(s.run, runs.COLOURS[-1]),
                "steps": list(s.steps),
                "values": [v if v - v == 0 else None for v in s.values],
            }
            for s in compared.curves
        ],
        "more": str(join([*runs.differences(compared), runs.lines(compared)])),
        "diff": str(runs.difference(compared.source_diff)) if compared.source_diff else "",
    }


def _panel(told: Panel) -> dict[str, Any]:
    sections = []
    for key, title, count, table in told.sections:
        drawn = state(table) if type(table) in STATES and count else {"kind": "html", "html": _static(table)}
        view = {name: value for name, value in drawn.items() if name not in ("choice", "asks")}
        sections.append({"key": key, "title": title, "count": count, "view": {**view, "refresh": False}})
    head = str(workspace.panel_head(told))
    return {"kind": "panel", "head": head, "sections": sections, "refresh": True}


STATES: dict[type[Displayed], Callable[[Any], dict[str, Any]]] = {
    DeploymentTable: _deployments,
    ModelTable: _models,
    Panel: _panel,
    RunComparison: _comparison,
    ArrangedRuns: _runs,
    RunTable: _runs,
    Status: _status,
}


def answer(thing: Displayed, asked: Mapping[str, Any]) -> tuple[Displayed, str]:
    """Carry out what was clicked.

    Returns
    -------
    tuple
        What the widget shows from now on, and HTML to show below it.

    Raises
    ------
    MLOpsError
        What the command raises.
    """
    session = current()
    keys = [str(key) for key in asked.get("keys", ())]

    def call(verb: str, /, **given: Any) -> Any:
        return session.invoke(verb, given, via="magic")

    if isinstance(thing, Panel):
        section = next((table for key, _, _, table in thing.sections if key == asked.get("section")), None)
        told = answer(section, asked)[1] if section is not None else ""
        return call("panel", limit=thing.limit), told
    if isinstance(thing, (RunTable, ArrangedRuns)):
        if asked.get("do") == "select":
            return thing, _static(call("compare", runs=keys))
        before = arranged(thing)
        found = before.found
        if asked.get("do") == "find":
            limit = max(len(before.whole), FEWEST_FOUND)
            wanted = str(asked.get("filter") or "")
            found = call("runs", filter=wanted, limit=limit) if wanted else before.whole
        return before.asked(asked, found), ""
    if isinstance(thing, ModelTable):
        told = _static(call("promote", model=keys[0], to=str(asked.get("value", ""))))
        return call("models", **_same_name(thing)), told
    if isinstance(thing, DeploymentTable):
        told = _static(call("undeploy", name=keys[0])) if asked.get("do") == "action" else ""
        return call("deployments"), told
    return call("status"), ""


def _same_name(table: ModelTable) -> dict[str, str]:
    """The name that a table was asked for by, where it holds one model only."""
    names = {version.name for version in table.versions}
    return {"name": names.pop()} if len(names) == 1 else {}


def _static(thing: Any) -> str:
    from . import static_html

    drawn = static_html(thing) if isinstance(thing, Displayed) else None
    return str(drawn if drawn is not None else page(str(thing)))


@cache
def _widget_class() -> type[Any]:
    """The widget's class; made when the first widget is, since its library costs a fifth of a second to load."""
    import anywidget
    import traitlets

    class LiveView(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = SCRIPT
        _css = STYLE + LIVE_STYLE
        view = traitlets.Dict().tag(sync=True)
        below = traitlets.Unicode().tag(sync=True)
        error = traitlets.Unicode().tag(sync=True)
        busy = traitlets.Bool(default_value=False).tag(sync=True)

        def __init__(self, thing: Displayed) -> None:
            super().__init__(view=state(thing))
            self._thing = thing
            self.on_msg(self._clicked)

        def _clicked(self, _widget: Any, content: Any, _buffers: Any) -> None:
            self.busy, self.error = True, ""
            try:
                self._thing, self.below = answer(self._thing, content)
                self.view = state(self._thing)
            except MLOpsError as error:
                self.error = str(error)
            finally:
                self.busy = False

    return LiveView
