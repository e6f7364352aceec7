"""What the service does for performance: joins labels to a log, measures windows, and keeps what it found as metrics."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..domain.context import now_ms
from ..domain.evaluation import Task
from ..domain.length import parse_length
from ..domain.performance import Labelled, Performance, PerformanceWindow, Why
from ..domain.workspace import Actor
from ..errors import InvalidArgument, NotFound, NotReady
from ..serving.deployment_folder import find
from ..serving.inference_log import Window, read
from ..serving.operations import EXPIRED
from ..serving.operations import names as deployment_names
from ..serving.operations_traffic import watching
from ..store.host import Host
from .estimate import CBPE, DIRECT_LOSS
from .labels import Labels, match, plain, summed
from .operations_places import log_called
from .stretch import Span, parse_window, spans

if TYPE_CHECKING:
    from .performance import Known

__all__ = ["Source", "expire_labels", "label", "measured_windows", "performance", "source_of"]

MOST_WINDOWS = 120
MOST_ROWS = 200_000  # of one window; more rows make no metric clearer
REALISED = (
    "realised: of labelled rows only; intervals at 95 %: Wilson for proportions, DeLong for the area under the ROC curve, "
    "bootstrap otherwise; ECE over 10 bins of equal width."
)


@dataclass(frozen=True)
class Source:
    """Where a deployment's predictions and labels are."""

    deployment: str
    model: str
    folder: Path
    labels: Labels
    files: str = ""

    def window(self, span: Span | None, models: Sequence[str] = ()) -> Window:
        """A stretch of the log."""
        since, until = (span.start, span.end) if span is not None else (None, None)
        return read(self.folder, last=MOST_ROWS, since_ms=since, until_ms=until, models=set(models) or None)

    def first_ms(self) -> int | None:
        """When the oldest part of the log began; its name tells."""
        names = [p.name for p in self.folder.glob("*-*") if p.name[0].isdigit()] if self.folder.is_dir() else []
        return min(int(name.partition("-")[0]) for name in names) // 1_000_000 if names else None


def source_of(host: Host, name: str) -> Source:
    """A deployment's predictions and labels, by its name or by what it serves."""
    where = log_called(host, name)
    folder = Path(where["folder"])
    return Source(
        where["deployment"], where["model"], folder, Labels(folder.parent / "labels"), str(where.get("files") or "")
    )


def label(host: Host, *, name: str, file: str, on: str, target: str, replace: bool = False) -> dict[str, Any]:
    """Take in labels that the caller has put into a Parquet file, and remove the file.

    Raises
    ------
    NotReady
        The deployment has answered nothing.
    """
    import pyarrow.parquet as pq

    source = source_of(host, name)
    staged = Path(file)
    again = next((b for b in source.labels.batches() if b.request == host.request), None)
    if again is not None and not staged.exists():
        done = Labelled(source.deployment, again.rows, new=again.new, replaced=again.rows - again.new, on=on)
        return _counted(done, source).to_dict()
    table = pq.ParquetFile(staged).read().to_pandas()
    window = source.window(None)
    if not len(window):
        raise NotReady(
            f"{source.deployment} has logged no predictions yet.",
            hint=f"Ask it: `%mlops predict {source.deployment} TABLE`.",
        )
    wanted, told = match(window, table, on=on, target=target)
    kept = source.labels.add(host.request, now_ms(), window, wanted, replace_=replace)
    _tell_canaries(host, source, window)
    host.shared.setdefault("monitoring", {})["labels_at"] = now_ms()
    done = _counted(summed(told, kept), source, len(window))
    staged.unlink(missing_ok=True)
    return done.to_dict()


def forget_labels(host: Host, *, name: str) -> dict[str, Any]:
    """Remove the labels of predictions that are in the inference log no more: erased, or past their retention."""
    from ..serving.inference_log import read

    source = source_of(host, name)
    gone = source.labels.forget(
        lambda since, until: {str(i) for i in read(source.folder, since_ms=since, until_ms=until).times.index}
    )
    return {"deployment": source.deployment, "labels": gone}


def expire_labels(host: Host) -> None:
    """Remove the labels of predictions that went by the rules of their log; at first of all logs, then of those that lost some."""
    told = host.shared.setdefault(EXPIRED, set())
    first = not host.shared.setdefault("monitoring", {}).get("labels_looked_at")
    host.shared["monitoring"]["labels_looked_at"] = True
    for name in sorted(set(deployment_names(host)) | told if first else set(told)):
        told.discard(name)
        labels = source_of(host, name).labels
        if not labels.count():
            continue
        gone = int(forget_labels(host, name=name)["labels"])
        if gone:
            actor = Actor(host.settings.user, host.settings.host, "service")
            details = {"labels": gone, "why": "their predictions are past the retention of the inference log"}
            host.audit(f"labels/{name}/{now_ms()}", actor, "deployment.forget_labels", name, details)
            host.changed("deployments")


def _counted(told: Labelled, source: Source, predictions: int | None = None) -> Labelled:
    from ..serving.inference_log import count

    total = count(source.folder) if predictions is None or predictions >= MOST_ROWS else predictions
    return replace(told, deployment=source.deployment, predictions=total, labelled=source.labels.count())


def _tell_canaries(host: Host, source: Source, window: Window) -> None:
    """Let a canary's guard know what both versions lost since it watches; told again it is the same."""
    with contextlib.suppress(NotFound), watching(host, find(host.workspace.home, source.deployment)) as watch:
        if watch is None:
            return
        labels = source.labels.read(watch.since_ms)
        losses: dict[str, list[float]] = {}
        for id_, model, said in zip(window.inputs.index, window.models, window.predictions, strict=True):
            truth = labels.get(str(id_))
            if truth is None or isinstance(said, (list, dict)):
                continue
            loss = watch.loss(said, truth, right=plain(said) == plain(truth))
            if loss is not None:
                losses.setdefault(str(model), []).append(loss)
        watch.set_losses(losses)


def performance(
    host: Host,
    *,
    name: str,
    window: str = "",
    every: str = "",
    by: list[str] | None = None,
    version: str = "",
    why: bool = False,
    shap: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Realised and estimated performance, latency and throughput of a deployment, of one window or window by window."""
    source = source_of(host, name)
    models = [_version(source.model, version)] if version else []
    if every:
        parse_length(every)
    now = now_ms()
    first = source.first_ms()
    if first is None:
        raise NotReady(
            f"{source.deployment} has logged no predictions yet.",
            hint=f"Ask it: `%mlops predict {source.deployment} TABLE`.",
        )
    if every:
        over = spans(parse_length(every), first, now, most=MOST_WINDOWS)
    else:
        over = [parse_window(window, now)[0]] if window else [Span(first, now + 1)]
    found, task, probable = measured_windows(host, source, over, models=models)
    if not found:
        raise NotReady(f"{source.deployment} has answered nothing in that time.", hint="Take a longer window.")
    from .performance import headline_of

    headline = headline_of(task, probabilities=probable)
    if every:
        _keep(host, source, f"performance_every_{every}", found, now)
    whole = Span(over[0].start, over[-1].end)
    slices = _slices(source, whole, by or [], task, models) if by else None
    assumption = [DIRECT_LOSS if task == "regression" else CBPE] if any(w.estimated for w in found) else []
    return Performance(
        source.deployment,
        task,
        headline,
        every,
        tuple(found),
        slices,
        _off(found) or None,
        alerts=_marks(host, source.deployment),
        conventions=(REALISED, *assumption),
        notes=tuple(_notes(found, task, probable)),
        why=_why(host, source, over, task, shap) if why else None,
    ).to_dict()


def measured_windows(
    host: Host, source: Source, over: Sequence[Span], *, models: Sequence[str] = (), intervals: bool = True
) -> tuple[list[PerformanceWindow], Task, bool]:
    """The windows that have rows, what kind of target it is, and whether there are probabilities."""
    from .operations_traffic_samples import error_rate
    from .performance import known_rows, measure_window, task_of, with_errors

    found: list[PerformanceWindow] = []
    task: Task | None = None
    probable = False
    known: Known | None = None
    for i, span in enumerate(over):
        if len(over) > 1:
            host.progress(f"window {i + 1} of {len(over)}")
        rows = source.window(span, models)
        if not len(rows):
            continue
        probable = probable or rows.probabilities is not None
        if task is None:
            task = task_of(rows)
            if task == "regression":
                known = known_rows(source.window(None, models), source.labels.read())
        labels = source.labels.read(span.start, span.end)
        measured = measure_window(
            rows,
            labels,
            (span.start, span.end),
            task=task,
            features=rows.inputs.shape[1],
            known=known,
            intervals=intervals,
        )
        found.append(with_errors(measured, error_rate(host.workspace.home, source.deployment, span)))
    return found, task or "regression", probable


def _slices(source: Source, span: Span, by: list[str], task: Task, models: Sequence[str]) -> Any:
    from ..evaluation.slices import slice_report
    from .performance import labelled_rows

    chosen, rows = labelled_rows(source.window(span, models), source.labels.read(span.start, span.end), task)
    if rows is None:
        raise NotReady(
            f"{source.deployment} has too few labelled predictions for slices.",
            hint=f"Bring labels: `%mlops label {source.deployment} TABLE`.",
        )
    return slice_report(chosen.inputs.reset_index(drop=True), rows, by)


def _why(host: Host, source: Source, over: Sequence[Span], task: Task, shap: dict[str, float] | None) -> Why:
    """What explains the change of the loss from the first to the last part of the log that has labels."""
    from .attribution import explain_change
    from .compare import compare, profile_of
    from .performance import labelled_rows
    from .thresholds import Thresholds

    whole = source.window(Span(over[0].start, over[-1].end))
    chosen, rows = labelled_rows(whole, source.labels.read(over[0].start, over[-1].end), task)
    if rows is None or len(rows) < 2 * MOST_FEW:
        raise NotReady(
            f"{source.deployment} has too few labelled predictions to explain a change; at least {2 * MOST_FEW}.",
            hint=f"Bring labels: `%mlops label {source.deployment} TABLE`.",
        )
    half = len(rows) // 2
    if len(over) > 1:  # the windows: the last one against all before
        times = chosen.times.dt.as_unit("ms").astype("int64").to_numpy()
        for span in reversed(over):
            cut = int((times < span.start).sum())
            if len(rows) - cut >= MOST_FEW:
                half = max(cut, MOST_FEW)
                break
    loss = np.asarray(rows.loss, dtype=np.float64)
    inputs = chosen.inputs.reset_index(drop=True)
    before, after = inputs.iloc[:half], inputs.iloc[half:]
    reference = profile_of(before)
    current, told = profile_of(after, like=reference[0])
    report = compare(reference[0], current, called=("before", "after"), thresholds=Thresholds(), found=told)
    names = {"regression": "mean squared error"}
    word = names.get(task, "log loss" if rows.probabilities is not None else "share of wrong labels")
    notes = () if shap else ("SHAP was not computed: add --shap (needs the `explain` extra).",)
    return explain_change(before, loss[:half], after, loss[half:], loss=word, drift=report, shap=shap, notes=notes)


MOST_FEW = 30


def _off(found: Sequence[PerformanceWindow]) -> dict[str, float]:
    """How far estimates were from what was realised, on windows whose rows mostly have labels."""
    gaps: dict[str, list[float]] = {}
    for window in found:
        if window.labelled < 0.5 * window.rows:
            continue
        for estimate in window.estimated:
            real = window.metric(estimate.name)
            if real is not None and real.value is not None and estimate.value is not None:
                gaps.setdefault(estimate.name, []).append(abs(real.value - estimate.value))
    return {name: float(np.mean(values)) for name, values in gaps.items()}


def _notes(found: Sequence[PerformanceWindow], task: Task, probable: bool) -> list[str]:
    told = []
    if not any(w.labelled for w in found):
        told.append("no labels have come: realised metrics need `%mlops label`.")
    if task != "regression" and not probable:
        told.append("the model answers no probabilities that are logged: nothing is estimated, and there is no AUC.")
    if task == "regression" and not any(w.estimated for w in found):
        told.append("nothing is estimated: it takes 200 labelled predictions from before the window.")
    return told


def _keep(host: Host, source: Source, series: str, found: Sequence[PerformanceWindow], now: int) -> None:
    """Keep windows that are over as metrics of the deployment's monitor; again when more labels have come."""
    over = []
    for window in found:
        if window.end_ms > now:
            continue
        numbers = {f"realised.{m.name}": m.value for m in window.realised}
        numbers |= {f"estimated.{m.name}": m.value for m in window.estimated}
        if window.responses:
            r = window.responses
            numbers |= {"p50_ms": r.p50_ms, "p95_ms": r.p95_ms, "p99_ms": r.p99_ms, "error_rate": r.error_rate}
            numbers["requests"] = float(r.requests)
        numbers |= {"rows": float(window.rows), "labelled": float(window.labelled)}
        over.append((window.end_ms, {k: float(v) for k, v in numbers.items() if v is not None}))
    if over:
        host.store.reports.record_numbers(source.deployment, source.model, series, over, mark="labelled")


def _marks(host: Host, deployment: str) -> tuple[Any, ...]:
    from .operations_alerts import marks_of  # which measures windows by this module

    return marks_of(host, deployment)


def _version(model: str, asked: str) -> str:
    """``v3``, ``3`` or ``clf@3`` as a version of the model that is served."""
    name, _, number = asked.rpartition("@")
    name, number = name or model.partition("@")[0], number.removeprefix("v")
    if not number.isdigit():
        raise InvalidArgument(f"--version takes a version such as v3, not {asked!r}.")
    return f"{name}@{number}"


def rows_for_shap(host: Host, *, name: str, rows: int = 400) -> dict[str, Any]:
    """Inputs of the oldest and the newest labelled part of a log, for a caller that has the model."""
    source = source_of(host, name)
    window = source.window(None)
    half = len(window) // 2
    parts = [window.inputs.iloc[:half], window.inputs.iloc[half:]]
    some = [part.iloc[:: max(len(part) // rows, 1)].head(rows) for part in parts]
    return {"model": source.model, "parts": [json.loads(part.to_json(orient="split", index=False)) for part in some]}
