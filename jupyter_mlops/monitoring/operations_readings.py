"""What the windows of a monitored deployment say to its rules: those that are newly over, and those whose labels came late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..domain.length import parse_length
from ..store.host import Host
from .alerts import KEPT_WINDOWS, State
from .operations_exposition import note_drift, note_performance
from .operations_performance import Source, measured_windows
from .rules import METRICS, Reading, Rule, parse_rule, verdict
from .stretch import Span, span_of, spans

__all__ = ["GRACE_MS", "read_windows"]

GRACE_MS = 2_000  # what was answered in a window is in the log by then
FIRST_WINDOWS = 24  # of the past that a new monitor looks at
HOUR = 3_600_000


def read_windows(host: Host, source: Source, state: State, now: int) -> dict[str, dict[str, list[Any]]]:
    """What each rule's windows say, the newest that are over; what is known of a window is not measured again."""
    every = parse_length(state.monitor.every)
    rules = [parse_rule(text) for text in state.monitor.rules]
    first = source.first_ms()
    if first is None or not rules:
        return {}
    missed = (now - state.monitor.looked_ms) // every + 1 if state.monitor.looked_ms else FIRST_WINDOWS
    depth = min(max(rule.needed(every) for rule in rules) + 1 + missed, KEPT_WINDOWS)
    over = [s for s in spans(every, first, now, most=depth + 1) if _is_over(s, now)][-depth:]
    late = _newly_labelled(source, state, every, now) if any(map(_realised, rules)) else []
    found: dict[str, dict[str, list[Any]]] = {rule.text: {} for rule in rules}
    for span in sorted({*over, *late}, key=lambda s: s.end):
        end = str(span.end)
        wanted = []
        for rule in rules:
            known = state.readings.get(rule.text, {}).get(end)
            again = _realised(rule) and span in late
            if known is not None and known[2] is not None and not again:
                found[rule.text][end] = known
            elif again or span in over:
                wanted.append(rule)
        for rule, reading in _measure(host, source, span, wanted).items():
            found[rule.text][end] = [reading.value, reading.told, reading.holds]
    return found


def _newly_labelled(source: Source, state: State, every: int, now: int) -> list[Span]:
    """The windows, however old, whose labels came or changed since the last look; at most the newest that are kept."""
    times = source.labels.answered_of(state.labels_until_ms)
    first = span_of(every, 0).start
    starts = (np.unique((times - first) // every) * every + first).tolist()
    return [s for s in (Span(start, start + every) for start in starts) if _is_over(s, now)][-KEPT_WINDOWS:]


def _is_over(span: Span, now: int) -> bool:
    return span.end <= now - min(GRACE_MS, (span.end - span.start) // 2)


def _realised(rule: Rule) -> bool:
    """Whether a rule is about performance as labels show it."""
    return rule.subject in METRICS and not rule.estimated


def _measure(host: Host, source: Source, span: Span, rules: list[Rule]) -> dict[Rule, Reading]:
    """What one window says to each rule."""
    found: dict[Rule, Reading] = {}
    by_performance = [rule for rule in rules if rule.needs == "performance"]
    if by_performance:
        windows, _, _ = measured_windows(host, source, [span], intervals=False)
        measured = windows[0] if windows else None
        if measured is not None:
            note_performance(host, source.deployment, measured)
        found |= {rule: verdict(rule, performance=measured) for rule in by_performance}
    by_drift = [rule for rule in rules if rule.needs == "drift"]
    if by_drift:
        report, profile = _drift(host, source, span, [r.subject for r in by_drift])
        if report is not None:
            note_drift(host, source.deployment, report, span.end)
        found |= {rule: verdict(rule, report=report, profile=profile) for rule in by_drift}
    return found


def _drift(host: Host, source: Source, span: Span, subjects: list[str]) -> tuple[Any, Any]:
    """A window's drift from the training data, and its profile; None and None where there is nothing to compare."""
    from .compare import chosen_detectors
    from .detectors import DETECTORS
    from .operations_windows import hours_of, training_of
    from .served import compare_profiles, profile_served
    from .thresholds import Thresholds

    where = {
        "folder": str(source.folder),
        "deployment": source.deployment,
        "model": source.model,
        "files": source.files,
    }
    reference = training_of(host, where, source.model)
    if reference is None:
        return None, None
    if (span.end - span.start) % HOUR == 0:
        hours = hours_of(host, where)
        hours.update(source.folder)
        profile = hours.profile(source.model, span)
    else:
        window = source.window(span, [source.model])
        profile = profile_served(reference, window)[0] if len(window) else None
    if profile is None:
        return None, None
    standard = [d.name for d in chosen_detectors()]
    names = dict.fromkeys([*standard, *(s for s in subjects if s in DETECTORS)])
    called = (f"training data of {source.model}", source.deployment)
    found = compare_profiles(reference, profile, called, Thresholds(), detectors=list(names))
    return replace(found, deployment=source.deployment, model=source.model), profile
