"""Study: a sweep's memory: which parameters were tried and what came of them, in an Optuna journal that survives a kill."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..domain.sweep import Trial, TrialState
from ..errors import Conflict, MissingDependency
from .search_space import Choice, SearchSpace

if TYPE_CHECKING:
    import optuna

__all__ = ["METHODS", "PRUNERS", "Method", "Pruner", "Study", "leave", "load_study"]

Method = Literal["bayesian", "random", "grid"]
Pruner = Literal["none", "median", "hyperband"]
METHODS: tuple[Method, ...] = ("bayesian", "random", "grid")
PRUNERS: tuple[Pruner, ...] = ("none", "median", "hyperband")

NAME = "sweep"
JOURNAL, PLAN, ENDED = "study.log", "plan.json", "ended.{}.json"
RUN_KEY, METRICS, REASON, TOOK = "run_key", "metrics", "reason", "took_ms"
INTERRUPTED, LOST = "the search was interrupted", "the process that tried it died"
"""Why a trial has failed that is tried again."""
OUT_OF_TIME = "the time was up"
"""Why a trial was broken off."""
NOT_BEGUN = "the search was interrupted before it had its parameters"
"""Why a trial has failed that is none: another takes its place."""
STATES: dict[str, TrialState] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "running",
}


def optuna_library() -> Any:
    """Optuna, quiet; loaded when a sweep begins.

    Raises
    ------
    MissingDependency
        It is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingDependency(
            "a sweep needs Optuna, which chooses what to try next.", hint="pip install 'jupyter-mlops[sweep]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").setLevel(logging.WARNING)
    return optuna


class _Lock:
    """Optuna's journal under the system's own lock: it goes with the process that holds it, however that ends."""

    def __init__(self, path: str) -> None:
        self._path = f"{path}.lock"
        self._held = threading.local()

    def acquire(self) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._held.file = file
        return True

    def release(self) -> None:
        os.close(self._held.file)


def _storage(path: str) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(path, lock_obj=_Lock(path)))


def load_study(path: str, pruner: Pruner) -> optuna.Study:
    """The study that is kept in a file; what another process has added since is seen."""
    optuna = optuna_library()
    kinds = {"none": optuna.pruners.NopPruner, "median": optuna.pruners.MedianPruner}
    made = optuna.pruners.HyperbandPruner() if pruner == "hyperband" else kinds[pruner]()
    return optuna.load_study(study_name=NAME, storage=_storage(path), pruner=made)


def leave(folder: Path, number: int, state: str, value: float | None, told: dict[str, Any]) -> None:
    """Leave what came of a trial beside the study, for when it goes on and nobody has told it."""
    arriving = folder / f".{ENDED.format(number)}"
    arriving.write_text(json.dumps({"state": state, "value": value, "told": told}))
    arriving.replace(folder / ENDED.format(number))


def _written(value: Any) -> str:
    """A part of a plan as one writes it in a command."""
    return f'"{" ".join(f"{k}={v}" for k, v in value.items())}"' if isinstance(value, dict) else str(value)


class Study:
    """A sweep's trials, in a folder.

    Parameters
    ----------
    folder
        Where it is kept; made if it is not there.
    plan
        What is searched and how: JSON-ready. A study that is there already must have been made with the same.

    Raises
    ------
    Conflict
        The folder holds a search over something else.
    """

    def __init__(self, folder: Path, space: SearchSpace, plan: dict[str, Any]) -> None:
        self.folder = folder
        self.space = space
        self.plan = plan
        optuna = optuna_library()
        self._make(optuna)
        self._study = load_study(str(folder / JOURNAL), plan["prune"])
        self._give_up_lost()

    def _make(self, optuna: Any) -> None:
        kept = self.folder / PLAN
        if kept.exists():
            before = json.loads(kept.read_text())
            for key in ("space", "metric", "minimize", "method", "prune", "seed"):
                if before.get(key) != self.plan[key]:
                    then, now = (_written(plan.get(key)) for plan in (before, self.plan))
                    raise Conflict(
                        f"the newest sweep called {self.plan['name']!r} was begun with {key} {then}, not {now}.",
                        hint="Leave --resume out to begin another, or ask for the same.",
                    )
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        direction = "minimize" if self.plan["minimize"] else "maximize"
        storage = _storage(str(self.folder / JOURNAL))
        study = optuna.create_study(study_name=NAME, storage=storage, direction=direction, load_if_exists=True)
        if self.plan["method"] == "grid" and not study.get_trials(deepcopy=False):
            combinations = self.space.combinations()
            random.Random(self.plan["seed"]).shuffle(combinations)  # noqa: S311 an order, no secret
            for params in combinations:
                study.enqueue_trial(self._kept(params))
        making = self.folder / f".{PLAN}.{os.getpid()}"
        making.write_text(json.dumps(self.plan))
        making.replace(kept)

    def _give_up_lost(self) -> None:
        """Trials that were running when the search was killed are tried again, but for those that have come to an end."""
        optuna = optuna_library()
        for trial in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            try:
                left = json.loads((self.folder / ENDED.format(trial.number)).read_text())
            except (OSError, ValueError):
                left = None
            if left is not None:
                self.tell(trial.number, trial._trial_id, left["state"], left["value"], left["told"])  # noqa: SLF001 as below
                continue
            fixed = trial.system_attrs.get("fixed_params")
            begun = fixed is not None or self.space.complete(trial.params)
            if begun:
                self._study.enqueue_trial(trial.params if fixed is None else fixed)
            self._note(trial._trial_id, {REASON: INTERRUPTED if begun else NOT_BEGUN})  # noqa: SLF001 Optuna names it nowhere else
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def sampler(self, number: int) -> Any:
        """What chooses the parameters of a trial; the seed, its number and the trials told so far decide, nothing else."""
        optuna = optuna_library()
        import numpy as np

        seed = int(np.random.SeedSequence([self.plan["seed"], number]).generate_state(1)[0])
        if self.plan["method"] in ("random", "grid"):  # a grid's trials wait in line from the beginning
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=10)

    def ask(self) -> tuple[int, int, dict[str, Any]]:
        """The next trial: its number, its id in the study's file, and its parameters."""
        # What is tried again has its parameters already, and must not shift what the seed gives to the others.
        before = self._study.get_trials(deepcopy=False)
        drawn = [t for t in before if "fixed_params" not in t.system_attrs and t.user_attrs.get(REASON) != NOT_BEGUN]
        self._study.sampler = self.sampler(len(drawn))
        trial = self._study.ask()
        params = self.space.suggest(trial)
        return trial.number, trial._trial_id, params  # noqa: SLF001 as above

    def tell(self, number: int, trial_id: int, state: TrialState, value: float | None, told: dict[str, Any]) -> None:
        """Keep what came of a trial."""
        optuna = optuna_library()
        self._note(trial_id, told)
        ended = {
            "complete": optuna.trial.TrialState.COMPLETE,
            "pruned": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }[state]
        self._study.tell(number, value if state == "complete" else None, state=ended)
        (self.folder / ENDED.format(number)).unlink(missing_ok=True)

    def again(self, params: dict[str, Any]) -> None:
        """Try the same parameters once more: the process that tried them has died."""
        self._study.enqueue_trial(self._kept(params))

    def _kept(self, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters as Optuna keeps them: of a choice, the place."""
        return {
            name: domain.values.index(params[name]) if isinstance(domain, Choice) else params[name]
            for name, domain in self.space.domains.items()
            if name in params
        }

    def _note(self, trial_id: int, told: dict[str, Any]) -> None:
        for key, value in told.items():
            self._study._storage.set_trial_user_attr(trial_id, key, value)  # noqa: SLF001 a Trial of a running study only

    def count(self) -> int:
        """How many trials have come to an end other than by being lost."""
        return sum(t.state in ("complete", "pruned") or t.reason not in (INTERRUPTED, LOST) for t in self.trials())

    def run_keys(self) -> dict[int, str]:
        """The key of each trial's run, by the trial's number."""
        return {t.number: t.user_attrs.get(RUN_KEY, "") for t in self._study.get_trials(deepcopy=False)}

    def trials(self) -> tuple[Trial, ...]:
        """Every trial as it stands."""
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            state = STATES[trial.state.name]
            value = trial.value if state == "complete" else None
            if state == "pruned" and trial.intermediate_values:
                value = trial.intermediate_values[max(trial.intermediate_values)]
            told = trial.user_attrs
            if trial.state.name == "WAITING" or told.get(REASON) == NOT_BEGUN:
                continue
            found.append(
                Trial(
                    trial.number,
                    self.space.restore(trial.params),
                    state,
                    value,
                    dict(told.get(METRICS, {})),
                    float(told.get(TOOK, 0.0)),
                    "",
                    str(told.get(REASON, "")),
                )
            )
        return tuple(found)

    def best(self) -> Trial | None:
        """The best trial so far, the earlier of two equal ones."""
        sign = 1.0 if self.plan["minimize"] else -1.0
        done = ((sign * t.value, t.number, t) for t in self.trials() if t.state == "complete" and t.value is not None)
        return min(done, key=lambda each: each[:2], default=(0, 0, None))[2]

    def importances(self) -> dict[str, float]:
        """What each parameter explains of the metric's variance, largest first; empty where that cannot be told."""
        optuna = optuna_library()
        done = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        values = {trial.value for trial in done}
        if len(done) < 4 or len(values) < 2:
            return {}
        try:
            from optuna.importance import FanovaImportanceEvaluator, get_param_importances

            found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=self.plan["seed"]))
        except (ValueError, RuntimeError):
            return {}
        return {name: round(float(share), 4) for name, share in found.items()}
