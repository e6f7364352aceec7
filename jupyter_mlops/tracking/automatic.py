"""Automatic: with `track on`, the first fit in a cell makes the cell a run, which ends with the cell.

So does the first call of MLflow's own that logs, its autologging, and ``with mlflow.start_run():``, which then land in that
run. Until then nothing is done but that the ``fit`` methods of estimators look who calls. A cell that is a run already, by
``%%mlops run``, ``mlops.run()`` or a run of MLflow's that was begun and not ended, is left alone.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import MLOpsError
from .autolog import Autolog
from .estimator_methods import EstimatorMethods, calls_as_user
from .patches import ImportWatch, Patches
from .user_mlflow import FirstCalls, autologs, has_active_run

if TYPE_CHECKING:
    from .recording import Recording
    from .tracker import Tracker

__all__ = ["Automatic"]

log = logging.getLogger(__name__)


class Automatic:
    """Makes runs of cells that fit.

    Parameters
    ----------
    autolog
        What logs the fit that began the run.
    """

    def __init__(self, tracker: Tracker, autolog: Autolog) -> None:
        self._tracker = tracker
        self._autolog = autolog
        self._patches = Patches()
        self._methods: EstimatorMethods | None = None
        self._imports: ImportWatch | None = None
        self._home = 0
        self.recording: Recording | None = None
        """The run of the cell that is being executed, if there is one."""

    @property
    def on(self) -> bool:
        """Whether it is switched on."""
        return self._methods is not None

    def begin(self) -> None:
        """Switch on; nothing is imported for it."""
        if self.on:
            return
        self._home = threading.get_ident()
        self._methods = EstimatorMethods(self._patches, ("fit", "partial_fit"), self._watching)
        self._imports = ImportWatch({"sklearn.base": self._patch, "mlflow": self._patch_mlflow})
        self._imports.begin()

    def end(self) -> None:
        """Switch off, and leave scikit-learn as it was found."""
        self.cell_ended(None)
        if self._methods is None or self._imports is None:
            return
        self._methods.on = False
        self._imports.end()
        self._patches.undo()
        self._methods = self._imports = None

    def cell_ended(self, error: BaseException | None) -> Recording | None:
        """The cell has ended, perhaps with an error: so does its run, which is given."""
        recording, self.recording = self.recording, None
        if recording is None or not recording.active:
            return None
        if error is not None:
            recording.failed(error)
        recording.__exit__(None, None, None)
        return recording

    def _patch(self, module: ModuleType) -> None:
        try:
            if self._methods is not None:
                self._methods.patch(module)
        except Exception:  # an unknown scikit-learn: cells make no runs, and nothing breaks
            log.warning("`track on` cannot watch this scikit-learn", exc_info=True)

    def _patch_mlflow(self, module: ModuleType) -> None:
        try:
            FirstCalls(self._tracker, self._patches, self._begin_run).patch(module)
        except Exception:  # an MLflow that is built otherwise: its runs are its own
            log.warning("`track on` cannot watch this MLflow", exc_info=True)

    def _watching(self, _name: str, method: FunctionType) -> Callable[..., Any]:
        @functools.wraps(method)
        def fit(self_: Any, /, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            caller = sys._getframe(1)  # noqa: SLF001 there is no other way to know the caller
            if self._tracker.active or not calls_as_user(caller) or not is_model(self_) or autologs(self_):
                return method(self_, *args, **kwargs)
            if not self._begin_run():
                return method(self_, *args, **kwargs)
            return self._autolog.log_fit(method, self_, args, kwargs)

        return fit

    def _begin_run(self, name: str = "") -> bool:
        """Begin a run for the cell, if it is to be one and is none yet; never raises."""
        try:
            cells = self._tracker.context.cells
            cell = cells[-1] if cells else None
            if cell is None or cell.outcome != "running" or threading.get_ident() != self._home:
                return False
            if self._tracker.active or has_active_run():
                return False
            stem = PurePath(self._tracker.context.notebook.path).stem
            recording = self._tracker.make(name or (None if stem else f"cell-{cell.count}"), cell.source, None)
            recording.automatic = True
            recording.__enter__()
        except MLOpsError as error:  # a setting that is none, a folder or disk that takes nothing
            sys.stderr.write(f"This cell is no run: {error}\n")
            return False
        except Exception:
            log.debug("beginning a run for a fit", exc_info=True)
            return False
        self.recording = recording
        return True


def is_model(estimator: Any) -> bool:
    """Whether an estimator is a model; a transformer is none."""
    return any(callable(getattr(estimator, name, None)) for name in ("predict", "fit_predict"))
