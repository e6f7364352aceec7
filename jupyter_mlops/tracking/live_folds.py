"""Live folds: the scores of cross-validation and of a search's candidates, told as each comes in.

scikit-learn hands its folds to joblib and takes a list back. Here the same list is made out of the generator that joblib
offers, so that every result is seen when it is there, in order, with any backend: this process, threads, other
processes, Dask.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean, stdev
from typing import Any

from ..domain.run import FOLD
from .live_curves import LiveCurves
from .patches import Patches

__all__ = ["watch_candidates", "watch_folds"]

VALIDATION, SEARCH = "sklearn.model_selection._validation", "sklearn.model_selection._search"


def watch_folds(curves: LiveCurves, patches: Patches, named: Callable[[str], str]) -> None:
    """Tell the score of each fold, with mean and spread of those so far.

    Parameters
    ----------
    named
        Gives a score's name in the run.
    """
    scores: dict[str, list[float]] = {}

    def told(result: Any) -> None:
        found = result["test_scores"]
        for score, value in (found if isinstance(found, dict) else {"score": found}).items():
            name = named(score)
            so_far = scores.setdefault(name, [])
            so_far.append(float(value))
            curves.point(name + FOLD, len(so_far), so_far[-1])
            if len(so_far) > 1:
                curves.point(f"{name}_mean", len(so_far), fmean(so_far))
                curves.point(f"{name}_std", len(so_far), stdev(so_far))

    _report(VALIDATION, patches, told, lambda _task: None)


def watch_candidates(search: Any, curves: LiveCurves, patches: Patches) -> None:
    """Tell the mean score of each candidate of a search as soon as its folds are in: ``candidate_score``, a step each."""
    folds: list[float] = []
    at = {"candidate": 0}

    def told(result: Any) -> None:
        found = result["test_scores"]
        if isinstance(found, dict):
            refit = search.refit
            found = found[refit] if isinstance(refit, str) and refit in found else next(iter(found.values()))
        folds.append(float(found))
        if len(folds) >= search.n_splits_:
            at["candidate"] += 1
            curves.point("candidate_score", at["candidate"], fmean(folds))
            folds.clear()

    def asked(task: Any) -> None:
        progress = task[2].get("candidate_progress")
        if progress is not None:
            curves.total = max(curves.total, progress[1])

    _report(SEARCH, patches, told, asked)


def _report(module: str, patches: Patches, told: Callable[[Any], None], asked: Callable[[Any], None]) -> None:
    """Let a module of scikit-learn's make its lists out of joblib's generator."""
    held = sys.modules.get(module)
    if held is None:
        return
    parallel = vars(held)["Parallel"]

    class Parallel(parallel):  # type: ignore[misc,valid-type]  # scikit-learn has no types
        """Gives what it gives, and tells of each result as it comes."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().__init__(*args, **{"return_as": "generator", **kwargs})
            except (TypeError, ValueError):  # an older joblib, or a backend that gives lists only
                super().__init__(*args, **kwargs)

        def __call__(self, iterable: Iterable[Any]) -> Any:
            results = super().__call__(_heard(iterable, asked))
            kept = []
            try:
                for result in results:
                    kept.append(result)
                    with contextlib.suppress(Exception):  # telling is not the fit's matter
                        told(result)
            finally:
                if hasattr(results, "close"):
                    results.close()
            return kept

    patches.set(held, "Parallel", Parallel)


def _heard(tasks: Iterable[Any], asked: Callable[[Any], None]) -> Iterator[Any]:
    for task in tasks:
        with contextlib.suppress(Exception):
            asked(task)
        yield task
