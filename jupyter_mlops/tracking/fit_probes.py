"""Fit probes: how each family of iterative estimators is listened to while it fits, without changing what it does.

What an estimator writes into its own attributes is read from outside (`training_curves`). What it does not keep is taken
where it passes: the loss of histogram boosting where its gradients are worked out, the lines that stochastic gradient
descent prints when asked to be verbose, the callbacks of XGBoost and LightGBM. Everything that is put in place is
taken away when the fit ends. A family is one entry of `PROBES`.

Where nobody evaluates, the loss on the training data is worked out here, for as long as that takes less than a twentieth
of the fit's time: ``training_loss`` of histogram boosting (the mean of its own loss over the weighted rows, half the
squared error for ``squared_error``), ``training/logloss`` and the like of XGBoost and LightGBM.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .live_curves import LiveCurves
from .patches import Patches

__all__ = ["PROBES", "Probe", "Spare", "probe_of"]

FREE_SECONDS = 0.05  # of evaluating that any fit may cost
SHARE = 0.05  # of the fit's time from there on

Attach = Callable[[Any, LiveCurves, Patches], Callable[[], None] | None]


@dataclass(frozen=True)
class Probe:
    """How one family is listened to.

    Parameters
    ----------
    unit
        What it counts.
    total
        The parameter that says how many there are at the most.
    attach
        Puts a listener in place; may give what to do once the fit has succeeded. None where reading attributes does.
    """

    unit: str
    total: str
    attach: Attach | None = None

    def most(self, model: Any) -> int:
        """How many there are at the most; 0 where nobody knows."""
        rounds = getattr(model, "get_num_boosting_rounds", None)
        with contextlib.suppress(Exception):
            return int(rounds() if callable(rounds) else getattr(model, self.total))
        return 0


class Spare:
    """Says whether there is time to evaluate, and takes the time of it."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._spent = 0.0

    def __bool__(self) -> bool:
        return self._spent < FREE_SECONDS + SHARE * (time.perf_counter() - self._began)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Count what is done inside; what goes wrong there is not the fit's matter."""
        began = time.perf_counter()
        with contextlib.suppress(Exception):
            yield
        self._spent += time.perf_counter() - began


def _histogram(model: Any, curves: LiveCurves, patches: Patches) -> Callable[[], None]:
    """Work the loss out where the gradients are: both need the predictions so far, which boosting keeps at hand."""
    spare, seen = Spare(), dict[str, Any]()

    def evaluate(loss: Any) -> None:
        value = loss(**{key: seen.get(key) for key in ("y_true", "raw_prediction", "sample_weight", "n_threads")})
        curves.point("training_loss", len(model._predictors), float(value))  # noqa: SLF001 its trees so far

    def watch(loss: Any, name: str) -> None:
        before = getattr(loss, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if not model.do_early_stopping_ and "raw_prediction" in kwargs:  # else its own scores tell
                seen.update(kwargs, loss=loss)
                curves.count(len(model._predictors))  # noqa: SLF001
                if spare:
                    with spare.taken():
                        evaluate(loss)
            return before(*args, **kwargs)

        patches.set(loss, name, watched)

    get_loss = type(model)._get_loss  # noqa: SLF001 where each fit makes its loss

    def watched_get_loss(self_: Any, *args: Any, **kwargs: Any) -> Any:
        loss = get_loss(self_, *args, **kwargs)
        if self_ is model:
            watch(loss, "gradient")
            watch(loss, "gradient_hessian")
        return loss

    patches.set(type(model), "_get_loss", watched_get_loss)

    def last() -> None:
        if "loss" in seen:
            evaluate(seen["loss"])
        seen.clear()

    return last


EPOCH = re.compile(r"-- Epoch (\d+)")
AVERAGE = re.compile(r"Norm: .*Avg\. loss: (?P<loss>[-\w.+]+)(.*Validation score: (?P<score>[-\w.+]+))?")
SAID = re.compile(r"-- Epoch \d+|Norm: .*Avg\. loss|Convergence after \d+ epochs|Total training time|\[Parallel\(")


class _Overheard:
    """A stream in the place of ``sys.stdout`` that listens to what descent prints, and passes on what others do."""

    def __init__(self, stream: Any, heard: Callable[[str], None], *, swallow: bool) -> None:
        self._stream, self._heard, self._swallow, self._newline = stream, heard, swallow, False

    def write(self, text: str) -> int:
        """Listen, and pass on what is not ours."""
        ours = SAID.match(text) is not None
        if ours:
            with contextlib.suppress(Exception):
                self._heard(text)
        if self._swallow and (ours or (self._newline and text == "\n")):
            self._newline = ours and not text.endswith("\n")
            return len(text)
        self._newline = False
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _descent(model: Any, curves: LiveCurves, patches: Patches) -> None:
    """Ask for the lines that tell of each epoch, and keep them from the cell unless the user asked for them too."""
    if getattr(model, "n_jobs", None) not in (None, 1):  # the lines of several classes would mingle
        return
    at = {"epoch": 0, "class": 0}

    def heard(text: str) -> None:
        epoch, line = EPOCH.match(text), AVERAGE.match(text)
        if epoch is not None:
            at["class"] += epoch[1] == "1"
            at["epoch"] = int(epoch[1])
        elif line is not None:
            # one class against the rest after the other; with two classes there is one
            name = "" if at["class"] == 1 else f"_{at['class']}"
            curves.point(f"training_loss{name}", at["epoch"], float(line["loss"]))
            if line["score"] is not None:
                curves.point(f"validation_score{name}", at["epoch"], float(line["score"]))

    asked = bool(model.verbose)
    for stream in ("stdout", "stderr"):
        patches.set(sys, stream, _Overheard(getattr(sys, stream), heard, swallow=not asked))
    if not asked:
        patches.set(model, "verbose", 1)


def _train_with(module: str, patches: Patches, listener: Any) -> None:
    """Let a library's ``train`` have one callback more, where its scikit-learn classes call it."""
    home, held = threading.get_ident(), sys.modules[module]
    train: Callable[..., Any] = vars(held)["train"]

    def watched(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == home:
            kwargs["callbacks"] = [*(kwargs.get("callbacks") or ()), listener]
        return train(*args, **kwargs)

    patches.set(held, "train", watched)


def _xgboost(_model: Any, curves: LiveCurves, patches: Patches) -> None:
    from xgboost.callback import TrainingCallback

    spare = Spare()
    table: list[Any] = []

    class Listener(TrainingCallback):  # type: ignore[misc]  # it has no types
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            with contextlib.suppress(Exception):
                curves.count(epoch + 1)
                for data, metrics in evals_log.items():
                    for metric, values in metrics.items():
                        curves.point(f"{data}/{metric}", epoch + 1, float(values[-1]))
            if not evals_log and table and spare:
                with spare.taken():
                    told = model.eval_set([(table[0], "training")], epoch)
                    for name, value in re.findall(r"\ttraining-([^:\s]+):(\S+)", told):
                        curves.point(f"training/{name}", epoch + 1, float(value))
            return False

    _train_with("xgboost.sklearn", patches, Listener())
    train: Callable[..., Any] = sys.modules["xgboost.sklearn"].train

    def noting_the_table(params: Any, dtrain: Any, *args: Any, **kwargs: Any) -> Any:
        table[:] = [dtrain]
        try:
            return train(params, dtrain, *args, **kwargs)
        finally:
            table.clear()

    patches.set(sys.modules["xgboost.sklearn"], "train", noting_the_table)


def _lightgbm(_model: Any, curves: LiveCurves, patches: Patches) -> None:
    spare = Spare()

    def listener(env: Any) -> None:
        step = env.iteration - env.begin_iteration + 1
        curves.count(step)
        told = env.evaluation_result_list or ()
        with contextlib.suppress(Exception):
            for data, metric, value, *_ in told:
                curves.point(f"{data}/{metric}", step, float(value))
        if not told and spare:
            with spare.taken():
                for _, metric, value, *_ in env.model.eval_train():
                    curves.point(f"training/{metric}", step, float(value))

    listener.order = 25  # type: ignore[attr-defined]  # before early stopping, which ends the round with an exception
    _train_with("lightgbm.sklearn", patches, listener)


PROBES: dict[tuple[str, str], Probe] = {
    ("sklearn", "BaseMultilayerPerceptron"): Probe("epoch", "max_iter"),
    ("sklearn", "BaseHistGradientBoosting"): Probe("iteration", "max_iter", _histogram),
    ("sklearn", "BaseGradientBoosting"): Probe("iteration", "n_estimators"),
    ("sklearn", "BaseSGD"): Probe("epoch", "max_iter", _descent),
    ("xgboost", "XGBModel"): Probe("iteration", "n_estimators", _xgboost),
    ("lightgbm", "LGBMModel"): Probe("iteration", "n_estimators", _lightgbm),
}
"""By library and base class."""


def probe_of(model: Any) -> Probe | None:
    """The probe that fits a model, None where it does not iterate or nobody knows how to listen.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression, SGDClassifier
    >>> probe_of(SGDClassifier()).unit, probe_of(LogisticRegression())
    ('epoch', None)
    """
    for cls in type(model).__mro__:
        found = PROBES.get((cls.__module__.partition(".")[0], cls.__name__))
        if found is not None:
            return found
    return None
