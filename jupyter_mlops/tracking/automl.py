"""AutoML: scikit-learn's models for one table, each behind the preparation its columns need, as a sweep's objective."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..domain.run import FOLD
from ..domain.sweep import Sweep, Trial
from ..errors import InvalidArgument
from .search_space import Choice, Range, SearchSpace
from .study import OUT_OF_TIME
from .trial import Pruned

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AutoML"]

FAMILIES = ("baseline", "linear", "forest", "boosting", "neighbours")
FIRST: tuple[dict[str, Any], ...] = (
    {"model": "baseline"},
    {"model": "linear", "linear_C": 1.0},
    {"model": "boosting", "boosting_rate": 0.1, "boosting_rounds": 100},
)
"""What is tried first: the baseline that learns nothing, then what usually does well, so that a short budget gives something."""
FOLDS, FEWER_FOLDS, MANY_ROWS = 5, 3, 20_000
FEWEST_ROWS = 20
MOST_CATEGORIES = 50
FREE_TEXT = 0.5  # a text column with more distinct values than this share of its rows tells a model nothing
WHOLE_CLASSES = 20  # whole numbers with at most so many distinct values are classes


class AutoML:
    """A table and its target, as something that can be called with a family of models and its parameters.

    Parameters
    ----------
    metric
        A scorer's name, or empty for the usual one.

    Raises
    ------
    InvalidArgument
        There are too few rows or classes to learn from, or no such scorer.
    """

    __name__ = "automl"

    def __init__(self, frame: pd.DataFrame, target: str, *, metric: str = "", seed: int = 0) -> None:
        from sklearn.metrics import get_scorer_names

        twice = [str(name) for name in frame.columns[frame.columns.duplicated()]]
        if twice:
            raise InvalidArgument(
                f"the table has several columns called {twice[0]!r}.", hint="Give each a name of its own."
            )
        usable = frame[frame[target].notna()]
        if len(usable) < FEWEST_ROWS:
            raise InvalidArgument(
                f"{len(usable)} rows have a value of {target!r}; a search needs at least {FEWEST_ROWS}."
            )
        self.seed = seed
        self.target = usable[target]
        self.numeric, self.categorical, self.left_out = _kinds(usable.drop(columns=target))
        if not (self.numeric or self.categorical):
            raise InvalidArgument(f"no column beside {target!r} can be learned from.")
        self.features = usable[[*self.numeric, *self.categorical]]
        self.classes = _classes(self.target)
        if not self.classes and not (abs(self.target.astype(float)) < float("inf")).all():
            raise InvalidArgument(f"{target!r} has infinite values.", hint="Leave such rows out, or set a bound.")
        if self.classes == 1:
            raise InvalidArgument(f"{target!r} has one value only.")
        self.folds = FOLDS if len(self.features) < MANY_ROWS else FEWER_FOLDS
        if self.classes:
            counts = self.target.value_counts()
            rare = [repr(kind) for kind in counts.index[counts < 2]]
            if rare:
                named = ", ".join(rare[:3]) + (f" and {len(rare) - 3} more" if len(rare) > 3 else "")
                raise InvalidArgument(
                    f"{target!r} has classes of a single row, of which no fold can be tested: {named}.",
                    hint="Leave such rows out, or join rare classes; free text and names are no classes.",
                )
            self.folds = max(2, min(self.folds, int(counts.min())))
        usual = "r2" if not self.classes else "roc_auc" if self.classes == 2 else "neg_log_loss"
        self.scoring = metric or usual
        if self.scoring not in get_scorer_names():
            raise InvalidArgument.unknown("scorer", metric, get_scorer_names())

    def space(self) -> SearchSpace:
        """The families and what can be turned on each."""
        rows = len(self.features)
        domains: dict[str, Choice | Range] = {
            "model": Choice(FAMILIES),
            "linear_C": Range(1e-3, 1e3, log=True),
            "forest_trees": Range(50, 300, integer=True, step=50),
            "forest_leaf": Range(1, max(2, min(50, rows // 50)), integer=True, log=True),
            "forest_features": Choice(("sqrt", 0.3, 0.6, 1.0)),
            "boosting_rate": Range(0.02, 0.3, log=True),
            "boosting_leaves": Range(4, 128, integer=True, log=True),
            "boosting_rounds": Range(50, 400, integer=True, step=50),
            "boosting_leaf": Range(2, max(3, min(100, rows // 20)), integer=True, log=True),
            "boosting_l2": Range(1e-6, 10.0, log=True),
            "neighbours_k": Range(1, max(2, min(50, rows // 10)), integer=True, log=True),
        }
        return SearchSpace(domains, {name: ("model", name.partition("_")[0]) for name in domains if name != "model"})

    def __call__(self, *, trial: Any = None, **params: Any) -> dict[str, float]:
        """The mean score over the folds and its standard deviation; logs each fold's score, tells their running mean."""
        from sklearn.metrics import get_scorer
        from sklearn.model_selection import KFold, StratifiedKFold

        kind: Any = StratifiedKFold if self.classes else KFold
        cutter = kind(self.folds, shuffle=True, random_state=self.seed)
        scorer = get_scorer(self.scoring)
        scores: list[float] = []
        for i, (train, test) in enumerate(cutter.split(self.features, self.target)):
            model = self.build(params)
            with warnings.catch_warnings(), _cut_off(trial.until if trial is not None else 0.0):
                warnings.simplefilter("ignore")
                model.fit(self.features.iloc[train], self.target.iloc[train])
                scores.append(float(scorer(model, self.features.iloc[test], self.target.iloc[test])))
            if trial is not None:
                trial.log_metric(f"{self.scoring}{FOLD}", scores[-1], i + 1)
                trial.report(sum(scores) / len(scores), i)
                if trial.out_of_time and len(scores) < self.folds:
                    raise Pruned(f"{OUT_OF_TIME} after {len(scores)} of {self.folds} folds")
        mean = sum(scores) / len(scores)
        spread = (sum((s - mean) ** 2 for s in scores) / max(1, len(scores) - 1)) ** 0.5
        return {self.scoring: mean, f"{self.scoring}_std": spread}

    def reserve(self, best: Trial) -> float:
        """The seconds that fitting the best model on all rows will take, as its folds let expect."""
        return best.took_ms / 1000 / (self.folds - 1)  # all of its folds have fitted so many times all rows

    def finish(self, found: Sweep) -> Any:
        """The best model, fitted on all rows; None where no trial came to an end."""
        if found.best is None:
            return None
        model = self.build(found.best.params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(self.features, self.target)

    def build(self, params: dict[str, Any]) -> Any:
        """The unfitted pipeline of a set of parameters."""
        from sklearn.pipeline import Pipeline

        family = params["model"]
        return Pipeline([("prepare", self._preparation(family)), ("model", self._model(family, params))])

    def _preparation(self, family: str) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

        trees = family in ("boosting", "forest")
        numeric: list[tuple[str, Any]] = [] if family == "boosting" else [("fill", SimpleImputer(strategy="median"))]
        if not trees:
            numeric.append(("scale", StandardScaler()))
        if trees:
            encode: Any = OrdinalEncoder(
                handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, min_frequency=2
            )
        else:
            encode = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES)
        parts: list[tuple[str, Any, list[str]]] = []
        if self.numeric:
            parts.append(("numbers", Pipeline(numeric) if numeric else "passthrough", self.numeric))
        if self.categorical:
            parts.append(("categories", encode, self.categorical))
        return ColumnTransformer(parts)

    def _model(self, family: str, params: dict[str, Any]) -> Any:
        from sklearn import dummy, ensemble, linear_model, neighbors

        if family == "baseline":
            return dummy.DummyClassifier(strategy="prior") if self.classes else dummy.DummyRegressor()
        if family == "linear":
            if self.classes:
                return linear_model.LogisticRegression(C=params["linear_C"], max_iter=1000)
            return linear_model.Ridge(alpha=1 / params["linear_C"])
        if family == "neighbours":
            kind = neighbors.KNeighborsClassifier if self.classes else neighbors.KNeighborsRegressor
            return kind(params["neighbours_k"], weights="distance")
        if family == "forest":
            kind = ensemble.RandomForestClassifier if self.classes else ensemble.RandomForestRegressor
            return kind(
                params["forest_trees"],
                min_samples_leaf=params["forest_leaf"],
                max_features=params["forest_features"],
                random_state=self.seed,
            )
        kind = ensemble.HistGradientBoostingClassifier if self.classes else ensemble.HistGradientBoostingRegressor
        return kind(
            learning_rate=params["boosting_rate"],
            max_leaf_nodes=params["boosting_leaves"],
            max_iter=params["boosting_rounds"],
            min_samples_leaf=params["boosting_leaf"],
            l2_regularization=params["boosting_l2"],
            early_stopping=False,
            random_state=self.seed,
        )


@contextlib.contextmanager
def _cut_off(until: float) -> Iterator[None]:
    """End what is inside, as an interrupt would, at this time; where no alarm is to be had it comes to its own end."""
    here = threading.current_thread() is threading.main_thread()
    if not until or not here or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def ring(*_: Any) -> None:
        raise Pruned(OUT_OF_TIME)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, until - time.time()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


def _classes(target: pd.Series) -> int:
    """How many classes there are; 0 for numbers."""
    import pandas as pd

    kinds = int(target.nunique())
    if pd.api.types.is_bool_dtype(target) or not pd.api.types.is_numeric_dtype(target):
        return kinds
    whole = bool((target.astype(float) % 1 == 0).all())
    return kinds if whole and kinds <= min(WHOLE_CLASSES, len(target) // 5) else 0


def _kinds(features: pd.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """The columns by what is done with them: numbers, categories; and those left out: constants, dates, free text."""
    import pandas as pd

    numeric, categorical, out = [], [], []
    for name in features.columns:
        column = features[name]
        kinds = column.nunique()
        if kinds <= 1:
            out.append(name)
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            numeric.append(name)
        elif (
            pd.api.types.is_datetime64_any_dtype(column)
            or column.map(type).isin((list, dict, set)).any()
            or kinds > FREE_TEXT * column.notna().sum()
        ):
            out.append(name)
        else:
            categorical.append(name)
    return numeric, categorical, out
