"""What the service does for windows of a log: keeps hourly profiles, compares windows, and follows drift over time."""

from __future__ import annotations

import re
from dataclasses import replace
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.context import now_ms
from ..domain.drift_history import DriftHistory, window_of
from ..domain.drift_report import DriftReport
from ..domain.length import parse_length
from ..errors import InvalidArgument, NotFound, NotReady
from ..registry.operations import locate
from ..store.host import Host
from .stretch import Span, parse_window, spans

if TYPE_CHECKING:
    from ..datasets.profile import Profile
    from ..serving.inference_log import Window
    from .hours import Hours
    from .thresholds import Thresholds

__all__ = ["MOST_WINDOWS", "compare_windows", "history"]

MOST_WINDOWS = 120
MINUTE = 60_000
ALL = Span(0, 1 << 53)


def compare_windows(
    host: Host, where: dict[str, Any], *, window: str, against: str, thresholds: Thresholds, detectors: list[str]
) -> DriftReport:
    """One window of a deployment's log against its training data, the window before, or what another version was asked."""
    from .served import compare_profiles

    deployment, model = where["deployment"], where["model"]
    span, before = parse_window(window or "24h", now_ms()) if window or against == "previous" else (ALL, ALL)
    hours, log = hours_of(host, where), Path(where["folder"])
    host.progress(f"took in {hours.update(log):,} new rows of {deployment}")
    current = _profile(hours, log, model, span, deployment)
    if against == "training":
        reference, named = training_of(host, where, model), f"training data of {model}"
    elif against == "previous":
        reference, named = _profile(hours, log, model, before, deployment), f"the window before, of {deployment}"
    else:
        other = _version(model, against, hours.models)
        reference, named = _profile(hours, log, other, span, deployment), f"what {other} was asked under {deployment}"
    if reference is None:
        raise NotReady(
            f"{model} was registered without a profile of its training data, so there is nothing to compare with.",
            hint="Register it again with its table, or compare with `--against previous`.",
        )
    told = f"the last {window} of {deployment}" if window else f"everything that {model} was asked under {deployment}"
    report = compare_profiles(reference, current, (named, told), thresholds, detectors=detectors)
    return replace(report, deployment=deployment, model=model)


def history(
    host: Host, where: dict[str, Any], *, every: str, against: str, thresholds: Thresholds, detectors: list[str]
) -> DriftHistory:
    """Every window of a deployment's log against its training data or the window before, kept as metrics of its monitor."""
    from .served import compare_profiles

    length = parse_length(every)
    if length % MINUTE:
        raise InvalidArgument(f"--every takes whole minutes, not {every!r}.", hint="Write 5min, 1h, 1d or 1w.")
    if against not in ("training", "previous"):
        raise InvalidArgument.unknown("--against", against, ("training", "previous"))
    deployment, model = where["deployment"], where["model"]
    hours = hours_of(host, where, length)
    hours.update(Path(where["folder"]))
    first, now = hours.first_ms(model), now_ms()
    if first is None:
        raise NotReady(
            f"{deployment} has logged no predictions of {model}.", hint=f"Ask it: `%mlops predict {deployment} TABLE`."
        )
    reference = training_of(host, where, model) if against == "training" else None
    if against == "training" and reference is None:
        raise NotReady(f"{model} has no profile of its training data.", hint="Use `--against previous`.")
    reports: list[tuple[Span, DriftReport]] = []
    every_span = spans(length, first, now, most=MOST_WINDOWS)
    for i, span in enumerate(every_span):
        host.progress(f"window {i + 1} of {len(every_span)}")
        current = hours.profile(model, span)
        if current is None:
            continue
        if reference is not None:
            called = (f"training data of {model}", f"{deployment} from {span.start}")
            reports.append((span, compare_profiles(reference, current, called, thresholds, detectors=detectors)))
        if against == "previous":
            reference = current
    columns = tuple(dict.fromkeys(column.name for _, report in reports for column in report.columns))
    over = [(span.end, report) for span, report in reports if span.end <= now]
    if over:
        host.store.reports.record_series(deployment, model, f"every_{every}_{against}", over)
    return DriftHistory(
        deployment,
        model,
        f"training data of {model}" if against == "training" else "the window before",
        every,
        columns,
        tuple(window_of(report, columns, span.start, span.end) for span, report in reports),
        reports[-1][1].convention if reports else "",
    )


def hours_of(host: Host, where: dict[str, Any], every: int = 0) -> Hours:
    """The hourly profiles of a deployment; for windows that are no whole hours, those of shorter stretches."""
    from .hours import HOUR, Hours
    from .served import profile_served

    def profile(model: str, window: Window) -> Profile:
        return profile_served(training_of(host, where, model), window)[0]

    folder = host.workspace.home / "monitoring" / where["deployment"]
    length = gcd(every, HOUR) if every else HOUR
    if length == HOUR:
        return Hours(folder, profile)
    keep_ms = (MOST_WINDOWS + 1) * every
    return Hours(folder / f"every_{every}", profile, length=length, keep_ms=keep_ms)


def training_of(host: Host, where: dict[str, Any], model: str) -> Profile | None:
    """The profile of a model version's training data, read once a service; None for one that has none."""
    from .served import read_reference

    kept = host.shared.setdefault("monitoring", {}).setdefault("references", {})
    if model not in kept:
        try:
            files = Path(where["files"]) if where["files"] and where["model"] == model else locate(host, model)[1]
            kept[model] = read_reference(files, model)
        except (NotReady, NotFound):
            return None
    found: Profile = kept[model]
    return found


def _profile(hours: Hours, log: Path, model: str, span: Span, deployment: str) -> Profile:
    found = hours.between(log, model, span)
    if found is None:
        raise NotReady(
            f"{deployment} has logged no predictions of {model} in that window.",
            hint=f"It answered with: {', '.join(hours.models) or 'nothing yet'}. Take a longer window.",
        )
    return found


def _version(model: str, against: str, known: list[str]) -> str:
    """``v3`` or ``3`` or ``clf@3`` as a version of the model that is served."""
    name = model.partition("@")[0]
    number = re.fullmatch(rf"(?:{re.escape(name)}@)?v?(\d+)", against)
    if not number:
        raise InvalidArgument(f"--against takes training, previous or a version such as v3, not {against!r}.")
    wanted = f"{name}@{number[1]}"
    if wanted not in known:
        raise NotFound.among("version in the log", wanted, known)
    return wanted
