"""What an evaluation holds besides its headline metrics: curves, slices, calibration, fairness, explanation, robustness."""

from __future__ import annotations

from dataclasses import dataclass

from .record import Record

__all__ = [
    "Calibration",
    "CalibrationBin",
    "CrossValidation",
    "Curve",
    "Dependence",
    "Explanation",
    "Fairness",
    "FoldScores",
    "GroupRates",
    "Importance",
    "MetricValue",
    "OneRow",
    "Robustness",
    "RobustnessCheck",
    "Slice",
    "Slices",
    "ThresholdChoice",
]


@dataclass(frozen=True)
class MetricValue(Record):
    """One number with its interval.

    Parameters
    ----------
    value
        None where it is not defined on this data; ``convention`` then says why.
    low, high
        The interval's ends; None where there is none.
    level
        The interval's level, 0 to 1.
    method
        How the interval was made: ``Wilson``, ``DeLong``, ``BCa bootstrap``, ``percentile bootstrap``.
    convention
        What the number is, where implementations differ.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    higher_is_better: bool = True
    convention: str = ""

    def __str__(self) -> str:
        """The number and its interval, short.

        Examples
        --------
        >>> str(MetricValue("accuracy", 0.8651, 0.8604, 0.8697))
        '0.865 [0.860, 0.870]'
        """
        if self.value is None:
            return "not defined"
        digits = _digits(self.value)
        if self.low is None or self.high is None:
            if 0 < abs(self.value) < SMALLEST_SHOWN:  # such as a p-value
                return f"{self.value:.1e}"
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


SMALLEST_SHOWN = 0.0005


def _digits(value: float) -> int:
    size = abs(value)
    return 3 if size < 10 else 2 if size < 100 else 1 if size < 10_000 else 0


@dataclass(frozen=True)
class Curve(Record):
    """A line to draw: ``roc`` (false against true positive rate), ``precision-recall``, ``residuals``, a histogram.

    Parameters
    ----------
    kind
        ``line``, ``points`` or ``bars``.
    thresholds
        Where each point was taken, for curves over a decision threshold.
    """

    name: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    thresholds: tuple[float, ...] = ()
    kind: str = "line"


@dataclass(frozen=True)
class FoldScores(Record):
    """One metric over the folds of a cross-validation; ``spread`` is the standard deviation between folds (n - 1)."""

    name: str
    folds: tuple[float, ...]
    mean: float
    spread: float


@dataclass(frozen=True)
class CrossValidation(Record):
    """The same pipeline fitted anew on every fold, and how its score grows with the training rows."""

    scores: tuple[FoldScores, ...]
    splitter: str
    learning_rows: tuple[int, ...] = ()
    learning_train: tuple[float, ...] = ()
    learning_test: tuple[float, ...] = ()
    learning_metric: str = ""


@dataclass(frozen=True)
class ThresholdChoice(Record):
    """Which decision threshold costs least.

    Parameters
    ----------
    cost_false_positive, cost_false_negative
        In the user's money, a case.
    threshold
        The cheapest; ``p >= threshold`` is predicted positive.
    cost, low, high
        What a row costs on average at this threshold, with its interval at the fixed threshold.
    default_cost
        The same at 0.5.
    """

    cost_false_positive: float
    cost_false_negative: float
    threshold: float
    cost: float
    low: float
    high: float
    default_cost: float
    curve: Curve | None = None


@dataclass(frozen=True)
class Slice(Record):
    """Part of the rows, and how the model does on it.

    Parameters
    ----------
    name
        Its rule in words: ``sex = Female and age < 30``.
    value, low, high
        The metric on the slice.
    rest
        The metric on all other rows.
    difference
        Slice minus rest.
    p_value, adjusted_p_value
        That the slice is worse than the rest by chance; adjusted for all slices that were looked at (Holm for given
        ones, the maximum over permutations for a search).
    worse
        Whether it is worse than the rest beyond chance.
    found
        Whether the search found it; given by the user otherwise.
    """

    name: str
    rows: int
    share: float
    value: float | None
    low: float | None = None
    high: float | None = None
    rest: float | None = None
    difference: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    worse: bool = False
    found: bool = False


@dataclass(frozen=True)
class Slices(Record):
    """Slices, worst first, and how many were looked at."""

    metric: str
    higher_is_better: bool
    overall: float | None
    slices: tuple[Slice, ...]
    searched: int = 0
    convention: str = ""

    @property
    def worst(self) -> Slice | None:
        """The slice with the worst value, of those that are worse beyond chance; else of all."""
        known = [s for s in self.slices if s.value is not None]
        sign = 1.0 if self.higher_is_better else -1.0
        return min([s for s in known if s.worse] or known, key=lambda s: sign * (s.value or 0.0), default=None)


@dataclass(frozen=True)
class CalibrationBin(Record):
    """One bin of the reliability curve; the interval of the observed share is Wilson's."""

    low: float
    high: float
    rows: int
    predicted: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True)
class Calibration(Record):
    """Whether predicted probabilities are what is observed.

    Parameters
    ----------
    ece, ace, mce
        Expected (equal-width bins), adaptive (equal-mass bins) and maximum calibration error, 0 to 1.
    test
        Spiegelhalter's z, two-sided.
    calibrated
        Whether the test finds nothing against it at 1 - level.
    """

    bins: tuple[CalibrationBin, ...]
    ece: MetricValue
    ace: MetricValue
    mce: MetricValue
    test: str
    statistic: float | None
    p_value: float | None
    calibrated: bool
    convention: str = ""


@dataclass(frozen=True)
class GroupRates(Record):
    """One group's rates, with Wilson intervals; None where the group has no row to count."""

    group: str
    rows: int
    selection_rate: MetricValue
    true_positive_rate: MetricValue
    false_positive_rate: MetricValue
    precision: MetricValue
    accuracy: MetricValue


@dataclass(frozen=True)
class Fairness(Record):
    """One attribute: its groups, and the largest gap between two of them by each criterion.

    Parameters
    ----------
    criteria
        ``demographic_parity_difference`` and ``_ratio``, ``equalized_odds_difference``,
        ``equal_opportunity_difference``, ``predictive_parity_difference``, as fairlearn defines them.
    worst_pair
        The two groups furthest apart, and by which criterion.
    """

    attribute: str
    groups: tuple[GroupRates, ...]
    criteria: tuple[MetricValue, ...]
    worst_pair: tuple[str, ...] = ()
    worst_criterion: str = ""
    left_out: tuple[str, ...] = ()
    convention: str = ""


@dataclass(frozen=True)
class Importance(Record):
    """How much one feature matters; the interval is over bootstrapped rows or permutations."""

    feature: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Dependence(Record):
    """Partial dependence of the prediction on one feature, with a few single rows (ICE).

    Parameters
    ----------
    output
        What the prediction is: ``probability of yes``, ``prediction``.
    """

    feature: str
    grid: tuple[float, ...]
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    single_rows: tuple[tuple[float, ...], ...] = ()
    output: str = ""


@dataclass(frozen=True)
class OneRow(Record):
    """Why one row got its prediction: base value plus contributions is the output."""

    row: int
    base: float
    output: float
    features: tuple[str, ...]
    values: tuple[str, ...]
    contributions: tuple[float, ...]
    words: str = ""


@dataclass(frozen=True)
class Explanation(Record):
    """What drives the model.

    Parameters
    ----------
    shap
        Mean absolute SHAP value a feature, largest first, with the interval over bootstrapped rows.
    permutation
        Loss of the metric when the column is shuffled.
    additivity_error
        The largest distance between base value plus contributions and the model's output.
    stability
        Mean Spearman correlation of the ranking over bootstrapped rows with the ranking on all, -1 to 1.
    """

    method: str
    output: str
    rows: int
    background_rows: int
    shap: tuple[Importance, ...]
    permutation: tuple[Importance, ...] = ()
    permutation_metric: str = ""
    dependence: tuple[Dependence, ...] = ()
    additivity_error: float | None = None
    stability: float | None = None
    one_row: OneRow | None = None
    convention: str = ""


@dataclass(frozen=True)
class RobustnessCheck(Record):
    """One disturbance and what it did.

    Parameters
    ----------
    name, column
        Which disturbance, and of which column; empty for all.
    value, change, low, high
        The metric under it, and its change from the undisturbed one with the change's paired interval.
    severity
        ``ok``, ``warning`` or ``serious``.
    """

    name: str
    meaning: str
    value: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    column: str = ""
    severity: str = "ok"

    @property
    def label(self) -> str:
        """Which disturbance of what, in a few words."""
        if self.name == "shift" and not self.column:
            return "shift to unsure rows"
        return f"{self.name} of {self.column}" if self.column else self.name


@dataclass(frozen=True)
class Robustness(Record):
    """The perturbation suite, one check after the other."""

    metric: str
    higher_is_better: bool
    base: float | None
    rows: int
    checks: tuple[RobustnessCheck, ...]
    convention: str = ""

    def check(self, name: str) -> RobustnessCheck | None:
        """The worst check of this name, None if it was not made."""
        sign = 1.0 if self.higher_is_better else -1.0
        same = [c for c in self.checks if c.name == name and c.change is not None]
        return min(same, key=lambda c: sign * (c.change or 0.0), default=None)
