"""Evaluations: the view one reads in five seconds, and the detail below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..domain.candidate import Candidate
from ..domain.compression import Compression
from ..domain.display import brief
from ..domain.evaluation import Difference, Evaluation, EvaluationTable
from ..domain.evaluation_parts import (
    Calibration,
    CrossValidation,
    Dependence,
    Explanation,
    Fairness,
    GroupRates,
    MetricValue,
    Robustness,
    Slices,
)
from ..domain.model_comparison import ModelComparison
from .evaluation_figure import GREY, LABELS, ORANGE, Series, confusion, intervals, plane
from .markup import Markup, Number, code, facts, grid, more, note, page, pill, short, tag, when

__all__ = ["candidate", "comparison", "compression", "difference", "evaluation", "evaluation_table"]

LAYOUT = (
    ".mlops-worth{display:flex;flex-wrap:wrap;gap:6px 22px;margin:6px 0}.mlops-worth b{font-size:18px}"
    ".mlops-figures{display:flex;flex-wrap:wrap;gap:10px 18px;margin:6px 0}.mlops-figures figure{margin:0}"
    ".mlops-figures figcaption{font-size:11px;opacity:.7}"
)
DRAWN_CLASSES = 8
SHOWN = 12
LONG = 380  # pixels of labels that name two conditions
DIAGONAL = Series((0, 1), (0, 1), colour=GREY, dashed=True)
UNIT = (0.0, 1.0)
UNBOUNDED = ("log_loss", "mae", "rmse")


def evaluation(e: Evaluation) -> Markup:
    """The few numbers read first, what was found besides, the figures, and every metric to unfold."""
    about = [f"{e.rows:,} rows of ", code(e.data) if e.data else "a table", f", {e.task}"]
    if e.positive:
        about += [", positive is ", code(e.positive)]
    if e.created_ms:
        about += [" · ", when(e.created_ms)]
    if e.id:
        about += [" · evaluation ", code(e.id)]
    return page(
        tag("style", Markup(LAYOUT)),
        tag("div", e.model, class_="mlops-title"),
        tag("div", *about, class_="mlops-dim"),
        tag("div", *(_card(m) for m in e.headline), class_="mlops-worth"),
        *(tag("div", _verdict(line)) for line in e.verdicts),
        _figures(e),
        _slices(e.slices) if e.slices else None,
        *(_fairness(f) for f in e.fairness),
        _explanation(e.explanation) if e.explanation else None,
        _robustness(e.robustness) if e.robustness else None,
        more("every metric", _metrics(e.metrics)),
        more("what the numbers mean", *(tag("div", line) for line in _conventions(e))),
        *(note(line) for line in e.notes),
    )


def evaluation_table(table: EvaluationTable) -> Markup:
    """One row an evaluation."""
    if not table.evaluations:
        return page("No evaluations yet. Make one with ", code("%mlops evaluate MODEL --data TABLE"), ".")
    rows = [
        [
            code(e.id),
            tag("b", e.model),
            code(e.data) if e.data else "–",
            Number(float(e.rows), ",.0f"),
            ", ".join(f"{m.name} {m}" for m in e.headline[:3]),
            when(e.created_ms),
        ]
        for e in table.evaluations
    ]
    return page(grid(["evaluation", "model", "data", "rows", "worth", "made"], rows))


def difference(d: Difference) -> Markup:
    """One difference, with its interval and what it says."""
    word = "better" if d.better else "no difference beyond chance"
    return page(
        tag("div", d.metric, " ", pill(word, "good" if d.better else ""), class_="mlops-title"),
        facts(
            [
                ("difference", f"{d.value:+.5f}"),
                (f"{d.level:.0%} interval", f"{d.low:+.5f} to {d.high:+.5f}"),
                ("p-value", f"{d.p_value:.3g}"),
                ("by", f"{d.method}, {d.rows:,} rows"),
            ]
        ),
    )


def _card(m: MetricValue) -> Markup:
    value, _, interval = str(m).partition(" ")
    return tag("div", tag("div", m.name.replace("_", " "), class_="mlops-dim"), tag("b", value), " ", interval)


def _verdict(line: str) -> Markup:
    head, _, rest = line.partition(": ")
    return tag("span", tag("b", head), ": ", rest)


def _figures(e: Evaluation) -> Markup | None:
    found: list[tuple[str, Markup]] = []
    for curve in e.curves:
        ranges: dict[str, Any] = {}
        lines = [Series(curve.x, curve.y, curve.kind)]
        if curve.name in ("roc", "precision-recall"):
            ranges = {"x_range": UNIT, "y_range": UNIT}
        if curve.name == "roc":
            lines.insert(0, DIAGONAL)
        if curve.name == "residuals" and curve.x:
            lines.append(Series((min(curve.x), max(curve.x)), (0, 0), colour=ORANGE, dashed=True))
        drawing = plane(curve.name, lines, x_label=curve.x_label, y_label=curve.y_label, **ranges)
        found.append((curve.name, drawing))
    if e.confusion and len(e.classes) <= DRAWN_CLASSES:
        found.append(("confusion matrix", confusion(e.confusion, e.classes)))
    if e.calibration is not None:
        found.append(("reliability", _reliability(e.calibration)))
    if e.threshold is not None and e.threshold.curve is not None:
        curve, at = e.threshold.curve, e.threshold.threshold
        line = [Series(curve.x, curve.y)]
        drawing = plane("cost", line, x_label="threshold", y_label="cost a row", x_range=UNIT, mark=min(at, 1.0))
        found.append((f"cost by threshold, cheapest at {at:.3f}", drawing))
    if e.cross_validation is not None:
        found += _folds(e.cross_validation)
    if not found:
        return None
    figures = (tag("figure", drawing, tag("figcaption", caption)) for caption, drawing in found)
    return tag("div", *figures, class_="mlops-figures")


def _reliability(c: Calibration) -> Markup:
    x, y = tuple(b.predicted for b in c.bins), tuple(b.observed for b in c.bins)
    low, high = tuple(b.observed_low for b in c.bins), tuple(b.observed_high for b in c.bins)
    lines = [DIAGONAL, Series(x, y, low=low, high=high)]
    return plane("reliability", lines, x_label="predicted", y_label="observed", x_range=UNIT, y_range=UNIT)


def _folds(c: CrossValidation) -> Iterable[tuple[str, Markup]]:
    if c.scores:
        rows = [
            (s.name, s.mean, min(s.folds), max(s.folds), f"{brief(s.mean)} ± {brief(s.spread)}", False)
            for s in c.scores
            if s.name != "r2"  # a share beside errors in the target's units; the line above tells it
        ]
        yield f"cross-validation, {c.splitter}: mean, range, ± spread", intervals("cross-validation", rows)
    if c.learning_rows:
        lines = [
            Series(c.learning_rows, c.learning_train, colour=GREY, dashed=True),
            Series(c.learning_rows, c.learning_test),
        ]
        caption = f"learning curve: {c.learning_metric} on the fold, dashed on its training rows"
        yield caption, plane("learning curve", lines, x_label="training rows", y_label=c.learning_metric)


def _slices(s: Slices) -> Markup:
    rows = [
        (x.name, x.value, x.low, x.high, f"{brief(x.value)} · {x.rows:,} rows", x.worse)
        for x in s.slices
        if x.value is not None
    ]
    if not rows:
        return note("no slice to draw")
    title = f"{s.metric} by slice; dashed: all rows; orange: worse than the rest beyond chance"
    table = grid(
        ["slice", "rows", s.metric, "elsewhere", "adjusted p", ""],
        [
            [
                short(x.name, 60),
                Number(float(x.rows), ",.0f"),
                Number(x.value),
                Number(x.rest),
                Number(x.adjusted_p_value, ".2g"),
                pill("worse", "bad") if x.worse else "",
            ]
            for x in s.slices
        ],
    )
    return tag(
        "div",
        note(title),
        intervals("slices", rows, mark=s.overall, labels=LONG if any(len(row[0]) > 30 for row in rows) else LABELS),
        more("slices as a table", table),
    )


def _fairness(f: Fairness) -> Markup:
    what, rate = _worst_rate(f)
    rows = [
        (g.group, r.value, r.low, r.high, f"{brief(r.value)} · {g.rows:,} rows", g.group in f.worst_pair)
        for g in f.groups
        if (r := rate(g)).value is not None
    ]
    traded = [
        (g.group, g.selection_rate.value, g.accuracy.value, g.true_positive_rate.value, g.false_positive_rate.value)
        for g in f.groups
    ]
    groups = grid(
        ["group", "selected", "accuracy", "true positive rate", "false positive rate"],
        [[name, *(Number(v, ".4f") for v in values)] for name, *values in traded],
    )
    return tag(
        "div",
        note(f"{what} by {f.attribute}; orange: the pair furthest apart by {f.worst_criterion}"),
        intervals(f.attribute, rows),
        more(f"fairness by {f.attribute} as tables", _metrics(f.criteria), groups, note(f.convention)),
        note(f"left out, too few rows: {', '.join(f.left_out)}") if f.left_out else None,
    )


def _worst_rate(f: Fairness) -> tuple[str, Callable[[GroupRates], MetricValue]]:
    """The rate that the worst criterion is the gap of, so that the picture shows the gap that the words tell."""
    true: tuple[str, Callable[[GroupRates], MetricValue]] = ("true positive rate", lambda g: g.true_positive_rate)
    false: tuple[str, Callable[[GroupRates], MetricValue]] = ("false positive rate", lambda g: g.false_positive_rate)
    if f.worst_criterion.startswith("predictive_parity"):
        return "precision", lambda g: g.precision
    if f.worst_criterion.startswith("equal_opportunity"):
        return true
    if f.worst_criterion.startswith("equalized_odds"):
        known = [[v for g in f.groups if (v := rate(g).value) is not None] for _, rate in (true, false)]
        gaps = [max(values, default=0.0) - min(values, default=0.0) for values in known]
        return true if gaps[0] >= gaps[1] else false
    return "share predicted positive", lambda g: g.selection_rate


def _explanation(x: Explanation) -> Markup:
    rows = [(i.feature, i.value, i.low, i.high, f"{i.value:.4f}", False) for i in x.shap[:SHOWN]]
    figures = [("mean |SHAP value|", intervals("importance", rows, mark=0.0))]
    for d in x.dependence:
        if d.labels and len(d.labels) == len(d.mean):
            told = f"partial dependence of the {d.output or x.output} on {d.feature}, middle 80% of single rows"
            figures.append((told, _by_category(d)))
            continue
        lines = [Series(d.grid, line, colour="rgba(127,127,127,.3)") for line in d.single_rows]
        drawing = plane(d.feature, [*lines, Series(d.grid, d.mean)], x_label=d.feature, y_label=d.output or x.output)
        figures.append((f"partial dependence on {d.feature}, single rows grey", drawing))
    stable = "" if x.stability is None else f", rank correlation over bootstraps {x.stability:.2f}"
    permuted = grid(
        ["column", f"loss of {x.permutation_metric}", "low", "high"],
        [[i.feature, Number(i.value), Number(i.low), Number(i.high)] for i in x.permutation],
    )
    return tag(
        "div",
        note(f"what drives the {x.output}: SHAP ({x.method}) of {x.rows:,} rows{stable}"),
        tag("div", *(tag("figure", f, tag("figcaption", t)) for t, f in figures), class_="mlops-figures"),
        _one_row(x) if x.one_row else None,
        more("permutation importance", permuted),
    )


def _by_category(d: Dependence) -> Markup:
    """What the model says on average for each category; categories have no order, so no line joins them."""
    rows: list[tuple[str, float, float | None, float | None, str, bool]] = []
    for i, label in enumerate(d.labels[:SHOWN]):
        single = sorted(line[i] for line in d.single_rows)
        ends = (single[len(single) // 10], single[-1 - len(single) // 10]) if single else (d.mean[i], d.mean[i])
        rows.append((label, d.mean[i], *ends, brief(d.mean[i]), False))
    return intervals(d.feature, rows)


def _one_row(x: Explanation) -> Markup:
    one = x.one_row
    if one is None:
        return Markup("")
    shown = zip(one.features[:SHOWN], one.values[:SHOWN], one.contributions[:SHOWN], strict=False)
    rows = [
        (f"{name} = {value}" if value else name, size, min(0.0, size), max(0.0, size), brief(size, "+"), size > 0)
        for name, value, size in shown
    ]
    return tag("div", tag("div", one.words), intervals(f"row {one.row}", rows, mark=0.0))


def _told(words: str) -> Markup:
    """A sentence in a cell, broken into lines: there it would make the table wider than the page."""
    return tag("span", words, style="display:inline-block;white-space:normal;max-width:34em")


def _robustness(r: Robustness) -> Markup:
    tones = {"ok": "good", "warning": "warn", "serious": "bad"}
    sign = 1.0 if r.higher_is_better else -1.0
    ordered = sorted(r.checks, key=lambda c: (c.change is None, sign * (c.change or 0.0)))
    drawn = [
        (c.label, c.change, c.low, c.high, brief(c.change, "+"), c.severity != "ok")
        for c in ordered
        if c.change is not None
    ][:SHOWN]
    table = grid(
        ["check", "column", r.metric, "change", "low", "high", "", "what it is"],
        [
            [
                c.name,
                c.column,
                Number(c.value),
                Number(c.change),
                Number(c.low),
                Number(c.high),
                pill(c.severity, tones[c.severity]),
                _told(c.meaning),
            ]
            for c in ordered
        ],
    )
    return tag(
        "div",
        note(
            f"change of {r.metric} when disturbed, the worst first ({brief(r.base or 0.0)} undisturbed, {r.rows:,} rows)"
        ),
        intervals("robustness", drawn, mark=0.0),
        more("every check", table),
    )


def comparison(c: ModelComparison) -> Markup:
    """Two models: the verdict, the differences drawn and as a table, the slices."""
    table = grid(
        ["metric", "difference", "low", "high", "p", "by"],
        [
            [d.metric, Number(d.value), Number(d.low), Number(d.high), Number(d.p_value, ".2g"), d.method]
            for d in c.differences
        ],
    )
    slices = [
        (
            s.name,
            s.difference.value,
            s.difference.low,
            s.difference.high,
            f"{s.difference.rows:,} rows",
            s.adjusted_p_value <= 1 - s.difference.level,
        )
        for s in c.slices
    ]
    mcnemar = None
    if c.mcnemar_p is not None:
        mcnemar = note(
            f"McNemar: only {c.a} right on {c.only_a or 0:,} rows, only {c.b} on {c.only_b or 0:,}, p {c.mcnemar_p:.2g}; "
            f"they disagree on {c.disagreements:,} rows"
        )
    return page(
        tag("div", c.verdict, class_="mlops-title"),
        note(f"{c.a} minus {c.b} on {c.data}, {c.rows:,} rows; orange: the interval leaves 0 out"),
        *_differences(c.differences),
        mcnemar,
        note(c.five_by_two.words()) if c.five_by_two else None,
        note(c.apart()) if c.disagreement else None,
        note(f"{c.slices[0].difference.metric} by slice; orange: apart beyond chance, corrected over the slices")
        if slices
        else None,
        intervals("slices", slices, mark=0.0) if slices else None,
        more("as a table", table),
        *(note(line) for line in c.conventions),
    )


def _differences(differences: Iterable[Difference]) -> Iterable[Markup]:
    """Differences with their intervals: shares on one axis, and what has no upper end on another, where it dwarfs none."""
    rows = [(d.metric, d.value, d.low, d.high, f"{d.value:+.4f}", d.low > 0 or d.high < 0) for d in differences]
    for part in ([r for r in rows if r[0] not in UNBOUNDED], [r for r in rows if r[0] in UNBOUNDED]):
        if part:
            yield intervals("differences", part, mark=0.0)


def candidate(c: Candidate) -> Markup:
    """A candidate: what the change was about before and after, and what it cost or gained besides."""
    pairs = [[b.name, str(b), str(a)] for b, a in zip(c.before, c.after, strict=False)]
    return page(
        tag("div", c.version or "a candidate", class_="mlops-title"),
        note(f"{c.change} of {c.model}, measured on {c.rows:,} rows left aside"),
        grid(["", "before", "after"], pairs),
        note("after minus before; orange: the interval leaves 0 out"),
        *_differences(c.differences),
        _trade_off(c) if c.trade_off else None,
        *(note(line) for line in c.notes),
    )


def _trade_off(c: Candidate) -> Markup | None:
    """Accuracy against the gap between groups, both shares: to the left and up is better."""
    points = [p for p in c.trade_off if 0 <= p.gap <= 1 and 0 <= p.accuracy <= 1]
    if not points:
        return None
    gaps, worth = [p.gap for p in points], [p.accuracy for p in points]
    line = Series(gaps, worth)
    ends = Series([gaps[0], gaps[-1]], [worth[0], worth[-1]], kind="points", colour=ORANGE)
    title = f"accuracy against {c.gap}, from no mitigation (right) to all of it"
    drawing = plane(title, [line, ends], x_label=c.gap, y_label="accuracy")
    ends_are = f"strength 0 at a gap of {brief(gaps[0])}, 1 at {brief(gaps[-1])}"
    return tag("figure", drawing, tag("figcaption", f"left and up is better; {ends_are}"), style="margin:6px 0")


def compression(c: Compression) -> Markup:
    """Every way to make a model smaller: what it takes, and what it costs in the metric."""
    rows = [
        (w.method, d.value, d.low, d.high, f"{d.value:+.4f}", d.low > 0 or d.high < 0)
        for w in c.ways
        if (d := w.difference) is not None
    ]
    heads, cells = c.lines()
    return page(
        tag("div", f"{c.model} made smaller", class_="mlops-title"),
        note(f"measured on {c.rows:,} rows left aside"),
        grid(heads, cells),
        note(f"{c.metric}, after minus before; orange: the interval leaves 0 out"),
        intervals("differences", rows, mark=0.0) if rows else None,
        *(note(f"{w.method}: {w.change}") for w in c.ways if w.change),
        note(f"edge file {c.edge}: {c.proof}") if c.edge else None,
        *(note(line) for line in c.notes),
    )


def _metrics(metrics: Iterable[MetricValue]) -> Markup:
    rows = [[m.name, Number(m.value), Number(m.low), Number(m.high), m.method, _told(m.convention)] for m in metrics]
    return grid(["metric", "value", "low", "high", "interval by", "what it is"], rows)


def _conventions(e: Evaluation) -> list[str]:
    parts = [e.slices, e.calibration, e.explanation, e.robustness]
    return [*e.conventions, *(part.convention for part in parts if part is not None and part.convention)]
