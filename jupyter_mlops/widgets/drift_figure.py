"""The interactive figure of a drift report, as plotly's plain data: small multiples, the most drifted columns first.

Written by hand rather than through plotly: no template (it is most of a small figure's size), numbers as plain lists
that every version of plotly.js reads, and nothing to import before a cell can show it.
"""

from __future__ import annotations

import math
from textwrap import wrap
from typing import Any

from ..domain.display import cut
from ..domain.drift_report import ColumnDrift, Distribution, DriftReport, Finding
from .drift_order import by_drift, largest, scores_in_short, state

__all__ = ["DRAWN", "MIME", "spec"]

MIME = "application/vnd.plotly.v1+json"
DRAWN = 24
# One colour of text must do for light and dark: this grey has a contrast of 4.3 against white and against #111.
TEXT, LINE = "#7b7b7b", "rgba(127,127,127,.3)"
TOP, ROW, BETWEEN = 106, 150, 66  # pixels
NAMES = {1: 40, 2: 26, 3: 18}  # characters of a heading by how many panels stand side by side, in 500 pixels in all
ROOM = 28  # characters of labels that stand side by side below a panel
MOST_BARS = 16
LABELLED = 8  # categories that are named on the axis; more are named on hover only
FINDINGS = 6
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}
LINE_LENGTH, LONGEST = 76, 150  # of a line, which plotly does not break, and of what is said in several
LONGEST_TITLE = 52


def spec(report: DriftReport, *, colours: tuple[str, str]) -> dict[str, Any] | None:
    """The figure as plotly's MIME data; None when there is no column to draw.

    Parameters
    ----------
    colours
        Of the reference and of the current side.
    """
    every = by_drift(report)
    drawable = [(column, column.distribution) for column in every if column.distribution is not None]
    if not drawable:
        return None
    columns = drawable[:DRAWN]
    across = 1 if len(columns) == 1 else 2 if len(columns) in (2, 4) else 3
    down = math.ceil(len(columns) / across)
    notes = _notes(report, len(every), len(columns))
    bottom = 44 + 15 * len(notes)
    height = TOP + down * (ROW + BETWEEN) - BETWEEN + bottom
    inner = height - TOP - bottom
    layout: dict[str, Any] = {
        "title": {
            "text": f"<b>{_plain(_headline(report))}</b>",
            "subtitle": {"text": _subtitle(report), "font": {"size": 11}},
            "x": 0.01,
            "xanchor": "left",
            "y": 1 - 16 / height,
            "yanchor": "top",
            "font": {"size": 14},
        },
        "height": height,
        "autosize": True,
        "margin": {"l": 44, "r": 14, "t": TOP, "b": bottom},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": TEXT, "size": 11, "family": "system-ui, sans-serif"},
        "barmode": "group",
        "bargap": 0.25,
        "hovermode": "x unified",
        "hoverlabel": {"font": {"size": 11}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1 + 46 / inner, "yanchor": "top"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": TEXT},
        "annotations": [],
        "shapes": [],
    }
    data: list[dict[str, Any]] = []
    for i, (column, drawing) in enumerate(columns):
        number = "" if i == 0 else str(i + 1)
        place = _place(i, across, inner)
        layout[f"xaxis{number}"], layout[f"yaxis{number}"] = _axes(drawing, place, number)
        layout["annotations"].append(_heading(column, place, inner, across))
        if column.drifted:
            layout["shapes"].append(_frame(place, inner, colours[1]))
        data += _traces(drawing, number, colours, legend=i == 0)
    for i, line in enumerate(notes):
        layout["annotations"].append(_note(line, i, inner))
    return {"data": data, "layout": layout, "config": CONFIG}


def _place(index: int, across: int, inner: float) -> tuple[list[float], list[float]]:
    """The part of the figure that a panel takes: left and right, bottom and top."""
    row, column = divmod(index, across)
    gap = 0.05 if across > 1 else 0.0
    width = (1 - gap * (across - 1)) / across
    left = column * (width + gap)
    top = 1 - row * (ROW + BETWEEN) / inner
    return [round(left, 4), round(left + width, 4)], [round(max(0.0, top - ROW / inner), 4), round(top, 4)]


def _axes(
    drawing: Distribution, place: tuple[list[float], list[float]], number: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    across: dict[str, Any] = {"domain": place[0], "anchor": f"y{number}", "linecolor": LINE, "zeroline": False}
    if drawing.labels:
        labels = [row[0] for row in largest(drawing, MOST_BARS)]
        few = len(labels) <= LABELLED
        ticks: dict[str, Any] = {"showticklabels": False}
        if few:
            texts = [cut(label, 10) for label in labels]
            turned = 0 if max(map(len, texts)) * len(texts) <= ROOM else 35
            ticks = {"tickmode": "array", "tickvals": list(range(len(texts))), "ticktext": texts, "tickangle": turned}
        across |= {"showgrid": False, "tickfont": {"size": 9}, **ticks}
    else:
        across |= {"showgrid": False, "nticks": 5, "tickfont": {"size": 9}}
    up = {
        "domain": place[1],
        "anchor": f"x{number}",
        "tickformat": ".0%",
        "nticks": 4,
        "gridcolor": LINE,
        "zeroline": False,
        "rangemode": "tozero",
        "tickfont": {"size": 9},
    }
    return across, up


def _traces(drawing: Distribution, number: str, colours: tuple[str, str], *, legend: bool) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    rows = largest(drawing, MOST_BARS) if drawing.labels else []
    sides = [[row[1] for row in rows], [row[2] for row in rows]] if rows else [drawing.reference, drawing.current]
    for name, shares, colour in zip(("reference", "current"), sides, colours, strict=True):
        y = [round(share, 4) for share in shares]
        trace: dict[str, Any] = {
            "name": name,
            "legendgroup": name,
            "showlegend": legend,
            "hovertemplate": "%{y:.1%}",
            "xaxis": f"x{number}",
            "yaxis": f"y{number}",
        }
        if drawing.labels:
            trace |= {"type": "bar", "x": list(range(len(y))), "y": y, "marker": {"color": colour}}
            trace |= {"hovertext": [row[0] for row in rows], "hovertemplate": "%{hovertext}: %{y:.1%}"}
        else:
            filled = name == "reference"
            trace |= {
                "type": "scatter",
                "mode": "lines",
                "x": list(drawing.edges),
                "y": [*y, y[-1]],
                "line": {"shape": "hv", "color": colour, "width": 0.5 if filled else 2},
            }
            if filled:
                trace |= {"fill": "tozeroy", "fillcolor": _faint(colour)}
        traces.append(trace)
    return traces


def _heading(column: ColumnDrift, place: tuple[list[float], list[float]], inner: float, across: int) -> dict[str, Any]:
    mark = {"drift": "▲ ", "slight drift": "△ ", "ok": "", "not judged": "? "}[state(column)]
    name = _plain(cut(column.name, NAMES[across]))
    told = column.drifted is False or mark == "▲ " or across > 2  # the headline says what drifted, the mark how
    word = "" if told else f" · {state(column)}"
    return {
        "text": f"<b>{mark}{name}</b>{word}",
        "hovertext": _plain(f"{column.name}: {state(column)}; {scores_in_short(column)}"),
        "x": place[0][0],
        "y": place[1][1] + 4 / inner,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11},
    }


def _frame(place: tuple[list[float], list[float]], inner: float, colour: str) -> dict[str, Any]:
    left, right = place[0]
    low, high = place[1]
    return {
        "type": "rect",
        "xref": "paper",
        "yref": "paper",
        "x0": left,
        "x1": right,
        "y0": low,
        "y1": high,
        "line": {"color": colour, "width": 1.2},
    }


def _note(line: str, index: int, inner: float) -> dict[str, Any]:
    return {
        "text": line,
        "x": 0,
        "y": -(34 + 15 * index) / inner,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "showarrow": False,
        "font": {"size": 11},
    }


def _headline(report: DriftReport) -> str:
    """The verdict; a long one without the names, which the panels show: plotly does not wrap a title."""
    if len(report.verdict) <= LONGEST_TITLE or not report.drifted:
        return cut(report.verdict, LINE_LENGTH)
    serious = sum(finding.severity != "info" for finding in report.findings)
    found = f"; {serious} finding{'' if serious == 1 else 's'}" if serious else ""
    return f"{len(report.drifted)} of {len(report.columns) - len(report.unjudged)} columns drifted{found}"


def _subtitle(report: DriftReport) -> str:
    current = f"{report.current} ({report.current_rows:,} rows)"
    return _plain(f"{current} against {report.reference} ({report.reference_rows:,} rows)")


def _notes(report: DriftReport, every: int, drawn: int) -> list[str]:
    """What the figure cannot draw, in lines: findings, and what was left out."""
    serious = [finding for finding in report.findings if finding.severity != "info"]
    told = [cut(_told(finding), LONGEST) for finding in serious[:FINDINGS]]
    lines = [_plain(line) for text in told for line in wrap(text, LINE_LENGTH, subsequent_indent="\u2003")]
    if len(serious) > FINDINGS:
        lines.append(f"… and {len(serious) - FINDINGS} more findings: .findings has them all")
    if drawn < every:
        lines.append(f"{drawn} of {every} columns are drawn, the most drifted first; .to_pandas() has them all")
    return lines


def _told(finding: Finding) -> str:
    return f"{finding.severity}: {finding.message}"


def _plain(text: str) -> str:
    """Text that plotly does not take for its own markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},.38)"
