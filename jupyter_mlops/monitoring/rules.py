"""Rules: what to be told of, in plain words: ``psi(age) > 0.2 for 2 windows``, ``auc < 0.8``, ``p99 > 50ms``, ``drift``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from ..domain.length import UNITS
from ..errors import InvalidArgument

if TYPE_CHECKING:
    from ..datasets.profile import Profile
    from ..domain.drift_report import DriftReport
    from ..domain.performance import PerformanceWindow

__all__ = ["EXAMPLES", "Reading", "Rule", "parse_rule", "verdict"]

EXAMPLES = "psi(age) > 0.2 for 2 windows, auc < 0.8, estimated(accuracy) < 0.9, p99 > 50ms, missing(income) > 5%, drift"
METRICS = (
    *("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier", "ece"),
    *("precision_macro", "recall_macro", "f1_macro", "roc_auc_ovr", "mae", "rmse", "r2", "adjusted_r2"),
)
ALIASES = {"auc": "roc_auc", "mse": "rmse", "error rate": "error_rate", "latency": "p99", "labels": "labelled"}
RESPONSES = ("p50", "p95", "p99", "throughput", "error_rate", "requests", "rows", "labelled")
COUNTS = ("drifted", "missing")
FEWEST_LABELLED = 30
RULE = re.compile(
    r"\s*(?P<subject>[A-Za-z_][\w]*(?: rate)?)\s*(?:\(\s*(?P<inside>[^()]*?)\s*\))?\s*"
    r"(?:(?P<operator><=|>=|<|>|=+|!=)\s*(?P<number>[^\s%]+?)\s*(?P<unit>%|ms|s)?)?\s*"
    r"(?:for\s+(?P<length>\d+(?:\.\d+)?)\s*(?P<what>windows?|s|min|m|h|d|w)\s*)?"
)


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    text
        As it was written, with single spaces.
    subject
        A detector, a metric, ``missing``, ``drift``, ``drifted``, or what is told of responses.
    column
        The column it is about, empty for none.
    number
        In the subject's own unit: shares from 0 to 1, latencies in milliseconds.
    windows, length_ms
        For how many windows, or how long, it must hold.
    estimated
        Whether the metric is the estimated one.
    """

    text: str
    subject: str
    column: str = ""
    operator: str = ">"
    number: float = 0.0
    windows: int = 1
    length_ms: int = 0
    estimated: bool = False

    def needed(self, every_ms: int) -> int:
        """In how many windows of a length it must hold, one after another."""
        return max(self.windows, ceil(self.length_ms / every_ms) if self.length_ms else 1)

    @property
    def needs(self) -> str:
        """What it is read off: ``performance`` or ``drift``."""
        return "performance" if self.subject in (*METRICS, *RESPONSES) else "drift"

    def holds(self, value: float) -> bool:
        """Whether a value is past the threshold."""
        return {
            ">": value > self.number,
            ">=": value >= self.number,
            "<": value < self.number,
            "<=": value <= self.number,
        }[self.operator]


@dataclass(frozen=True)
class Reading:
    """What one window gave for a rule: a value or why there is none, and both in words."""

    value: float | None
    told: str
    holds: bool | None = None


def parse_rule(text: str) -> Rule:
    """Read a rule.

    Raises
    ------
    InvalidArgument
        It is none; the message says which part, and what there is.

    Examples
    --------
    >>> rule = parse_rule("psi(age) > 0.2 for 2 windows")
    >>> rule.subject, rule.column, rule.operator, rule.number, rule.windows
    ('psi', 'age', '>', 0.2, 2)
    >>> parse_rule("p99 > 0.05s").number, parse_rule("missing(income) > 5%").number
    (50.0, 0.05)
    >>> parse_rule("estimated(auc) < 0.8 for 6h").needed(3_600_000)
    6
    """
    from .detectors import DETECTORS

    detectors = tuple(DETECTORS)
    plain = " ".join(text.split())
    found = RULE.fullmatch(plain)
    if not found:
        raise InvalidArgument(f"{plain!r} is no rule.", hint=f"Write one such as {EXAMPLES}.")
    subject, inside = found["subject"].lower(), found["inside"] or ""
    estimated = subject in ("estimated", "estimate")
    if estimated:
        subject, inside = inside.lower(), ""
    subject = ALIASES.get(subject, subject)
    known = (*detectors, *METRICS, *RESPONSES, "drift", *COUNTS, "estimated")
    if subject not in known:
        raise InvalidArgument.unknown(f"subject of the rule {plain!r}", subject, known)
    if estimated and subject not in METRICS:
        raise InvalidArgument(f"{plain!r}: only metrics are estimated.", hint=f"One of {', '.join(METRICS)}.")
    if (subject in detectors or subject == "missing") and not inside:
        raise InvalidArgument(f"{plain!r}: of which column?", hint=f"Write {subject}(COLUMN) > NUMBER.")
    if inside and subject in (*METRICS, *RESPONSES, "drifted"):
        raise InvalidArgument(
            f"{plain!r}: {subject} is of the whole window, not of {inside!r}.", hint=f"Write {subject} alone."
        )
    length, what = found["length"], found["what"] or ""
    windows = int(float(length)) if length and what.startswith("window") else 1
    length_ms = int(float(length) * UNITS[what]) if length and not what.startswith("window") else 0
    if windows < 1:
        raise InvalidArgument(f"{plain!r}: a rule holds for at least one window.")
    if subject == "drift":
        if found["operator"]:
            raise InvalidArgument(
                f"{plain!r}: drift is there or not.", hint="Write `drift`, `drift(COLUMN)` or `drifted > 3`."
            )
        return Rule(plain, "drift", inside, ">", 0.0, windows, length_ms)
    if found["operator"] not in ("<", "<=", ">", ">="):
        told = f"compares with {found['operator']!r}" if found["operator"] else "compares with nothing"
        raise InvalidArgument(f"{plain!r} {told}.", hint=f"Write {subject} > NUMBER or < NUMBER.")
    return Rule(
        plain, subject, inside, found["operator"], _number(plain, subject, found["number"], found["unit"] or ""),
        windows, length_ms, estimated,
    )  # fmt: skip


def _number(text: str, subject: str, number: str, unit: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise InvalidArgument(f"{text!r}: {number!r} is no number.", hint=f"Write one such as {EXAMPLES}.") from None
    timed = subject in ("p50", "p95", "p99")
    if value != value or abs(value) == float("inf"):  # noqa: PLR0124 NaN
        raise InvalidArgument(f"{text!r}: {number!r} is no number.", hint=f"Write one such as {EXAMPLES}.")
    if unit in ("ms", "s") and not timed:
        raise InvalidArgument(f"{text!r}: {subject} is no time.", hint=f"Write {subject} > NUMBER.")
    if unit == "%" and (timed or subject in ("throughput", "requests", "rows", "labelled")):
        raise InvalidArgument(f"{text!r}: {subject} is no share.", hint=f"Write {subject} > NUMBER.")
    return value * 1000 if unit == "s" else value / 100 if unit == "%" else value


def verdict(
    rule: Rule,
    *,
    performance: PerformanceWindow | None = None,
    report: DriftReport | None = None,
    profile: Profile | None = None,
) -> Reading:
    """What one window says about a rule; not judged, with the reason, where it cannot be."""
    if rule.needs == "performance":
        return _of_performance(rule, performance)
    if report is None:
        return Reading(None, "no rows in the window, or no profile of the training data")
    return _of_drift(rule, report, profile)


def _of_performance(rule: Rule, window: PerformanceWindow | None) -> Reading:
    if window is None or not window.rows:
        if rule.subject in ("rows", "requests"):
            return _read(rule, 0.0, "0")
        return Reading(None, "no rows in the window")
    if rule.subject in METRICS:
        if not rule.estimated and window.labelled < FEWEST_LABELLED:
            return Reading(None, f"{window.labelled} labels in the window, fewer than {FEWEST_LABELLED}")
        metric = window.metric(rule.subject, estimated=rule.estimated)
        if metric is None or metric.value is None:
            return Reading(None, f"no {'estimated ' if rule.estimated else ''}{rule.subject} in the window")
        of = f"{window.rows:,} rows" if rule.estimated else f"{window.labelled:,} labels"
        return _read(rule, metric.value, f"{metric} of {of}")
    if rule.subject in ("rows", "labelled"):
        number = window.rows if rule.subject == "rows" else window.labelled
        return _read(rule, float(number), f"{number:,}")
    responses = window.responses
    values = {
        "p50": responses.p50_ms if responses else None,
        "p95": responses.p95_ms if responses else None,
        "p99": responses.p99_ms if responses else None,
        "throughput": responses.per_second if responses else None,
        "error_rate": responses.error_rate if responses else None,
        "requests": float(responses.requests) if responses else None,
    }
    value = values[rule.subject]
    if value is None:
        return Reading(None, f"{rule.subject} is not known of the window")
    shown = f"{value:.2%}" if rule.subject == "error_rate" else f"{value:.3g}{' ms' if rule.subject[0] == 'p' else ''}"
    return _read(rule, value, shown)


def _of_drift(rule: Rule, report: DriftReport, profile: Profile | None) -> Reading:
    if rule.subject == "drifted":
        count = float(len(report.drifted))
        if rule.number < 1 and rule.number:  # a share
            count /= max(len(report.columns), 1)
        return _read(rule, count, f"{len(report.drifted)} of {len(report.columns)} columns")
    if rule.subject == "drift" and not rule.column:
        named = ", ".join(report.drifted[:4])
        return Reading(float(len(report.drifted)), f"drifted: {named}" if named else "no drift", bool(report.drifted))
    column = next((c for c in report.columns if c.name == rule.column), None)
    if column is None:
        known = ", ".join(c.name for c in report.columns[:8])
        return Reading(None, f"there is no column {rule.column!r} in the window; there are {known}")
    if rule.subject == "missing":
        held = profile[rule.column] if profile is not None and rule.column in profile.names else None
        if held is None or not held.rows:
            return Reading(None, "no rows in the window")
        share = held.missing / held.rows
        return _read(rule, share, f"{share:.2%} missing")
    if rule.subject == "drift":
        if column.drifted is None:
            return Reading(None, f"{rule.column} could not be judged")
        return Reading(float(column.drifted), "drifted" if column.drifted else "no drift", column.drifted)
    score = next((s for s in column.scores if s.detector == rule.subject), None)
    if score is None:
        return Reading(None, f"{rule.subject} does not apply to {rule.column}, or it could not be measured")
    return _read(rule, score.value, f"{score.value:.4g}")


def _read(rule: Rule, value: float, told: str) -> Reading:
    return Reading(value, told, rule.holds(value))
