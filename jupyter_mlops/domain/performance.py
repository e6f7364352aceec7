"""Performance: what a deployment's predictions were worth over time, realised where labels have come and estimated where not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, border, table
from .evaluation_parts import MetricValue, Slices
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AlertMark", "Cause", "Labelled", "Performance", "PerformanceWindow", "Responses", "Why"]


@dataclass(frozen=True)
class Labelled(Displayed, Record):
    """What became of a table of labels.

    Parameters
    ----------
    rows
        How many rows the table had.
    new
        Predictions that have a label now and had none before.
    repeated
        Predictions that had this very label already.
    replaced
        Predictions whose label was another one, and was replaced because that was asked for.
    conflicting
        Predictions that have another label already, or two in this table; their label was left as it was.
    duplicate
        Rows that say the same as an earlier row of the table.
    unknown
        Rows that belong to no prediction in the log.
    strangers
        By what a few of those name it: to see whether they are late, mistyped, or of another deployment.
    missing
        Rows without an id or without a label.
    labelled, predictions
        How many predictions of the log have a label now, of how many.
    delay_ms
        The median time from prediction to label, of the new ones; None without any.
    """

    deployment: str
    rows: int
    new: int = 0
    repeated: int = 0
    replaced: int = 0
    conflicting: int = 0
    duplicate: int = 0
    unknown: int = 0
    missing: int = 0
    labelled: int = 0
    predictions: int = 0
    delay_ms: float | None = None
    on: str = "id"
    strangers: tuple[str, ...] = ()

    def text(self) -> str:
        told = [f"{self.new:,} new labels"]
        named = f" ({', '.join(self.strangers)}{', ...' if self.unknown > len(self.strangers) else ''})"
        words = {
            "repeated": "known already",
            "replaced": "replaced",
            "conflicting": "in conflict with another label, left out (--replace takes them)",
            "duplicate": "duplicate rows",
            "unknown": f"rows without a prediction of that {self.on} in the log{named if self.strangers else ''}",
            "missing": "rows without an id or a label",
        }
        told += [f"{getattr(self, name):,} {word}" for name, word in words.items() if getattr(self, name)]
        share = self.labelled / self.predictions if self.predictions else 0.0
        return (
            f"{self.deployment}: {', '.join(told)}\n"
            f"{self.labelled:,} of {self.predictions:,} predictions ({share:.1%}) have a label now"
        )


@dataclass(frozen=True)
class Responses(Record):
    """How requests were answered.

    Parameters
    ----------
    p50_ms, p95_ms, p99_ms
        Latencies of whole requests from body to answer, in milliseconds, interpolated between neighbours.
    per_second
        Answered requests a second, over the time from the first to the last of the window.
    error_rate
        The share of requests the server failed on (status 500 and above), from its counters; None where not counted.
    """

    requests: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    per_second: float | None = None
    error_rate: float | None = None


@dataclass(frozen=True)
class PerformanceWindow(Record):
    """One window: its times in milliseconds since 1970, its rows, how many have labels, and what they were worth.

    Parameters
    ----------
    realised
        Metrics of the labelled rows.
    estimated
        Metrics of all rows, made without any label of theirs.
    models
        The versions that answered.
    """

    start_ms: int
    end_ms: int
    rows: int
    labelled: int
    realised: tuple[MetricValue, ...] = ()
    estimated: tuple[MetricValue, ...] = ()
    responses: Responses | None = None
    models: tuple[str, ...] = ()

    def metric(self, name: str, *, estimated: bool = False) -> MetricValue | None:
        """One metric by its name, None where there is none."""
        return next((m for m in (self.estimated if estimated else self.realised) if m.name == name), None)


@dataclass(frozen=True)
class AlertMark(Record):
    """When an alert was open, for the drawing."""

    rule: str
    start_ms: int
    end_ms: int | None = None


@dataclass(frozen=True)
class Cause(Record):
    """One column's part in a change of the mean loss.

    Parameters
    ----------
    mix
        What the shift of the column's values alone would have changed the loss by.
    within
        What the change of the loss at unchanged values adds, over the column's parts.
    drift, detector
        The column's drift score that stands farthest past its threshold.
    shap
        How far the mean absolute SHAP value moved, in units of the model's output; None where it was not computed.
    worst, worst_change
        The part of the column that adds most to the change, in words, and what it adds.
    """

    column: str
    mix: float
    within: float
    drift: float | None = None
    detector: str = ""
    drifted: bool | None = None
    shap: float | None = None
    worst: str = ""
    worst_change: float = 0.0


@dataclass(frozen=True)
class Why(Record):
    """Which columns and slices explain a change of the mean loss from one stretch to another, ranked."""

    loss: str
    before: float
    after: float
    rows_before: int
    rows_after: int
    causes: tuple[Cause, ...]
    slices: tuple[tuple[str, ...], ...] = ()
    convention: str = ""
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The ranking as text."""
        change = self.after - self.before
        head = (
            f"{self.loss} went from {self.before:.4g} ({self.rows_before:,} rows) to {self.after:.4g} "
            f"({self.rows_after:,} rows): {change:+.4g}"
        )
        told = any(c.shap is not None for c in self.causes)  # only where it was asked for
        rows = [
            [
                c.column,
                f"{c.mix:+.4f}",
                "-" if c.drift is None else f"{c.detector} {c.drift:.3g}{'*' if c.drifted else ''}",
                *(("-" if c.shap is None else f"{c.shap:+.4f}",) if told else ()),
                f"{c.worst} ({c.worst_change:+.4f})" if c.worst else "-",
            ]
            for c in self.causes[:10]
        ]
        shap = ["SHAP moved"] if told else []
        return [head, table(["column", "by its shift", "drift (* = alarm)", *shap, "worst slice"], rows)]


@dataclass(frozen=True)
class Performance(Displayed, Record):
    """The performance of a deployment, window by window.

    Parameters
    ----------
    headline
        The metric that is drawn first.
    every
        The length of the windows, empty for one window.
    slices
        The realised headline metric by column, over all windows.
    estimation_error
        The mean absolute distance of estimate and realised metric, by metric, over windows that have both.
    conventions, notes
        What the numbers mean, the assumptions of estimates, and what could not be done.
    """

    deployment: str
    task: str
    headline: str
    every: str
    windows: tuple[PerformanceWindow, ...]
    slices: Slices | None = None
    estimation_error: dict[str, float] | None = None
    alerts: tuple[AlertMark, ...] = ()
    conventions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    why: Why | None = None

    def __iter__(self) -> Iterator[PerformanceWindow]:
        return iter(self.windows)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def verdict(self) -> str:
        """One line: the newest realised and estimated headline metric, and the best window before."""
        parts = []
        for estimated in (False, True):
            known = [(w, m) for w in self.windows if (m := w.metric(self.headline, estimated=estimated)) and m.value]
            if not known:
                continue
            window, newest = known[-1]
            word = "estimated" if estimated else "realised"
            parts.append(f"{word} {self.headline} {newest} in the window to {border(window.end_ms)}")
            first = known[0][1]
            if len(known) > 1 and newest.value is not None and first.value is not None:
                parts[-1] += f" ({newest.value - first.value:+.3f} since the first)"
        return "; ".join(parts) or "no metric yet: no labels and nothing to estimate from"

    def to_pandas(self) -> pd.DataFrame:
        """One row a window and metric."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "start": pd.Timestamp(w.start_ms, unit="ms", tz="UTC"),
                    "end": pd.Timestamp(w.end_ms, unit="ms", tz="UTC"),
                    "rows": w.rows,
                    "labelled": w.labelled,
                    "kind": kind,
                    "metric": m.name,
                    "value": m.value,
                    "low": m.low,
                    "high": m.high,
                }
                for w in self.windows
                for kind, found in (("realised", w.realised), ("estimated", w.estimated))
                for m in found
            ]
        )

    def text(self) -> str:
        lines = [f"{self.deployment}: {self.verdict}"]
        shown = self.windows[-20:]
        if len(self.windows) == 1:
            window = shown[0]
            lines.append(f"{window.rows:,} rows, {window.labelled:,} with a label, {', '.join(window.models)}")
            names = dict.fromkeys(m.name for m in (*window.realised, *window.estimated))
            rows = [[n, str(window.metric(n) or "-"), str(window.metric(n, estimated=True) or "-")] for n in names]
            lines.append(table(["metric", "realised", "estimated"], rows))
        else:
            rows = [
                [
                    border(w.start_ms),
                    f"{w.rows:,}",
                    f"{w.labelled:,}",
                    str(w.metric(self.headline) or "-"),
                    str(w.metric(self.headline, estimated=True) or "-"),
                    _ms(w.responses),
                ]
                for w in shown
            ]
            heads = ["from", "rows", "labels", f"{self.headline}", "estimated", "p50/p95/p99 ms"]
            lines.append(table(heads, rows))
        if len(self.windows) == 1 and shown[0].responses:
            r = shown[0].responses
            failed = "not counted" if r.error_rate is None else f"{r.error_rate:.2%}"
            lines.append(f"{r.requests:,} requests, p50/p95/p99 {_ms(r)} ms, failed {failed}")
        if self.slices and self.slices.slices:
            rows = [
                [s.name, f"{s.rows:,}", "-" if s.value is None else f"{s.value:.3f}", "worse" if s.worse else ""]
                for s in self.slices.slices[:10]
            ]
            lines.append(table(["slice", "rows", self.slices.metric, ""], rows))
        if self.estimation_error:
            told = ", ".join(f"{name} {value:.3f}" for name, value in self.estimation_error.items())
            lines.append(f"estimates were off by (mean over windows with labels): {told}")
        if self.why:
            lines += self.why.lines()
        return "\n".join([*lines, *self.notes, *self.conventions])


def _ms(responses: Responses | None) -> str:
    if responses is None or responses.p50_ms is None or responses.p95_ms is None or responses.p99_ms is None:
        return "-"
    return f"{responses.p50_ms:.3g}/{responses.p95_ms:.3g}/{responses.p99_ms:.3g}"
