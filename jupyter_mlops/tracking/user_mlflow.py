"""The user's own MLflow: what a cell logs with `mlflow.log_metric` or MLflow's autologging lands in our run.

The only place in the kernel that touches MLflow, and only when the user's code has imported it. For as long as a run is
recorded, MLflow's tracking address is the workspace's and our run is MLflow's active one; then both are what they were.
``mlflow.start_run()`` inside makes a child of our run, and ``mlflow.end_run()`` does not end ours. A cell that turns to
another store with `mlflow.set_tracking_uri` is left to it.

With `track on`, where MLflow would begin a run unasked (a plain ``mlflow.log_metric``, another framework's autologging)
the cell becomes ours first, and so where a cell begins runs of MLflow's that end in it (``with mlflow.start_run():``):
`FirstCalls`.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import MLOpsError
from .patches import ImportWatch, Patches

if TYPE_CHECKING:
    from .recording import Recording
    from .tracker import Tracker

__all__ = [
    "FirstCalls",
    "ScratchRuns",
    "UserMLflow",
    "autologs",
    "autologs_sklearn",
    "has_active_run",
    "quiet_autologging",
]

ADDRESS = "MLFLOW_TRACKING_URI"
AUTOLOGGING = "mlflow.autologging"
NOTE = "mlflow.note.content"
OF_A_NEW_RUN = {"run_name", "tags", "description", "nested", "log_system_metrics"}
"""What `mlflow.start_run` can be told without choosing where the run goes."""


def _autologged(integration: str) -> bool:
    known: Any = getattr(sys.modules.get("mlflow.utils.autologging_utils"), "AUTOLOGGING_INTEGRATIONS", {})
    return known.get(integration, {}).get("disable") is False  # importing mlflow.sklearn leaves an empty entry


def autologs_sklearn() -> bool:
    """Whether the user has switched MLflow's own autologging of scikit-learn on."""
    return _autologged("sklearn")


def autologs(model: Any) -> bool:
    """Whether MLflow's own autologging, as the user has switched it on, logs the fit of this estimator.

    Examples
    --------
    >>> autologs(object())
    False
    """
    return autologs_sklearn() or _autologged(type(model).__module__.partition(".")[0])


@contextlib.contextmanager
def quiet_autologging() -> Iterator[None]:
    """Keep MLflow's autologging, where the user has switched it on, from what is fitted for our own sake.

    Examples
    --------
    >>> with quiet_autologging():
    ...     pass
    """
    utils: Any = sys.modules.get("mlflow.utils.autologging_utils")
    with utils.disable_autologging() if utils is not None else contextlib.nullcontext():
        yield


def has_active_run() -> bool:
    """Whether the user's code has begun a run with MLflow itself, and not ended it."""
    held: Any = getattr(sys.modules.get("mlflow.tracking.fluent"), "_active_run_stack", None)
    return bool(held is not None and held.get())


def starts_in(source: str) -> int:
    """How many of MLflow's runs a cell begins that end in it, 2 for many; 0 if one of them is left open.

    Examples
    --------
    >>> starts_in("with mlflow.start_run(run_name='a') as run: mlflow.log_metric('m', 1)")
    1
    >>> starts_in("with mlflow.start_run(): fit(1)" + chr(10) + "with mlflow.start_run(): fit(2)")
    2
    >>> starts_in("run = mlflow.start_run()"), starts_in("fit()")
    (0, 0)
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic beside it
        return 0
    every = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _last_name(n.func) == "start_run"]
    closed = {item.context_expr for n in ast.walk(tree) if isinstance(n, ast.With | ast.AsyncWith) for item in n.items}
    if not every or not closed.issuperset(every):
        return 0
    again = (ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    repeated = any(call in set(ast.walk(n)) for n in ast.walk(tree) if isinstance(n, again) for call in every)
    return 2 if repeated or len(every) > 1 else 1


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _chose_experiment(fluent: Any) -> bool:
    """Whether the user has told MLflow where new runs go."""
    return fluent._active_experiment_id is not None or bool(  # noqa: SLF001 what was *set* has no getter
        os.environ.get("MLFLOW_EXPERIMENT_NAME") or os.environ.get("MLFLOW_EXPERIMENT_ID")
    )


class FirstCalls:
    """Asks for a run of ours where MLflow would begin one of its own that nobody asked for, or that ends with its cell.

    The one run that a cell begins with ``with mlflow.start_run():`` is ours; of several, each is a child of ours. Not where
    the user has chosen a store or an experiment of theirs for MLflow, or a run to go on with: what they log goes there.

    Parameters
    ----------
    begin
        Begins a run of this name, or of none, for the cell that is being executed; whether it did.
    """

    def __init__(self, tracker: Tracker, patches: Patches, begin: Callable[[str], bool]) -> None:
        self._tracker = tracker
        self._patches = patches
        self._asked = begin

    def patch(self, mlflow: ModuleType) -> None:
        """Step before what MLflow's functions do when no run is active."""
        from mlflow.tracking import fluent

        begin, get, start = self._begin, fluent._get_or_start_run, fluent.start_run  # noqa: SLF001 all calls go through it

        @functools.wraps(get)
        def _get_or_start_run() -> Any:
            begin()
            return get()

        @functools.wraps(start)
        def start_run(*args: Any, **kwargs: Any) -> Any:
            unasked = not args and AUTOLOGGING in (kwargs.get("tags") or {})
            if unasked and begin():
                return fluent.active_run()
            starts = 0 if args or not kwargs.keys() <= OF_A_NEW_RUN or _chose_experiment(fluent) else self._starts()
            if not starts or not begin(str(kwargs.get("run_name") or "") if starts == 1 else ""):
                return start(*args, **kwargs)
            if starts > 1:
                return fluent.start_run(**kwargs)  # by now MLflow's is ours, which makes a child
            told = {**(kwargs.get("tags") or {})}
            if kwargs.get("description"):
                told[NOTE] = kwargs["description"]
            if told:
                fluent.set_tags(told)
            return fluent.active_run()

        self._patches.set(fluent, "_get_or_start_run", _get_or_start_run)
        for module in (mlflow, fluent):
            self._patches.set(module, "start_run", start_run)

    def _starts(self) -> int:
        """How many runs the cell begins that end in it, 2 for many; 0 where one of them is left open, or begun elsewhere."""
        context = self._tracker.context
        if not context.cells:
            return 0
        source, transform = context.cells[-1].source, context.hooks.get("transform_cell")
        return starts_in(source if transform is None else transform(source))

    def _begin(self, name: str = "") -> bool:
        """Begin a run if MLflow has none; whether ours is now MLflow's active one."""
        if has_active_run():
            return False
        from mlflow.tracking._tracking_service import utils

        chosen = utils._tracking_uri or os.environ.get(ADDRESS)  # noqa: SLF001 what was *set* has no getter
        if chosen and chosen != self._tracker.context.workspace.tracking_uri:
            return False
        return self._asked(name) and has_active_run()


class ScratchRuns:
    """MLflow's runs of an execution that leaves the store alone: they lie in a store of their own, and are read back from it.

    Parameters
    ----------
    address
        Of that store.
    artifacts
        The folder that artifacts go to.
    """

    def __init__(self, address: str, artifacts: Path) -> None:
        self._address, self._artifacts = address, artifacts
        self._experiment = ""
        self._runs: dict[str, str] = {}

    def id(self, run: str) -> str:
        """MLflow's id of one of our runs; what it is called by itself as long as the user has not loaded MLflow."""
        if not run or "mlflow" not in sys.modules:
            return run
        if run not in self._runs:
            client = self._client()
            if not self._experiment:
                self._experiment = client.create_experiment("again", artifact_location=self._artifacts.as_uri())
            self._runs[run] = client.create_run(self._experiment).info.run_id
        return self._runs[run]

    def logged(self, run: str) -> tuple[dict[str, float], dict[str, str]]:
        """The metrics and parameters that the user's code has logged into one of our runs with MLflow itself."""
        if run not in self._runs:
            return {}, {}
        data = self._client().get_run(self._runs[run]).data
        return dict(data.metrics), dict(data.params)

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._address)


class UserMLflow:
    """Makes our run MLflow's active one while it is recorded."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._imports: ImportWatch | None = None
        self._patches = Patches()
        self._entered = False
        self._ours: list[Any] = []

    def begin(self) -> None:
        """Step in now if MLflow is loaded, else when it is."""
        self._imports = ImportWatch({"mlflow": self._step_in})
        self._imports.begin()

    def end(self) -> None:
        """Leave MLflow as it was found."""
        if self._imports is not None:
            self._imports.end()
        if self._entered:
            self._entered = False
            self._patches.undo()
            self._step_aside()
            self._restore_address()

    def nested(self, recording: Recording) -> None:
        """Another run is being recorded inside: it is MLflow's active one now."""
        if self._entered and self._at_our_store():
            self._push(recording)

    def unnested(self, recording: Recording) -> None:
        """The run inside has ended."""
        for run in [run for run in self._ours if run.mlops_key == recording.key]:
            self._pop(run)

    def _step_in(self, _module: ModuleType) -> None:
        recording = self._tracker.current
        if recording is None:
            return
        try:
            import mlflow
            from mlflow.tracking import fluent
            from mlflow.tracking._tracking_service import utils

            self._fluent, self._utils = fluent, utils
            self._address = (utils._tracking_uri, os.environ.get(ADDRESS))  # noqa: SLF001 what was *set* has no getter
            self._experiment = fluent._active_experiment_id  # noqa: SLF001 the same
            self._entered, self._patches, self._ours = True, Patches(), []
            mlflow.set_tracking_uri(self._tracker.context.workspace.tracking_uri)
            for each in self._tracker.active:
                self._push(each)
            for name, method in (
                ("start_run", self._start_run(fluent.start_run)),
                ("end_run", self._end_run(fluent.end_run)),
                ("set_tracking_uri", self._set_tracking_uri(mlflow.set_tracking_uri)),
            ):
                for module in (mlflow, fluent):
                    if hasattr(module, name):
                        self._patches.set(module, name, method)
        except MLOpsError as error:  # the store is away: MLflow stays with what it had
            self.end()
            recording.note(f"what the cell logs with MLflow itself does not reach this run: {error}")
        except Exception as error:  # an MLflow that is built otherwise
            self.end()
            recording.note(f"what the cell logs with MLflow itself may not reach this run: {error}")

    def _push(self, recording: Recording) -> None:
        from mlflow import ActiveRun, MlflowClient

        run_id = recording.id  # waits for the service, which alone makes a store's tables: MLflow would make them too
        client = MlflowClient(tracking_uri=self._tracker.context.workspace.tracking_uri)
        run = ActiveRun(client.get_run(run_id))
        run.mlops_key = recording.key
        self._ours.append(run)
        self._stack().append(run)

    def _pop(self, run: Any) -> None:
        self._ours = [other for other in self._ours if other is not run]
        stack = self._stack()
        stack[:] = [other for other in stack if other is not run]

    def _step_aside(self) -> None:
        for run in list(self._ours):
            self._pop(run)

    def _stack(self) -> list[Any]:
        stack: list[Any] = self._fluent._active_run_stack.get()  # noqa: SLF001 MLflow can end a run, but not let go of it
        return stack

    def _on_top(self) -> Any | None:
        """Our run, if it is MLflow's active one."""
        stack = self._stack()
        return stack[-1] if stack and any(run is stack[-1] for run in self._ours) else None

    def _at_our_store(self) -> bool:
        return bool(self._utils.get_tracking_uri() == self._tracker.context.workspace.tracking_uri)

    def _restore_address(self) -> None:
        if not self._at_our_store():
            return  # the cell has chosen another one itself
        uri, environment = self._address
        self._utils.set_tracking_uri(uri)
        if environment is None:
            os.environ.pop(ADDRESS, None)
        else:
            os.environ[ADDRESS] = environment

    # what MLflow's functions do meanwhile

    def _start_run(self, before: Any) -> Any:
        @functools.wraps(before)
        def start_run(
            run_id: str | None = None,
            experiment_id: str | None = None,
            run_name: str | None = None,
            nested: bool = False,
            parent_run_id: str | None = None,
            **more: Any,
        ) -> Any:
            active = self._on_top()
            if active is None:
                return before(run_id, experiment_id, run_name, nested, parent_run_id, **more)
            chosen = self._fluent._active_experiment_id  # noqa: SLF001 as above
            if run_id is None and experiment_id is None and chosen == self._experiment:
                experiment_id = active.info.experiment_id
            return before(run_id, experiment_id, run_name, True, parent_run_id, **more)

        return start_run

    def _end_run(self, before: Any) -> Any:
        @functools.wraps(before)
        def end_run(*args: Any, **kwargs: Any) -> Any:
            return None if self._on_top() is not None else before(*args, **kwargs)

        return end_run

    def _set_tracking_uri(self, before: Any) -> Any:
        @functools.wraps(before)
        def set_tracking_uri(*args: Any, **kwargs: Any) -> Any:
            result = before(*args, **kwargs)
            if not self._at_our_store():
                self._step_aside()
            elif not self._ours:
                with contextlib.suppress(MLOpsError):
                    for recording in self._tracker.active:
                        self._push(recording)
            return result

        return set_tracking_uri
