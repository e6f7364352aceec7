"""Sweep: a search over parameters, as a run whose trials are its children; serial, over processes, or over Dask."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..domain.context import Context
from ..domain.sweep import Sweep, Trial, TrialState
from ..errors import InvalidArgument, MissingDependency, MLOpsError
from .fit_probes import Spare
from .study import INTERRUPTED, LOST, OUT_OF_TIME, Study
from .tracker import Tracker
from .trial import Evaluation, Outcome, Payload, TrialModels, end_with, evaluate, evaluate_elsewhere, ready
from .user_mlflow import quiet_autologging

__all__ = ["Search"]

FOLDER = "sweeps"
HOPELESS = 3  # so many failed trials and none that is complete: the objective itself is wrong
POLL_SECONDS = 0.2
GRACE_SECONDS = 1.0  # in which a trial that was told that the time is up may end by itself


class Workers(Protocol):
    """Where trials are evaluated."""

    room: int

    def submit(self, asked: Evaluation) -> None:
        """Begin one."""

    def next(self) -> list[Outcome]:
        """Wait for some to end; an empty list now and then, so that the time can be looked at."""

    def close(self) -> None:
        """End what still runs."""


class Search:
    """One sweep.

    Parameters
    ----------
    objective
        Called with the parameters; see `trial.evaluate`.
    study
        What remembers the trials.
    trials
        How many to try, those of an earlier, interrupted search counted in.
    began
        When the user asked for it, by the monotonic clock: what is told and what is limited is the time they wait.
    seconds
        After which no trial is begun any more, but for the first one; 0 for no end.
    workers
        Processes; 1 evaluates here.
    dask
        A Dask scheduler's address, or ``local`` for a cluster of `workers` processes on this machine.
    reserve
        How many seconds of the time are to be left for `ended`, given the best trial so far. Then the time is a budget:
        trials that still run when it is up are broken off, but for the first one.
    ended
        Called inside the sweep's run with what was found; gives the model to hand over.
    """

    def __init__(
        self,
        context: Context,
        tracker: Tracker,
        objective: Callable[..., Any],
        study: Study,
        *,
        trials: int,
        began: float,
        seconds: float = 0.0,
        workers: int = 1,
        dask: str = "",
        reserve: Callable[[Trial], float] | None = None,
        ended: Callable[[Sweep], Any] | None = None,
    ) -> None:
        self.context = context
        self.tracker = tracker
        self.objective = objective
        self.study = study
        self.trials = trials
        self.seconds = seconds
        self.workers = workers
        self.dask = dask
        self.reserve = reserve
        self.ended = ended
        self._models = TrialModels(study.folder)
        self._best = study.best()
        self._model: Any = self._models.read(self._best.number) if self._best is not None else None
        self._models.keep_only(self._best.number if self._best is not None else -1)
        self._asked: dict[int, tuple[int, dict[str, Any]]] = {}
        self._again = 0
        self._began = began
        self._out_of_time = ""
        self._broken_off: tuple[TrialState, str] | None = None
        """What became of the trials that had not ended when the search did."""
        self._spare = Spare()
        self._weights: dict[str, float] = {}

    def run(self) -> Sweep:
        """Search, and tell what was found; an interrupt ends the search and keeps what there is.

        Raises
        ------
        MLOpsError
            The objective failed in each of the first trials.
        """
        plan = self.study.plan
        recording = self.tracker.make(plan["name"], "", None)
        stopped = ""
        try:
            workers = self._workers(recording.key)
        except MLOpsError:  # then there is no run either, and a sweep only if it was there before
            if not self.study.trials():
                forget(self.study.folder)
            raise
        with recording:
            recording.log_params(
                {"sweep.method": plan["method"], "sweep.metric": plan["metric"], "sweep.seed": plan["seed"]}
            )
            recording.log_params({f"sweep.space.{name}": text for name, text in self.study.space.described().items()})
            recording.set_tag("mlops.sweep", self.study.folder.name)
            if not isinstance(
                workers, _Here
            ):  # children of other processes find their parent in the store, or stand alone
                with contextlib.suppress(MLOpsError):
                    _ = recording.id
            try:
                self._search(workers)
            except KeyboardInterrupt:
                stopped = "interrupted: `--resume` goes on with it."
            finally:
                workers.close()
            self._broken_off = ("failed", INTERRUPTED) if stopped else ("pruned", OUT_OF_TIME)
            self._weigh()
            found = self._told(stopped)
            if found.best is not None and found.best.value is not None:
                recording.log_metrics({**found.best.metrics, plan["metric"]: found.best.value})
                recording.log_params({f"best.{name}": value for name, value in found.best.params.items()})
                recording.set_tag("mlops.sweep.best", found.best.number)  # by which its model is registered
            if self.ended is not None and not stopped:
                try:
                    self._model = self.ended(found)
                except KeyboardInterrupt:
                    stopped = "interrupted before the best model was fitted on all rows: `--resume` fits it."
            if stopped:
                recording.failed(KeyboardInterrupt())
        keys = self.study.run_keys()
        ids = self._ids([recording.key, *keys.values()])
        named = tuple(replace(t, run=ids.get(keys.get(t.number, ""), "")) for t in found.trials)
        return replace(self._told(stopped), trials=named, run=ids.get(recording.key, ""), model=self._model)

    def _search(self, workers: Workers) -> None:
        left = self.trials - self.study.count()
        running = 0
        while True:
            begun = bool(self._asked) or self._best is not None
            over = begun and bool(self.seconds) and self._left() <= 0  # some answer is due, however short the time
            while running < workers.room and left > 0 and not over:
                self._submit(workers)
                running, left = running + 1, left - 1
            if over and left > 0:
                self._out_of_time = f"the time of {self.seconds:g} s was up: {left} more trials were not begun."
            if not running:
                return
            for outcome in workers.next():
                running -= 1
                left += self._keep(outcome)
            if over and self.reserve is not None and self._best is not None and self._left() <= -GRACE_SECONDS:
                return  # what still runs does not listen

    def _left(self) -> float:
        """The seconds in which trials may still be tried."""
        kept = self.reserve(self._best) if self.reserve is not None and self._best is not None else 0.0
        return self._began + self.seconds - kept - time.monotonic()

    def _submit(self, workers: Workers) -> None:
        plan = self.study.plan
        number, trial_id, params = self.study.ask()
        self._asked[number] = (trial_id, params)
        study = (str(self.study.folder / "study.log"), plan["prune"], trial_id) if plan["prune"] != "none" else None
        seed = plan["seed"] * 100_003 + number
        until = time.time() + self._left() if self.seconds and number > 0 else 0.0
        workers.submit(Evaluation(number, params, f"{plan['name']}-{number}", plan["metric"], "", seed, study, until))

    def _keep(self, outcome: Outcome) -> int:
        """Keep an outcome; 1 if it has to be tried again."""
        trial_id, params = self._asked.pop(outcome.number)
        better = self._is_better(outcome)
        if better:  # before it is told: who goes on with a search that was killed has the best trial's model
            self._model = outcome.model
            self._models.write(outcome.number, outcome.model)
        self.study.tell(outcome.number, trial_id, outcome.state, outcome.value, outcome.told())  # type: ignore[arg-type]  # one of three
        if not better:
            self._models.forget(outcome.number)
        else:
            if self._best is not None:
                self._models.forget(self._best.number)
            self._best = self.study.best()
        self._show(outcome)
        if outcome.reason == LOST and self._again < self.workers * 2:
            self._again += 1
            self.study.again(params)
            return 1
        trials = self.study.trials()
        if (
            outcome.state == "failed"
            and len(trials) >= HOPELESS
            and all(t.state in ("failed", "running") for t in trials)
        ):
            raise MLOpsError(
                f"the objective failed in each of the first {len(trials)} trials; the last said: {outcome.reason.rstrip('.')}.",
                hint="Call it once by hand with the parameters of the trial's run.",
            )
        return 0

    def _is_better(self, outcome: Outcome) -> bool:
        """Whether it is the best so far; of two equal ones the one that was begun first is."""
        if outcome.value is None or self._best is None or self._best.value is None:
            return outcome.value is not None
        sign = 1.0 if self.study.plan["minimize"] else -1.0
        return (sign * outcome.value, outcome.number) < (sign * self._best.value, self._best.number)

    def _show(self, outcome: Outcome) -> None:
        value = "" if outcome.value is None else f" {self.study.plan['metric']} {outcome.value:.6g}"
        best = "" if self._best is None else f", best {self._best.value:.6g}"
        done = sum(t.state != "running" for t in self.study.trials())
        self.context.progress(f"trial {done} of {self.trials}: {outcome.state}{value}{best}")
        show = self.context.hooks.get("show")
        if show is not None:
            if outcome.state == "complete" and self._spare:
                with self._spare.taken():  # a twentieth of the time
                    self._weigh()
            show(f"sweep-{self.study.folder.name}", self._told(""))

    def _weigh(self) -> None:
        """Work out what each parameter explains; that fits a forest, which nobody may take for one of the user's."""
        with quiet_autologging():
            self._weights = self.tracker.autolog.unwatched(self.study.importances)

    def _told(self, stopped: str) -> Sweep:
        plan = self.study.plan
        trials: tuple[Trial, ...] = self.study.trials()
        if self._broken_off is not None:
            state, reason = self._broken_off
            trials = tuple(replace(t, state=state, reason=reason) if t.state == "running" else t for t in trials)
        return Sweep(
            id=self.study.folder.name,
            name=plan["name"],
            method=plan["method"],
            metric=plan["metric"],
            minimize=plan["minimize"],
            trials=trials,
            asked=self.trials,
            seed=plan["seed"],
            space=self.study.space.described(),
            importances=self._weights,
            took_ms=(time.monotonic() - self._began) * 1000,
            notes=tuple(filter(None, (stopped, self._out_of_time))),
        )

    def _ids(self, keys: list[str]) -> dict[str, str]:
        """MLflow's ids by key, as far as the store has them."""
        try:
            answer: dict[str, str] = self.context.call("tracking.ids", keys=[key for key in keys if key])
        except MLOpsError:
            return {}
        return answer

    # where trials run

    def _workers(self, parent: str) -> Workers:
        if self.workers == 1 and not self.dask:
            return _Here(self.tracker, self.objective)
        opener = self.context.hooks["open_context"]
        payload = Payload(str(self.study.folder / "objective.pickle"))
        payload.write(self.objective)
        call = (opener, str(self.context.workspace.root), payload.path)
        return _Dask(call, parent, self.workers, self.dask) if self.dask else _Processes(call, parent, self.workers)


class _Here:
    """Trials one after the other in this process, where the objective finds everything it is used to."""

    room = 1

    def __init__(self, tracker: Tracker, objective: Callable[..., Any]) -> None:
        self._tracker = tracker
        self._objective = objective
        self._asked: list[Evaluation] = []

    def submit(self, asked: Evaluation) -> None:
        self._asked.append(asked)

    def next(self) -> list[Outcome]:
        return [evaluate(self._tracker, self._objective, self._asked.pop(0))]

    def close(self) -> None:
        self._asked.clear()


class _Processes:
    """Trials in processes of this machine; one that is killed costs its trial, which is tried again."""

    def __init__(self, call: tuple[Any, str, str], parent: str, count: int) -> None:
        self.room = count
        self._call = call
        self._parent = parent
        self._running: dict[Future[Outcome], Evaluation] = {}
        self._executor = self._new()
        for _ in range(count):  # while the store takes in the sweep's run
            self._executor.submit(ready, *call)

    def _new(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        return ProcessPoolExecutor(max_workers=self.room, initializer=end_with, initargs=(os.getpid(),))

    def submit(self, asked: Evaluation) -> None:
        asked = replace(asked, parent=self._parent)
        try:
            future = self._executor.submit(evaluate_elsewhere, *self._call, asked)
        except Exception:  # loky names no public class for a pool whose worker was killed
            self._executor = self._new()
            future = self._executor.submit(evaluate_elsewhere, *self._call, asked)
        self._running[future] = asked

    def next(self) -> list[Outcome]:
        done, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        return [self._outcome(future, self._running.pop(future)) for future in done]

    def _outcome(self, future: Future[Outcome], asked: Evaluation) -> Outcome:
        try:
            return future.result()
        except Exception as error:
            lost = "Terminated" in type(error).__name__ or "Broken" in type(error).__name__
            return Outcome(asked.number, "failed", reason=LOST if lost else f"{type(error).__name__}: {error}"[:500])

    def close(self) -> None:
        self._executor.shutdown(wait=not self._running, kill_workers=bool(self._running))
        Path(self._call[2]).unlink(missing_ok=True)


class _Dask:
    """Trials on a Dask cluster whose workers see the workspace's folder."""

    def __init__(self, call: tuple[Any, str, str], parent: str, count: int, address: str) -> None:
        try:
            from distributed import Client, LocalCluster
        except ModuleNotFoundError:
            raise MissingDependency(
                "trials on Dask need Dask itself.", hint="pip install 'jupyter-mlops[dask]'"
            ) from None
        self._cluster = None
        try:
            if address == "local":
                self._cluster = LocalCluster(
                    n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
                )
            self._client = Client(self._cluster or address, timeout="20s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise InvalidArgument(
                f"no Dask scheduler answers at {address!r}: {error}.", hint="Give its address, or `--dask local`."
            ) from error
        self.room = max(1, count if self._cluster else sum(self._client.ncores().values()))
        self._call = call
        self._parent = parent
        self._running: dict[Any, Evaluation] = {}

    def submit(self, asked: Evaluation) -> None:
        asked = replace(asked, parent=self._parent)
        future = self._client.submit(evaluate_elsewhere, *self._call, asked, pure=False, retries=2)
        self._running[future] = asked

    def next(self) -> list[Outcome]:
        done = [future for future in self._running if future.done()]
        if not done:
            time.sleep(POLL_SECONDS / 4)
        return [self._outcome(future, self._running.pop(future)) for future in done]

    def _outcome(self, future: Any, asked: Evaluation) -> Outcome:
        try:
            found: Outcome = future.result()
        except Exception as error:
            lost = type(error).__name__ == "KilledWorker"
            return Outcome(asked.number, "failed", reason=LOST if lost else f"{type(error).__name__}: {error}"[:500])
        return found

    def close(self) -> None:
        self._client.cancel(list(self._running))
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        Path(self._call[2]).unlink(missing_ok=True)


def newest(home: Path, name: str) -> Path | None:
    """The folder of the sweep of this name that was begun last."""
    found = sorted((home / FOLDER).glob(f"{name}.*"))
    return found[-1] if found else None


def new_folder(home: Path, name: str) -> Path:
    """A folder for a new sweep; those of the same name sort by time."""
    return home / FOLDER / f"{name}.{time.time_ns() // 1_000_000:013d}"


def forget(folder: Path) -> None:
    """Remove a sweep that never had a trial."""
    shutil.rmtree(folder, ignore_errors=True)
