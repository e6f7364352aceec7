"""Runs: one, a table, several side by side with their curves."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from math import isfinite

from ..domain.display import seconds
from ..domain.run import Run, RunComparison, RunTable, Series, telling_metrics
from .markup import Markup, Number, code, facts, grid, join, more, note, page, pill, short, tag, when
from .parallel import parallel

__all__ = [
    "COLOURS",
    "compared_rows",
    "comparison",
    "difference",
    "run",
    "run_line",
    "run_rows",
    "run_table",
    "shown_metrics",
]

ROWS = 200  # of a table of runs; whoever wants more reads `.to_pandas()`
MANY = 4  # runs from which on their lines through all axes are drawn
LONG_NUMBER = 8
METRICS = 6  # columns a table of runs shows; the rest stands in each run
COLOURS = ("#2185f0", "#e8710a", "#2ea043", "#a855f7", "#e53935", "#0891b2", "#b58900", "#d6409f")

TRUST_TONES = {"reproducible": "good", "consistent": "good", "stale": "warn"}

Rows = tuple[Sequence[object], list[list[object]]]


def shown_metrics(table: RunTable) -> list[str]:
    """The metrics that a table of runs has columns for."""
    return telling_metrics(table.metric_names())[:METRICS]


def run_rows(table: RunTable, metrics: Sequence[str] | None = None, params: Sequence[str] = ()) -> Rows:
    """The heads and rows of a table of runs, with columns for these metrics and parameters."""
    names = shown_metrics(table) if metrics is None else metrics
    rows: list[list[object]] = [
        [
            short(r.name),
            code(r.id[:8]),
            pill(r.status, title=r.reason),
            when(r.started_ms),
            seconds(r.duration_ms),
            trust(r),
            *(setting(r.params.get(name, "–"), 24) for name in params),
            *(Number(r.metrics.get(name)) for name in names),
        ]
        for r in table.runs[:ROWS]
    ]
    return ["run", "id", "status", "started", "took", "trust", *(short(name, 20) for name in (*params, *names))], rows


def setting(value: str, width: int, beside: Sequence[str | None] = ()) -> object:
    """A parameter's value; of a number with many digits the first, all on hover, unless one `beside` it begins alike."""
    rounded = _rounded(value)
    if rounded == value or sum(v is not None and v != value and _rounded(v) == rounded for v in beside):
        return short(value, width)
    return tag("span", rounded, title=value)


def _rounded(text: str) -> str:
    if len(text) > LONG_NUMBER and any(letter in text for letter in ".e"):
        with contextlib.suppress(ValueError):
            return f"{float(text):.5g}"
    return text


def trust(one: Run) -> Markup:
    """A run's trust label, its reasons on hover."""
    if one.superseded_by:
        return pill("superseded", title=f"by {one.superseded_by[:8]}")
    why = "; ".join(f"{cell} {text}".strip() for cell, text in one.trust_reasons.items())
    return pill(one.trust, TRUST_TONES.get(one.trust, ""), title=why)


def run_table(table: RunTable) -> Markup:
    """One row a run, newest first."""
    if not table.runs and table.filter:
        return page("No runs where ", code(table.filter), ".")
    if not table.runs:
        return page("No runs yet. Begin a cell with ", code("%%mlops run"), " to track it.")
    told = [f"{len(table)} runs" if len(table) > 1 else "1 run"]
    told += [f"in {table.experiment}"] if table.experiment else []
    told += [f"where {table.filter}"] if table.filter else []
    told += [f"and more in the store: --limit {2 * len(table)}"] if table.more else []
    told += [f"· the first {ROWS} are shown, .to_pandas() has all"] if len(table) > ROWS else []
    rest = len(table.metric_names()) - len(shown_metrics(table))
    told += [f"· {rest} more metrics in each run"] if rest > 0 else []
    return page(tag("div", grid(*run_rows(table)), class_="mlops-scroll"), note(" ".join(told)))


def run(one: Run) -> Markup:
    """Everything the store tells of one run."""
    return page(
        tag("div", one.name, " ", pill(one.status), class_="mlops-title"),
        facts(
            [
                ("id", code(one.id)),
                ("why", one.reason),
                ("experiment", one.experiment),
                ("started", when(one.started_ms) if one.started_ms else ""),
                ("took", seconds(one.duration_ms) if one.duration_ms is not None else ""),
                ("by", one.user),
                ("notebook", one.notebook),
                ("commit", code(one.commit[:12]) if one.commit else ""),
                ("data", join(map(code, one.data), ", ")),
                ("models", join((code(m) for m in one.models), ", ")),
                ("trust", trust(one)),
                *((f"· {cell}" if cell else "·", why) for cell, why in one.trust_reasons.items()),
                *one.facts.items(),
                *(("note" if i == 0 else "·", line) for i, line in enumerate(one.notes)),
            ]
        ),
        _values("metric", {k: Number(v) for k, v in one.metrics.items()}),
        _values("parameter", {k: short(v, 80) for k, v in one.params.items()}, folded=len(one.params) > 8),
        more(f"{len(one.artifacts)} artifacts", tag("pre", "\n".join(one.artifacts))) if one.artifacts else "",
        more("source", tag("pre", one.source)) if one.source else "",
    )


def run_line(one: Run) -> Markup:
    """A run that has just ended, in one line."""
    metrics = list(one.metrics.items())
    shown = join((join([name, " ", tag("b", Number(value))]) for name, value in metrics[:METRICS]), " · ")
    rest = f" and {len(metrics) - METRICS} more" if len(metrics) > METRICS else ""
    return page(
        pill(one.status, title=one.reason), " run ", tag("b", one.name), *([" ", code(one.id[:8])] if one.id else []),
        f" · {seconds(one.duration_ms)}" if one.duration_ms is not None else "",
        join([" · ", shown, rest]) if metrics else "",
        " · ", trust(one), " ", tag("span", _hazard(one), class_="mlops-dim"),
        *([" · ", tag("span", f"note: {one.note}", class_="mlops-dim", title="; ".join(one.notes))] if one.notes else []),
    )  # fmt: skip


def _hazard(one: Run) -> str:
    told = [f"{cell} {why}".strip() for cell, why in one.trust_reasons.items() if cell]
    return "" if not told else told[0] + (f", and {len(told) - 1} more" if len(told) > 1 else "")


def compared_rows(compared: RunComparison) -> tuple[Sequence[object], dict[str, list[list[object]]]]:
    """The heads of a comparison, and its rows under ``run``, ``metrics``, ``params`` and ``same``."""
    heads = ["", *(join([short(r.name, 24), " ", code(r.id[:8])]) for r in compared.runs)]
    groups: dict[str, list[list[object]]] = {
        "run": [
            ["status", *(pill(r.status, title=r.reason) for r in compared.runs)],
            ["took", *(seconds(r.duration_ms) for r in compared.runs)],
        ],
        "metrics": [
            [short(name), *(_measured(compared, name, i) for i in range(len(values)))]
            for name, values in compared.metrics.items()
        ],
        "params": [
            [short(name), *("–" if v is None else setting(v, 32, values) for v in values)]
            for name, values in compared.params.items()
        ],
        "same": [[short(name), *([short(v, 32)] * len(compared.runs))] for name, v in compared.same.items()],
    }
    return heads, groups


def _measured(compared: RunComparison, metric: str, place: int) -> object:
    value, interval = Number(compared.metrics[metric][place]), compared.interval(metric, place)
    return join([value, " ", tag("span", interval, class_="mlops-dim")]) if interval else value


def comparison(compared: RunComparison) -> Markup:
    """Metrics and differing parameters, one column a run; then curves and the change of the source."""
    heads, groups = compared_rows(compared)
    rows = [*groups["run"], *groups["metrics"], *groups["params"]]
    same = len(compared.same)
    return page(
        _compared(heads, rows),
        more(f"{same} parameters are the same", facts(compared.same.items())) if same else "",
        *differences(compared),
        *curves(compared.runs, compared.curves),
        lines(compared),
        more("what changed in the source", difference(compared.source_diff)) if compared.source_diff else "",
    )


def lines(compared: RunComparison) -> Markup:
    """Many runs as lines through all axes; nothing for a few."""
    return parallel(compared) if len(compared.runs) >= MANY else Markup("")


def differences(compared: RunComparison) -> list[Markup]:
    """The paired tests over folds, the tables that differ, and the environment's change."""
    parts = []
    if compared.low:
        parts.append(note("in brackets the intervals of the evaluations"))
    if compared.folds:
        rows = [
            [code(d.metric), *(Number(mean) for mean in d.means), Number(d.difference), f"{d.low:+.4g} to {d.high:+.4g}", Number(d.p)]
            for d in compared.folds if len(d.means) == 2
        ]  # fmt: skip
        heads = ["over folds", "first", "second", "difference", "95 % interval", "p"]
        told = "corrected resampled t-test (Nadeau and Bengio), paired by fold"
        parts += [grid(heads, rows), note("; ".join(filter(None, [told, compared.folds_note])))]
    if compared.data:
        rows = [[short(name), *(short(v, 32) if v else "–" for v in values)] for name, values in compared.data.items()]
        parts.append(grid(["data", *(short(r.name, 24) for r in compared.runs)], rows))
    if compared.environment:
        count = len(compared.environment)
        title = f"{count} distribution{'s' if count != 1 else ''} of another version"
        parts.append(more(title, tag("pre", "\n".join(compared.environment))))
    return parts


def _compared(heads: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """A grid in which numbers and words share columns: every value is right-aligned."""

    def line(kind: str, cells: Sequence[object]) -> Markup:
        return tag("tr", *(tag(kind, cell, align="right" if i else "left") for i, cell in enumerate(cells)))

    return tag("table", tag("thead", line("th", heads)), tag("tbody", *(line("td", row) for row in rows)))


def difference(diff: str) -> Markup:
    """A unified diff with its lines coloured."""
    tones = {"+": "mlops-add", "-": "mlops-del"}
    lines = [
        tag("span", line, class_=tones.get(line[:1], ""))
        for line in diff.splitlines()
        if line[:3] not in ("+++", "---")
    ]
    return tag("pre", join(lines, "\n"))


def curves(runs: Sequence[Run], series: Sequence[Series]) -> list[Markup]:
    """A small plot for each metric that has steps, one line a run."""
    order = [r.id for r in runs]
    names = {r.id: r.name for r in runs}
    plots = []
    for metric in dict.fromkeys(s.metric for s in series):
        lines = [s for s in series if s.metric == metric and len(s.steps) > 1]
        if lines:
            colours = [COLOURS[order.index(s.run) % len(COLOURS)] if s.run in order else COLOURS[-1] for s in lines]
            legend = join(
                (join([tag("span", "●", style=f"color:{c}"), " ", short(names.get(s.run, s.run[:8]), 28)])
                 for s, c in zip(lines, colours, strict=True)), "  ",
            )  # fmt: skip
            plots.append(
                tag("div", tag("div", tag("b", metric), "  ", legend), plot(lines, colours), style="margin:8px 0")
            )
    return plots


def plot(
    lines: Sequence[Series], colours: Sequence[str], *, width: int = 460, height: int = 120, dots: int = 0
) -> Markup:
    """Line plots in one frame, with the ends of both axes written out; the first `dots` of them as dots."""
    points = [(s, v) for line in lines for s, v in zip(line.steps, line.values, strict=True) if isfinite(v)]
    if not points:
        return note("no finite values")
    left, right = min(s for s, _ in points), max(s for s, _ in points)
    low, high = min(v for _, v in points), max(v for _, v in points)
    margin, foot = 64, 18

    def place(step: float, value: float) -> tuple[str, str]:
        x = margin + (step - left) / ((right - left) or 1) * (width - margin - 8)
        y = 6 + (high - value) / ((high - low) or 1) * (height - foot - 12)
        return f"{x:.1f}", f"{y:.1f}"

    drawn = []
    for i, (line, colour) in enumerate(zip(lines, colours, strict=True)):
        placed = [place(s, v) for s, v in zip(line.steps, line.values, strict=True) if isfinite(v)]
        if i < dots:
            drawn += [tag("circle", cx=x, cy=y, r=3, fill=colour) for x, y in placed]
            continue
        drawn.append(
            tag("polyline", points=" ".join(map(",".join, placed)), fill="none", stroke=colour, stroke_width="1.6")
        )
    base = height - foot
    frame = tag("path", d=f"M{margin},4V{base}H{width - 6}", fill="none", stroke="currentColor", stroke_opacity=".35")

    def label(text: str, x: float, y: float, anchor: str) -> Markup:
        return tag(
            "text", text, x=x, y=y, text_anchor=anchor, font_size="10.5", fill="currentColor", fill_opacity=".75"
        )

    labels = [
        label(f"{high:.4g}", margin - 5, 12, "end"),
        label(f"{low:.4g}", margin - 5, base, "end") if high > low else "",
        label(f"step {left}", margin, height - 4, "start"),
        label(f"{right}", width - 6, height - 4, "end"),
    ]
    return tag("svg", frame, *drawn, *labels, width=width, height=height, viewBox=f"0 0 {width} {height}", role="img")


def _values(title: str, values: dict[str, object], *, folded: bool = False) -> Markup:
    if not values:
        return Markup("")
    table = grid([title, "value"], values.items())
    return more(f"{len(values)} {title}s", table) if folded else table
