"""Trial: one evaluation of a sweep's objective, in this process or another, recorded as a run of its own."""

from __future__ import annotations

import inspect
import mmap
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.context import Context
from ..errors import InvalidArgument, NotFound
from .study import METRICS, REASON, RUN_KEY, TOOK, Pruner, leave, load_study
from .tracker import Tracker

__all__ = [
    "CodeObjective",
    "Evaluation",
    "Outcome",
    "Payload",
    "Pruned",
    "TrialHandle",
    "TrialModels",
    "check_objective",
    "evaluate",
]

HANDED = ("trial", "seed")
"""Parameters that an objective may have besides the space's: they are handed to it where it does."""


class Pruned(Exception):
    """A trial that is not worth going on with; raised by `TrialHandle.report`, to be let through."""


@dataclass
class TrialHandle:
    """What an objective gets as ``trial``: its number and parameters, and a way to tell how it is getting on."""

    number: int
    params: dict[str, Any]
    metric: str
    _recording: Any = field(repr=False)
    _trial: Any = field(repr=False, default=None)
    until: float = field(repr=False, default=0.0)
    """When the time is up that the sweep was given, in seconds since 1970; 0 for never."""
    reported: tuple[int, float] | None = field(repr=False, default=None)
    """The last step that was told, and its value."""

    @property
    def out_of_time(self) -> bool:
        """Whether the time that the sweep was given is up."""
        return bool(self.until) and time.time() >= self.until

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log a metric with the trial's run."""
        self._recording.log_metric(key, value, step)

    def log_result(self, metrics: Mapping[str, float]) -> None:
        """Log what the objective has returned; behind the curve that it has told, of which it would be the first point."""
        step, value = self.reported or (-1, None)
        for key, number in metrics.items():
            if key != self.metric:
                self._recording.log_metric(key, number)
            elif number != value:
                self._recording.log_metric(key, number, step + 1)

    def report(self, value: float, step: int) -> None:
        """Tell the metric as it stands at a step; a curve of the trial's run.

        Raises
        ------
        Pruned
            The other trials were better by this step, and the sweep prunes. Let it through.
        """
        self._recording.log_metric(self.metric, value, step)
        self.reported = (int(step), float(value))
        if self._trial is not None:
            self._trial.report(float(value), int(step))
            if self._trial.should_prune():
                raise Pruned(f"{self.metric} {value:.6g} at step {step}")


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation needs to know; travels to the process that does it."""

    number: int
    params: dict[str, Any]
    name: str
    metric: str
    parent: str
    """The key of the sweep's run, where this is not done inside it."""
    seed: int
    study: tuple[str, Pruner, int] | None = None
    """The study's file, its pruner, and the trial's id in it; None for a sweep that does not prune."""
    until: float = 0.0
    """See `TrialHandle`; machines have no other clock in common."""


@dataclass(frozen=True)
class Outcome:
    """What came of one evaluation."""

    number: int
    state: str
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    took_ms: float = 0.0
    run_key: str = ""
    model: Any = None

    def told(self) -> dict[str, Any]:
        """What the study notes of it."""
        return {METRICS: self.metrics, REASON: self.reason, TOOK: self.took_ms, RUN_KEY: self.run_key}


class CodeObjective:
    """A cell as an objective: its code is run with the parameters set, and a name it has bound is the metric.

    Parameters
    ----------
    code
        Plain Python.
    names
        The variables it reads, as they are now.
    metric
        The name whose value is the metric.
    handed
        Which of `HANDED` it reads.
    """

    def __init__(self, code: str, names: Mapping[str, Any], metric: str, handed: Sequence[str] = ()) -> None:
        self.code = code
        self.names = dict(names)
        self.metric = metric
        self.handed = tuple(handed)

    def __call__(self, **params: Any) -> Any:
        """Run the code; the metric, and the fitted model that it has bound last, if any."""
        space: dict[str, Any] = {"__name__": "__main__", **self.names, **params}
        exec(compile(self.code, "<sweep>", "exec"), space)  # noqa: S102 the user's own cell
        if self.metric not in space:
            raise NotFound(f"the cell binds no name {self.metric!r} to be the metric.")
        bound = [v for k, v in space.items() if k not in self.names and hasattr(v, "predict") and hasattr(v, "fit")]
        return space[self.metric], bound[-1] if bound else None


def check_objective(objective: Callable[..., Any], names: list[str]) -> None:
    """See that an objective can be called with the space's parameters.

    Raises
    ------
    InvalidArgument
        It takes one that the space does not have, or cannot take one that it has.
    """
    if isinstance(objective, CodeObjective):
        return
    try:
        parameters = inspect.signature(objective).parameters
    except (TypeError, ValueError):
        return
    called = getattr(objective, "__name__", "the objective")
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in names:
            if name not in parameters:
                raise InvalidArgument.unknown(f"parameter of {called}", name, parameters)
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if needed and name not in names and name not in HANDED:
            raise InvalidArgument(
                f"{called} also takes {name!r}, which the space does not have.",
                hint="Add it to the space, or give it a default.",
            )


def evaluate(tracker: Tracker, objective: Callable[..., Any], asked: Evaluation) -> Outcome:
    """Evaluate the objective once, as a run; an error of the objective's is an outcome, an interrupt goes on its way."""
    recording = tracker.make(asked.name, getattr(objective, "code", "") or _source(objective), None)
    recording.parent_key = asked.parent
    began = time.perf_counter()
    state, reason, model = "complete", "", None
    value: float | None = None
    metrics: dict[str, float] = {}
    try:
        with recording:
            recording.log_params(asked.params)
            recording.set_tag("mlops.trial", asked.number)
            handle = TrialHandle(asked.number, asked.params, asked.metric, recording, _study_trial(asked), asked.until)
            handed = {"trial": handle, "seed": asked.seed}
            wanted = _parameters(objective)
            extra = {name: handed[name] for name in HANDED if name in wanted and name not in asked.params}
            try:
                answer = objective(**asked.params, **extra)
            except Pruned as pruned:
                state, reason = "pruned", str(pruned)
                recording.set_tag("mlops.trial.state", state)
            else:
                value, metrics, model = read_answer(answer, asked.metric)
                handle.log_result(metrics)
    except Exception as error:
        state, reason = "failed", " ".join(f"{type(error).__name__}: {error}".split())[:500]
    took = (time.perf_counter() - began) * 1000
    return Outcome(asked.number, state, value, metrics, reason, took, recording.key, model)


def read_answer(answer: Any, metric: str) -> tuple[float, dict[str, float], Any]:
    """What an objective has returned: a number, or metrics by name; perhaps with a model behind it.

    Examples
    --------
    >>> read_answer({"auc": 0.9, "loss": 1}, "auc")
    (0.9, {'auc': 0.9, 'loss': 1.0}, None)
    """
    model = None
    if isinstance(answer, tuple) and len(answer) == 2:
        answer, model = answer
    metrics = answer if isinstance(answer, Mapping) else {metric: answer}
    try:
        numbers = {str(name): float(number) for name, number in metrics.items()}
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"the objective returned {answer!r}.",
            hint="Return a number, or numbers by name; `return score, model` hands the model over too.",
        ) from None
    if metric not in numbers:
        raise NotFound.among("metric that the objective returns called", metric, numbers)
    if numbers[metric] != numbers[metric]:
        raise InvalidArgument(f"the objective returned NaN for {metric}.")
    return numbers[metric], numbers, model


def _parameters(objective: Callable[..., Any]) -> Iterable[str]:
    if isinstance(objective, CodeObjective):
        return objective.handed
    try:
        return inspect.signature(objective).parameters
    except (TypeError, ValueError):
        return ()


def _source(objective: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(objective)
    except (OSError, TypeError):
        return ""


def _study_trial(asked: Evaluation) -> Any:
    if asked.study is None:
        return None
    import optuna

    path, pruner, trial_id = asked.study
    return optuna.trial.Trial(load_study(path, pruner), trial_id)


# in another process


class Payload:
    """An objective in a file that other processes map: large tables are kept once, however many processes read them.

    Parameters
    ----------
    path
        Where it is; private to the user.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, objective: Callable[..., Any]) -> None:
        """Keep the objective, functions of the notebook by value.

        Raises
        ------
        InvalidArgument
            It holds something that cannot go to another process.
        """
        import cloudpickle

        buffers: list[pickle.PickleBuffer] = []
        try:
            body = cloudpickle.dumps(objective, protocol=5, buffer_callback=buffers.append)
        except Exception as error:
            raise InvalidArgument(
                f"the objective cannot go to another process: {type(error).__name__}: {error}",
                hint="Open files and connections inside it, or search with `--workers 1`.",
            ) from error
        views = [buffer.raw() for buffer in buffers]
        with Path(self.path).open("wb") as file:
            file.write(pickle.dumps((len(body), [len(view) for view in views])).ljust(HEAD, b"\0"))
            for view in (body, *views):
                file.write(view)
                file.write(b"\0" * (-file.tell() % ALIGNED))

    def read(self) -> Callable[..., Any]:
        """The objective; its arrays are pages of the file, copied only where they are written to."""
        with Path(self.path).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        size, sizes = pickle.loads(mapped[:HEAD])  # noqa: S301 written by `write`, in the workspace's private folder
        view, at, parts = memoryview(mapped), HEAD, []
        for length in (size, *sizes):
            parts.append(view[at : at + length])
            at += length + (-(at + length) % ALIGNED)
        objective: Callable[..., Any] = pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 the same
        return objective


class TrialModels:
    """Trials' models in files beside the study: the best one's, for whoever goes on with the search in another process.

    Parameters
    ----------
    folder
        The study's; private to the user.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, number: int) -> Path:
        return self._folder / f"model.{number}.pickle"

    def write(self, number: int, model: Any) -> None:
        """Keep a trial's model; one that cannot be pickled is not kept."""
        import cloudpickle

        path = self._path(number)
        if model is None or path.exists():
            return
        arriving = path.with_suffix(".arriving")
        try:
            arriving.write_bytes(cloudpickle.dumps(model))
            arriving.replace(path)
        except Exception:  # whatever a model's own pickling raises: the search goes on with it in memory
            arriving.unlink(missing_ok=True)

    def read(self, number: int) -> Any:
        """The model of a trial; None where none was kept, or what it is made of is no longer there."""
        try:
            return pickle.loads(self._path(number).read_bytes())  # noqa: S301 written by `write`, in the workspace's private folder
        except Exception:  # whatever a model's own unpickling raises
            return None

    def forget(self, number: int) -> None:
        """Keep a trial's model no longer."""
        self._path(number).unlink(missing_ok=True)

    def keep_only(self, number: int) -> None:
        """Keep no model but this trial's."""
        for path in self._folder.glob("model.*"):
            if path != self._path(number):
                path.unlink(missing_ok=True)


WATCH_SECONDS = 0.5
HEAD = 1 << 16
ALIGNED = 64
_held: dict[str, Any] = {}


def evaluate_elsewhere(open_context: Callable[[str], Context], root: str, payload: str, asked: Evaluation) -> Outcome:
    """`evaluate` in a process that has nothing yet; what it opens it keeps for the next trial.

    What came of it is also left beside the study: should whoever asked be gone by now, it is not tried again.
    """
    ready(open_context, root, payload)
    tracker, objective = _held[payload]
    outcome = evaluate(tracker, objective, asked)
    folder = Path(payload).parent
    if folder.is_dir():
        TrialModels(folder).write(outcome.number, outcome.model)
        leave(folder, outcome.number, outcome.state, outcome.value, outcome.told())
    return outcome


def ready(open_context: Callable[[str], Context], root: str, payload: str) -> None:
    """Have this process hold what `evaluate_elsewhere` needs."""
    if payload not in _held:
        _held.clear()
        _held[payload] = (Tracker(open_context(root)), Payload(payload).read())


def end_with(parent: int) -> None:
    """Let this process end when the one that has started it does, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="mlops-parent", daemon=True).start()
