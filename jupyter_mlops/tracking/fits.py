"""Fits: what is recorded of one fit: parameters, metrics on the training data, the model, and the data itself.

The names are those of MLflow's own autologging: parameters as ``get_params`` gives them, ``training_accuracy_score`` and
so on, ``best_C`` and ``best_cv_score`` of a search. A run holds one value of each name, so the second and later fits of
one run carry their estimator's class before each name, ``RandomForestClassifier.n_estimators``, numbered when it comes
again. Pure transformers (no ``predict``) are no models: they show as parts of the pipelines that hold them.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..domain.context import Context
from ..domain.run import FOLD
from ..errors import MLOpsError
from .live_fit import LiveFit
from .metric_calls import variable_name
from .model_package import write_package
from .recording import clean_key
from .training_curves import folds_of_search, training_curves
from .training_metrics import Measured, training_metrics
from .used_tables import describe_table, record_table

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["FitLogger", "FitOfRun", "given", "log_folds"]

MOST_FITS = 20
MOST_PARAMS = 400
LARGEST_DIGEST = 50_000_000  # cells


@dataclass(frozen=True)
class FitOfRun:
    """One fit: what stands before its names, how its model is called, and who watches it while it lasts."""

    prefix: str
    name: str
    live: LiveFit


class FitLogger:
    """Logs the fits of one run."""

    def __init__(self, context: Context, recording: Recording) -> None:
        self._context = context
        self._recording = recording
        self._count = 0
        self._classes: dict[str, int] = {}

    def begin(self, model: Any) -> FitOfRun | None:
        """A fit of the user's code is about to begin; gives what to call it, None where it is not to be logged."""
        if not any(callable(getattr(model, name, None)) for name in ("predict", "fit_predict")):
            return None
        self._count += 1
        if self._count > MOST_FITS:
            self._recording.note(
                f"more than {MOST_FITS} fits: the later ones are not logged. `with mlops.run():` inside the loop logs each."
            )
            return None
        name = type(model).__name__
        seen = self._classes[name] = self._classes.get(name, 0) + 1
        numbered = name if seen == 1 else f"{name}-{seen}"
        prefix = "" if self._count == 1 else f"{numbered}."
        live = LiveFit(self._context, self._recording, model, prefix)
        return FitOfRun(prefix, "model" if not prefix else numbered, live)

    def fitted(
        self,
        fit: FitOfRun,
        method: Any,
        model: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        caller: FrameType | None,
    ) -> None:
        """Log a fit that the user's code has just made.

        Parameters
        ----------
        caller
            The frame that made it; None for a model that was fitted in parts, of which the last part is given.
        """
        prefix = fit.prefix
        inputs, target, weight = given(method, model, args, kwargs)
        if not prefix:
            kind = type(model)
            self._recording.set_tag("estimator_name", kind.__name__)
            self._recording.set_tag("estimator_class", f"{kind.__module__}.{kind.__name__}")
        self._log_params(model, prefix)
        measured, digest = Measured(), ""
        if caller is not None:
            digest = self._log_data(inputs, caller)
            measured = training_metrics(model, inputs, target, weight)
        for key, value in measured.metrics.items():
            self._recording.log_metric(clean_key(prefix + key), value)
        for text in measured.notes:
            self._recording.note(text)
        fit.live.curves.catch_up(training_curves(model))
        best = self._log_search(model, prefix)
        # a search predicts by its best estimator
        self._log_model(best if best is not None else model, inputs, target, fit.name, measured.predicted, digest)

    def _log_params(self, model: Any, prefix: str) -> None:
        params = model.get_params(deep=not hasattr(model, "best_params_"))
        for number, (key, value) in enumerate(sorted(params.items())):
            if number == MOST_PARAMS:
                self._recording.note(f"{len(params) - MOST_PARAMS} of {len(params)} parameters are not logged.")
                return
            self._log_param(prefix + key, value)

    def _log_param(self, key: str, value: Any) -> None:
        try:
            self._recording.log_param(clean_key(key), value)
        except MLOpsError as error:  # the user has logged another value under this name
            self._recording.note(str(error))

    def _log_search(self, model: Any, prefix: str) -> Any | None:
        """What a search found; give its best estimator, None if it is no search."""
        best = getattr(model, "best_params_", None)
        if not isinstance(best, dict):
            return None
        for key, value in best.items():
            self._log_param(f"{prefix}best_{key}", value)
        score = getattr(model, "best_score_", None)
        if isinstance(score, float):
            self._recording.log_metric(f"{prefix}best_cv_score", score)
            log_folds(self._recording, f"{prefix}best_cv_score", folds_of_search(model), mean=False)
        results = getattr(model, "cv_results_", None)
        if isinstance(results, dict):
            import pandas as pd

            place = self._recording.stage(clean_key(f"{prefix}cv_results.csv"))
            pd.DataFrame(results).to_csv(place, index=False)
            self._recording.staged(place, "")
        return getattr(model, "best_estimator_", None)

    def _log_data(self, inputs: Any, caller: FrameType) -> str:
        """The table it was fitted on: as a data version where it is known as one, else by a digest of its content, which is given."""
        if inputs is None:
            return ""
        described = describe_table(inputs)
        known = self._context.known_tables.find(inputs) if described else None
        if known is not None:
            record_table(self._recording, inputs, known, "training")
            return ""
        digest_of = self._context.hooks.get("digest")
        if digest_of is None or not described or described["rows"] * described["columns"] > LARGEST_DIGEST:
            return ""
        try:
            digest = digest_of(_frame(inputs))
        except Exception as error:
            self._recording.note(f"the training data has no digest: {error}")
            return ""
        name = variable_name(caller, inputs) or "X"
        self._recording.record("data", name=name, digest=digest, role="training", **described)
        return str(digest)

    def _known(self, digest: str, inputs: Any, model: Any) -> dict[str, Any]:
        """What was found out of the same inputs by the package of another model that takes them in the same way."""
        if not digest:
            return {}
        columns = tuple(getattr(model, "feature_names_in_", ()))
        types = tuple(getattr(inputs, "dtypes", ()))
        own = (digest, type(inputs), types, columns, frozenset(self._context.personal))
        if self._context.known_inputs[0] != own:
            self._context.known_inputs = (own, {})
        return self._context.known_inputs[1]

    def _log_model(self, model: Any, inputs: Any, target: Any, name: str, predicted: Any, digest: str) -> None:
        folder = self._recording.stage("model")
        try:
            hooks = self._context.hooks
            package = write_package(
                model,
                folder,
                training=inputs,
                target=target,
                profile=hooks.get("profile"),
                personal=hooks.get("personal"),
                predicted=predicted,
                known=self._known(digest, inputs, model),
            )
        except MLOpsError as error:
            self._recording.note(f"the model is not stored: {error}")
            return
        key = uuid.uuid4().hex
        self._recording.record("model", folder=folder.parent.name, name=name, key=key, digest=package.digest)
        for text in package.notes:
            self._recording.note(text)
        try:
            self._context.known_models.remember(model, key, package.digest)
        except TypeError:  # it cannot be followed by a weak reference: registering it stores it anew
            return


def log_folds(recording: Recording, name: str, scores: Sequence[float], *, mean: bool = True) -> None:
    """Log the scores of cross-validation's folds, a step each, with their spread."""
    if len(scores) < 2:
        return
    for fold, score in enumerate(scores, 1):
        recording.log_metric(clean_key(name + FOLD), score, fold)
    if mean:
        recording.log_metric(clean_key(f"{name}_mean"), fmean(scores))
    recording.log_metric(clean_key(f"{name}_std"), stdev(scores))


def given(method: Any, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """What a fit was given: inputs, target and sample weights, whatever it calls the first two."""
    bound = inspect.signature(method).bind(model, *args, **kwargs)
    named = list(bound.arguments.items())[1:]
    own = [value for name, value in named if name != "sample_weight"]
    parameters = [p.name for p in inspect.signature(method).parameters.values()][1:3]
    inputs = bound.arguments.get(parameters[0]) if parameters else None
    target = bound.arguments.get(parameters[1]) if len(parameters) > 1 else None
    if parameters[1:] and parameters[1] in ("sample_weight", "params", "kwargs", "fit_params"):
        target = None
    return inputs if own else None, target, bound.arguments.get("sample_weight")


def _frame(inputs: Any) -> Any:
    """An array as a table, so that it has a digest."""
    import pandas as pd

    if isinstance(inputs, pd.DataFrame) or not hasattr(inputs, "dtype"):
        return inputs
    return pd.DataFrame(inputs)
