"""The commands that search: `sweep` over a function or cell, `automl` over models for a table."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from ..domain.command import Arg, command
from ..domain.context import CommandSet
from ..domain.reference import check_name
from ..domain.sweep import Sweep, Trial
from ..errors import InvalidArgument, NotFound
from .search_space import SearchSpace
from .tracker import tracker_of

__all__ = ["SweepCommands"]

TRIALS = 20


class SweepCommands(CommandSet):
    """Many runs out of one function."""

    @command("sweep", stage="tracking", changes=True)
    def sweep(
        self,
        objective: Annotated[Any, Arg(value="object", metavar="FUNCTION")] = "",
        *,
        space: Annotated[list[str], Arg(metavar="NAME=VALUES")] = (),  # type: ignore[assignment]  # an empty space is refused by name
        name: Annotated[str, Arg(metavar="NAME")] = "",
        metric: Annotated[str, Arg(metavar="METRIC")] = "",
        minimize: bool = False,
        trials: int | None = None,
        method: Annotated[str, Arg(choices=("bayesian", "random", "grid"))] = "bayesian",
        prune: Annotated[str, Arg(choices=("none", "median", "hyperband"))] = "none",
        seed: int = 0,
        workers: int = 1,
        dask: Annotated[str, Arg(metavar="ADDRESS")] = "",
        seconds: float = 0.0,
        resume: bool = False,
    ) -> Sweep:
        """Search for the parameters under which a function, or a cell, gives the best metric.

        The function is called with the parameters by name and returns a number, or metrics by name; ``return score,
        model`` also hands over the model. Where it has a parameter ``trial``, ``trial.report(value, step)`` tells how it
        is getting on, which draws a curve and lets a sweep prune; where it has one called ``seed``, it gets a seed of its
        own. A cell may use both names in the same way. Each trial is a run, a child of the sweep's. The same seed gives the same trials; with several workers that
        holds for random and grid search, since what a Bayesian search tries depends on what has ended before.

        Parameters
        ----------
        objective
            The function. A cell that begins with ``%%mlops sweep`` stands for itself: its code is run with the
            parameters set, and the name that `metric` gives is its result.
        space
            The parameters: ``depth=2..8``, ``C=0.01..100:log``, ``rate=0..1:0.1``, ``kind=gini,entropy``;
            several in quotes, or the option several times.
        name
            The sweep's name; the function's own by default.
        metric
            Which of the metrics that the function returns counts; what to call the number that it returns.
        minimize
            The smallest metric is the best.
        trials
            How many sets of parameters to try: 20 by default, and all of a grid's.
        method
            How to choose them: ``bayesian`` (TPE), ``random``, or ``grid``: every combination, of a range without a
            step 5 values.
        prune
            Whether to end trials early that are worse at the same step: than the ``median`` of the others, or by
            ``hyperband``.
        seed
            What the choice begins with.
        workers
            How many processes try at once; 1 tries in this one.
        dask
            A Dask scheduler's address whose workers try; ``local`` starts one here.
        seconds
            After which no new trial is begun, counted from the command's beginning; 0 for no end.
        resume
            Go on with the sweep of this name that was interrupted or killed.

        Examples
        --------
        %mlops sweep train --space "depth=2..8 rate=0.01..0.3:log" --trials 30 --metric auc
        %mlops sweep train --space depth=2..8 --method random --workers 2 --resume
        """
        began = time.monotonic()
        found = SearchSpace.read(space)
        function, metric = self._objective(objective, found, metric)
        called = name or str(getattr(function, "__name__", "sweep"))
        check_name(called, "sweep")
        for option, value in (("--trials", trials), ("--workers", workers)):
            if value is not None and value < 1:
                raise InvalidArgument(f"{option} takes a number from 1 on, not {value}.")
        if not seconds >= 0:
            raise InvalidArgument(f"--seconds takes a time in seconds, or 0 for no end, not {seconds:g}.")
        plan = {"metric": metric, "minimize": minimize, "method": method, "prune": prune, "seed": seed}
        return self._search(
            function,
            found,
            called,
            plan,
            began=began,
            trials=trials,
            workers=workers,
            dask=dask,
            seconds=seconds,
            resume=resume,
        )

    @command("automl", stage="tracking", changes=True)
    def automl(
        self,
        data: Annotated[Any, Arg(value="table", complete="data", metavar="TABLE")],
        *,
        target: Annotated[str, Arg(metavar="COLUMN")],
        name: Annotated[str, Arg(metavar="NAME")] = "automl",
        seconds: float = 60.0,
        trials: int = 200,
        metric: Annotated[str, Arg(metavar="METRIC")] = "",
        seed: int = 0,
        workers: int = 1,
        resume: bool = False,
    ) -> Sweep:
        """Search over scikit-learn's models for a table, within a time budget; the best, fitted on all of it, in hand.

        Linear models, forests, gradient boosting and neighbours, each behind the preparation that the columns need, are
        compared by cross-validation; one that is worse after some folds than the others were is given up. The first
        trial is always the baseline that learns nothing. The test data is yours to keep aside: what this gives is a
        score of cross-validation, which is the better for having been searched for.

        Parameters
        ----------
        data
            The training table: a DataFrame, or a data version such as ``adult@v3``.
        target
            The column to predict.
        name
            The sweep's name.
        seconds
            The time budget, from the command's beginning. The last fit, on all rows, is in it: as much is kept free as
            the best model's folds let expect. When the time is up the fold that runs is broken off; only the baseline
            always comes to its end.
        trials
            How many models to try at the most.
        metric
            A scorer of scikit-learn: by default ``roc_auc`` for two classes, ``neg_log_loss`` for more, ``r2`` for numbers.
        seed
            What the search, the folds and the models begin with.
        workers
            How many processes try at once.
        resume
            Go on with the search of this name that was interrupted or killed.

        Examples
        --------
        %mlops automl churn --target churned --seconds 120 -o search
        """
        began = time.monotonic()
        from .automl import FIRST, AutoML

        frame = self.context.hooks["table"](self.context, data)
        if target not in frame.columns:
            raise NotFound.among("column", target, [str(column) for column in frame.columns])
        if seconds <= 0:
            raise InvalidArgument(f"--seconds takes a time budget above 0, not {seconds:g}.")
        check_name(name, "sweep")
        made = AutoML(frame, target, metric=metric, seed=seed)
        plan = {"metric": made.scoring, "minimize": False, "method": "bayesian", "prune": "median", "seed": seed}
        return self._search(
            made,
            made.space(),
            name,
            plan,
            began=began,
            trials=trials,
            workers=workers,
            seconds=seconds,
            resume=resume,
            reserve=made.reserve,
            ended=made.finish,
            first=FIRST,
        )

    def _search(
        self,
        function: Callable[..., Any],
        space: SearchSpace,
        name: str,
        plan: dict[str, Any],
        *,
        began: float,
        trials: int | None,
        workers: int = 1,
        dask: str = "",
        seconds: float = 0.0,
        resume: bool = False,
        reserve: Callable[[Trial], float] | None = None,
        ended: Callable[[Sweep], Any] | None = None,
        first: Sequence[dict[str, Any]] = (),
    ) -> Sweep:
        from .study import Study, optuna_library
        from .sweep import Search, new_folder, newest
        from .trial import check_objective

        optuna_library()
        check_objective(function, list(space.domains))
        if plan["method"] == "grid":
            space = space.grid()
            count = len(space.combinations())
            trials = min(trials or count, count)
        home = self.context.workspace.home
        earlier = newest(home, name)
        if resume and earlier is None:
            raise NotFound(f"there is no sweep called {name!r} to go on with.", hint="Leave --resume out to begin it.")
        fresh = earlier is None or not resume
        folder = earlier if resume and earlier is not None else new_folder(home, name)
        study = Study(folder, space, {**plan, "name": name, "space": space.described()})
        for params in first if fresh else ():
            study.again(params)
        search = Search(
            self.context,
            tracker_of(self.context),
            function,
            study,
            trials=trials or TRIALS,
            began=began,
            seconds=seconds,
            workers=workers,
            dask=dask,
            reserve=reserve,
            ended=ended,
        )
        return search.run()

    def _objective(self, given: Any, space: SearchSpace, metric: str) -> tuple[Callable[..., Any], str]:
        if callable(given):
            return given, metric or "objective"
        if not isinstance(given, str) or not given.strip():
            raise InvalidArgument(
                f"a sweep takes a function, not {type(given).__name__}.", hint="Or begin a cell with `%%mlops sweep`."
            )
        if given.isidentifier():
            raise NotFound(f"there is no function {given!r} here.", hint="Define it first.")
        if not metric:
            raise InvalidArgument("a sweep over a cell needs --metric: the name in the cell that holds the result.")
        from .trial import HANDED, CodeObjective

        transform = self.context.hooks.get("transform_cell")
        try:
            code = str(transform(given)) if transform is not None else given
            tree = ast.parse(code)
        except SyntaxError as error:
            raise InvalidArgument(f"the cell is no Python: {error.msg} in line {error.lineno}.") from None
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if metric not in names:
            raise InvalidArgument(
                f"the cell binds no name {metric!r} to be the metric.", hint="Give --metric a name that the cell sets."
            )
        known: Mapping[str, Any] = self.context.namespace or {}
        handed = {name for name in HANDED if name in names and name not in space.domains}
        if "trial.report" not in code:  # any other `trial` is the notebook's own, as is a `seed` that it has
            handed.discard("trial")
        handed -= {"seed"} & known.keys()
        needed = _needed(names - handed - set(space.domains), known)
        return CodeObjective(code, needed, metric, sorted(handed)), metric


def _needed(names: set[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of these names, and of the names that functions among them read in turn.

    Examples
    --------
    >>> scope = {}
    >>> exec("def double(x): return factor * x", scope)
    >>> sorted(_needed({"double"}, {**scope, "factor": 2, "other": 3}))
    ['double', 'factor']
    """
    found: dict[str, Any] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name in found or name not in known or name.startswith("__"):
            continue
        found[name] = known[name]
        code = getattr(known[name], "__code__", None)
        if code is not None and getattr(known[name], "__globals__", {}).get("__name__") in (
            None,
            "__main__",
            "builtins",
        ):
            waiting |= set(code.co_names)
    return found
