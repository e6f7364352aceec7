"""Finals: the last step of a compiled pipeline: sums of trees or of weighted features, and what becomes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...tracking.onnx_import import onnxruntime
from .encode import NotCompilable
from .trees import Forest, of_histogram, of_lightgbm, of_tree, of_xgboost
from .walk import Walk

__all__ = ["Final", "final_of"]

Matrix = np.ndarray[Any, Any]

LINEAR_CLASSIFIERS = ("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "RidgeClassifier", "RidgeClassifierCV",
                      "LinearSVC", "Perceptron", "LinearDiscriminantAnalysis", "PassiveAggressiveClassifier")  # fmt: skip
LINEAR_REGRESSORS = ("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "LassoLars", "ElasticNet", "ElasticNetCV",
                     "Lars", "BayesianRidge", "ARDRegression", "HuberRegressor", "QuantileRegressor", "SGDRegressor",
                     "LinearSVR", "TheilSenRegressor")  # fmt: skip
LOG_REGRESSORS = ("PoissonRegressor", "GammaRegressor")
FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier",
           "RandomForestRegressor", "ExtraTreesRegressor", "DecisionTreeRegressor", "ExtraTreeRegressor")  # fmt: skip


OUTPUTS = ["sums"]  # of the trees' model


@dataclass
class Final:
    """How features become sums, and sums predictions.

    Parameters
    ----------
    link
        From sums to what is told: ``identity``, ``exp``; or to probabilities: ``sigmoid``, ``softmax``, ``share`` (sums of
        shares, of one class where there are two), ``none`` (a classifier without probabilities).
    classes
        A classifier's labels; empty for a regression.
    weights, bias
        Of a linear model; empty for trees.
    base
        Added to the sums of trees.
    single
        Whether features are rounded to float32 first, as the library does.
    divide
        What sums are divided by: the number of trees of a forest.
    dtype
        The type that a regression's predictions have.
    walked
        Whether the trees are laid out to be walked, see `walk`, and not an ONNX model.
    whole
        Whether the estimator refuses a feature that is missing, as the logarithm of a negative number.
    """

    link: str
    classes: list[Any] = field(default_factory=list)
    weights: Matrix = field(default_factory=lambda: np.empty((0, 0)))
    bias: Matrix = field(default_factory=lambda: np.empty(0))
    base: Matrix = field(default_factory=lambda: np.empty(0))
    single: bool = False
    divide: float = 1.0
    dtype: str = "float64"
    above: float = 0.0
    tree_width: int = 0
    walked: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        self._session: Any = None
        self._run: Any = None
        self._walk: Walk | None = None
        # what `two` asks itself at every request
        self._of_two = self.link in ("sigmoid", "share") and len(self.base) <= 1 and self.bias.size <= 1
        self._base = float(self.base[0]) if len(self.base) else 0.0

    def start(self, trees: bytes) -> None:
        """Make ready to compute; `trees` is the ONNX model or what is walked, empty for a linear model."""
        if not trees:
            return
        if self.walked:
            self._walk = Walk(trees)
            return
        ort = onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = (
            1  # no thread, so the sums are in order; and may fork
        )
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        session = ort.InferenceSession(trees, options, providers=["CPUExecutionProvider"])
        # beneath the checks that `InferenceSession.run` repeats at every call; they take longer than a hundred small trees
        self._run = getattr(getattr(session, "_sess", None), "run", None) or session.run
        self._session = session

    def sums(self, features: Matrix) -> Matrix:
        """What the model adds up for every row."""
        if self.weights.size:
            return np.asarray(features @ self.weights + self.bias)
        if self._walk is not None:
            return np.asarray((self._walk.sums(features, single=self.single) + self.base) / self.divide)
        if self.single:
            features = features.astype(np.float32)
        if self._session is None:
            return np.tile(self.base, (len(features), 1)) / self.divide
        found = self._run(OUTPUTS, {"x": np.ascontiguousarray(features, dtype=np.float64)}, None)[0]
        return np.asarray((found + self.base) / self.divide)

    def two(self, features: Matrix) -> tuple[list[int], list[float]] | None:
        """For few rows and two classes: each row's class, and the probabilities row after row; None for any other.

        As `sums`, `choices` and `probabilities`, without NumPy's cost for every step; an exponential may differ in its
        last bit. `features` are float64, row after row.
        """
        if not self._of_two:
            return None
        if self._walk is None and (self._run is None or self.single):
            found: list[float] = self.sums(features)[:, 0].tolist()
        else:
            base, divide = self._base, self.divide
            if self._walk is not None:
                added = self._walk.sums(features, single=self.single)
            else:
                added = self._run(OUTPUTS, {"x": features}, None)[0]
            found = [(value + base) / divide for value in added.ravel().tolist()]
        above = self.above
        told: list[float] = []
        if self.link == "share":
            for value in found:
                told += (1.0 - value, value)
        else:
            for value in found:
                share = 1.0 / (1.0 + math.exp(709.0 if value < -709.0 else -value))
                told += (1.0 - share, share)
        return [1 if value > above else 0 for value in found], told

    def values(self, sums: Matrix) -> Matrix:
        """A regression's predictions."""
        found = sums[:, 0]
        if self.link == "exp":
            found = np.exp(found)
        return found.astype(self.dtype)

    def choices(self, sums: Matrix) -> Matrix:
        """The number of each row's class."""
        if sums.shape[1] == 1:
            column = sums[:, 0]
            return (column > self.above).astype(np.intp)
        return np.asarray(sums.argmax(axis=1))

    def probabilities(self, sums: Matrix) -> Matrix:
        """A row's probability of each class."""
        if self.link == "share":
            return np.column_stack([1 - sums[:, 0], sums[:, 0]]) if sums.shape[1] == 1 else sums
        if self.link == "sigmoid":
            found = np.empty((len(sums), 2))
            positive = found[:, 1]
            # from 709 on the exponential is too large for a float64, and the probability less than 1e-300
            np.minimum(np.negative(sums[:, 0], out=positive), 709.0, out=positive)
            np.exp(positive, out=positive)
            positive += 1
            np.divide(1.0, positive, out=positive)
            np.subtract(1.0, positive, out=found[:, 0])
            return found
        if self.link == "ovr":
            with np.errstate(over="ignore"):
                each = 1 / (1 + np.exp(-sums))
            return np.asarray(each / each.sum(axis=1, keepdims=True))
        raised = np.exp(sums - sums.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def final_of(estimator: Any, width: int) -> tuple[Final, Forest | None]:
    """The fitted estimator as a final step; the forest where it is one.

    Raises
    ------
    NotCompilable
        There is no form of it that is certain to compute the same.
    """
    kind = type(estimator)
    name, origin = kind.__name__, kind.__module__.partition(".")[0]
    if origin == "xgboost":
        return _xgboost(estimator)
    if origin == "lightgbm":
        return _lightgbm(estimator)
    if origin != "sklearn":
        raise NotCompilable(f"{name} has no compiled form")
    if name in FORESTS and estimator.n_outputs_ != 1:
        raise NotCompilable(f"{name} has several outputs")
    if name in (*LINEAR_CLASSIFIERS, *LINEAR_REGRESSORS, *LOG_REGRESSORS):
        return _linear(estimator, name), None
    if name in FORESTS:
        return _forest(estimator, width)
    if name in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        return _histogram(estimator, width)
    if name in ("GradientBoostingClassifier", "GradientBoostingRegressor"):
        return _boosting(estimator, width)
    raise NotCompilable(f"{name} has no compiled form")


def _linear(estimator: Any, name: str) -> Final:
    weights = np.asarray(estimator.coef_, dtype=np.float64)
    if name not in LINEAR_CLASSIFIERS:
        if weights.ndim > 1 and weights.shape[0] > 1:
            raise NotCompilable(f"{name} has several outputs")
        column = weights.reshape(-1, 1)
        bias = np.asarray(estimator.intercept_, dtype=np.float64).reshape(-1)
        return Final("exp" if name in LOG_REGRESSORS else "identity", weights=column, bias=bias, whole=True)
    classes = np.asarray(estimator.classes_).tolist()
    if name == "LinearDiscriminantAnalysis":
        link = "sigmoid" if len(classes) == 2 else "softmax"
    elif name.startswith("LogisticRegression"):
        binary = len(classes) == 2
        asked = getattr(estimator, "multi_class", "")  # gone since scikit-learn 1.8
        if asked in ("ovr", "multinomial") or estimator.solver == "liblinear":
            link = "sigmoid" if binary and asked != "multinomial" else "ovr"
        else:
            link = "sigmoid" if binary else "softmax"
    elif name == "SGDClassifier" and estimator.loss == "log_loss":
        link = "sigmoid" if len(classes) == 2 else "ovr"
    elif name == "SGDClassifier" and estimator.loss == "modified_huber":
        raise NotCompilable("SGDClassifier(loss='modified_huber') has no compiled form")
    else:
        link = "none"
    if np.asarray(estimator.classes_).ndim > 1:
        raise NotCompilable(f"{name} has several outputs")
    return Final(
        link,
        classes,
        weights=np.atleast_2d(weights).T.copy(),
        bias=np.asarray(estimator.intercept_, np.float64).ravel(),
        whole=True,
    )


def _forest(estimator: Any, width: int) -> tuple[Final, Forest]:
    trees = list(getattr(estimator, "estimators_", [estimator]))
    classes = np.asarray(estimator.classes_).tolist() if hasattr(estimator, "classes_") else []
    if len(classes) == 1:
        raise NotCompilable("the forest knows one class only")
    targets = 1 if len(classes) == 2 else max(1, len(classes))
    forest = Forest(width, targets)
    for tree in (member.tree_ for member in trees):
        if not classes:
            of_tree(forest, tree, tree.value[:, 0, 0], 0)
            continue
        shares = tree.value[:, 0, :]
        if targets == 1:
            of_tree(forest, tree, shares[:, 1], 0)
        else:
            for target in range(targets):
                of_tree(forest, tree, shares[:, target], target)
    link = "share" if classes else "identity"
    base = np.asarray(forest.base)
    return Final(link, classes, base=base, single=True, divide=float(len(trees)), above=0.5, tree_width=width), forest


def _histogram(estimator: Any, width: int) -> tuple[Final, Forest]:
    if getattr(estimator, "_preprocessor", None) is not None:
        raise NotCompilable("histogram gradient boosting splits by category")
    targets = int(estimator.n_trees_per_iteration_)
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel()  # noqa: SLF001 nowhere else is it kept
    forest = Forest(width, targets, base=[float(b) for b in np.resize(baseline, targets)])
    for iteration in estimator._predictors:  # noqa: SLF001 the same
        for target, predictor in enumerate(iteration):
            of_histogram(forest, predictor.nodes, target)
    classes = np.asarray(estimator.classes_).tolist() if hasattr(estimator, "classes_") else []
    if classes:
        link = "sigmoid" if targets == 1 else "softmax"
    else:
        link = "exp" if estimator.loss in ("poisson", "gamma") else "identity"
    return Final(link, classes, base=np.asarray(forest.base), tree_width=width), forest


def _boosting(estimator: Any, width: int) -> tuple[Final, Forest]:
    if estimator.init_ != "zero" and type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise NotCompilable("gradient boosting begins from another model")
    if getattr(estimator, "loss", "") == "exponential":
        raise NotCompilable("gradient boosting with exponential loss has no compiled form")
    start = np.asarray(estimator._raw_predict_init(np.zeros((1, width), dtype=np.float32))).ravel()  # noqa: SLF001 no other way
    forest = Forest(width, len(start), base=[float(b) for b in start])
    for stage in estimator.estimators_:
        for target, member in enumerate(stage):
            of_tree(forest, member.tree_, member.tree_.value[:, 0, 0] * estimator.learning_rate, target)
    classes = np.asarray(estimator.classes_).tolist() if hasattr(estimator, "classes_") else []
    link = ("sigmoid" if len(start) == 1 else "softmax") if classes else "identity"
    return Final(link, classes, base=np.asarray(forest.base), single=True, tree_width=width, whole=True), forest


def _xgboost(estimator: Any) -> tuple[Final, Forest]:
    booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
    best = getattr(estimator, "best_iteration", None) if getattr(estimator, "early_stopping_rounds", None) else None
    if best is not None:
        booster = booster[: int(best) + 1]
    forest, objective, _ = of_xgboost(booster)
    base = np.asarray(forest.base)
    labels = np.asarray(estimator.classes_).tolist() if hasattr(estimator, "classes_") else []
    common: dict[str, Any] = {"base": base, "single": True, "tree_width": forest.features}
    if labels and objective in ("binary:logistic", "multi:softprob", "multi:softmax"):
        return Final("sigmoid" if objective == "binary:logistic" else "softmax", labels, **common), forest
    if not labels and objective in ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"):
        return Final("identity", dtype="float32", **common), forest
    raise NotCompilable(f"XGBoost's {objective} has no compiled form")


def _lightgbm(estimator: Any) -> tuple[Final, Forest]:
    forest, objective, _ = of_lightgbm(getattr(estimator, "booster_", estimator))
    base = np.asarray(forest.base)
    labels = np.asarray(estimator.classes_).tolist() if hasattr(estimator, "classes_") else []
    kind, *options = objective.split()
    common: dict[str, Any] = {"base": base, "tree_width": forest.features}
    if labels and kind == "binary" and "sigmoid:1" in options:
        return Final("sigmoid", labels, **common), forest
    if labels and kind == "multiclass":
        return Final("softmax", labels, **common), forest
    if (
        not labels
        and kind in ("regression", "regression_l1", "huber", "quantile", "fair", "mape")
        and "sqrt" not in options
    ):
        return Final("identity", **common), forest
    raise NotCompilable(f"LightGBM's {kind} has no compiled form")
