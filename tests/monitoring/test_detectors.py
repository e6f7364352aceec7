"""Every detector: its golden numbers, agreement with scipy, and a battery that finds each new one by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.monitoring.correction import benjamini_hochberg, two_proportions
from jupyter_mlops.monitoring.detectors import DETECTORS
from jupyter_mlops.monitoring.detectors.ks import distance
from jupyter_mlops.monitoring.detectors.wasserstein import area
from jupyter_mlops.monitoring.samples import Categories, Numbers, Texts, binned, edges, pooled

TEN = np.arange(1.0, 11.0)
REFERENCE, CURRENT = [16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]
QUARTERS, TENTHS = [25, 25, 25, 25], [10, 20, 30, 40]


def labelled(counts):
    return Categories.counted({f"c{i}": float(n) for i, n in enumerate(counts)})


# detector, reference, current, value, p-value
GOLDEN = [
    ("ks", Numbers.of(TEN), Numbers.of(TEN + 2), 0.2, 0.9944576),
    ("chi2", labelled(REFERENCE), labelled(CURRENT), 0.0960116, 0.8985262),
    ("psi", labelled(REFERENCE), labelled(CURRENT), 0.0372184, None),
    ("psi", labelled(QUARTERS), labelled(TENTHS), 0.2282174, None),
    ("wasserstein", Numbers.of(TEN), Numbers.of(TEN + 2), 0.6963106, None),
    ("emd", Numbers.of(TEN), Numbers.of(TEN + 2), 2.0, None),
    ("kl", labelled(REFERENCE), labelled(CURRENT), 0.0189097, None),
    ("kl", labelled(CURRENT), labelled(REFERENCE), 0.0183087, None),
    ("kl", labelled(QUARTERS), labelled(TENTHS), 0.1217773, None),
    ("hellinger", labelled(REFERENCE), labelled(CURRENT), 0.0681277, None),
    ("tv", labelled(REFERENCE), labelled(CURRENT), 0.0681818, None),
    ("js", labelled(QUARTERS), labelled(TENTHS), 0.2005033, None),
    ("length", Texts.of(["a" * i for i in range(1, 11)]), Texts.of(["a" * i for i in range(3, 13)]), 0.2, 0.9944576),
    ("js", labelled(REFERENCE), labelled(CURRENT), 0.0817342, None),
    ("js", labelled([50, 50, 0, 0]), labelled([0, 0, 50, 50]), 1.0, None),
]


@pytest.mark.parametrize(("name", "reference", "current", "value", "p_value"), GOLDEN)
def test_golden_numbers(name, reference, current, value, p_value):
    found = DETECTORS[name].measure(reference, current)
    assert found.value == pytest.approx(value, abs=6e-8)
    if p_value is not None:
        assert found.p_value == pytest.approx(p_value, abs=6e-8)


def samples(kind, rng, rows, shift=0.0):
    if kind == "text":
        known, new = [f"word{i}" for i in range(40)], [f"neu{i}" for i in range(40)]
        return np.array([" ".join(rng.choice(new if shift else known, 3 + 4 * bool(shift))) for _ in range(rows)])
    if kind == "numeric":
        return rng.normal(size=rows) + shift
    weights = np.array([0.4, 0.3, 0.2, 0.1]) if not shift else np.array([0.1, 0.2, 0.3, 0.4])
    return rng.choice(list("abcd"), rows, p=weights)


def read(kind, column):
    return {"numeric": Numbers, "categorical": Categories, "text": Texts}[kind].of(column)


EVERY = [(name, kind) for name, detector in DETECTORS.items() for kind in detector.kinds]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_battery(name, kind):
    detector = DETECTORS[name]
    rng = np.random.default_rng(5)
    column, shifted = samples(kind, rng, 800), samples(kind, rng, 800, shift=1.0)
    before = column.copy()
    reference, current = read(kind, column), read(kind, shifted)

    same = detector.measure(reference, read(kind, column))
    assert not detector.passes(same.value, detector.threshold)
    assert same.p_value is None or same.p_value > 0.999

    moved = detector.measure(reference, current)
    assert detector.passes(moved.value, 0.1 if detector.threshold is None else detector.threshold)
    assert moved.p_value is None or moved.p_value < 1e-6

    low, high = detector.range
    assert low <= same.value <= moved.value <= high
    assert np.array_equal(before, column)
    again = detector.measure(read(kind, rng.permutation(column)), read(kind, shifted[::-1]))
    assert again.value == pytest.approx(moved.value, rel=1e-12)
    assert again.p_value == (None if moved.p_value is None else pytest.approx(moved.p_value, rel=1e-9))

    for other in {"categorical", "numeric", "text"} - set(detector.kinds):
        wrong = read(other, samples(other, rng, 50))
        assert detector.measure(wrong, wrong) is None


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_says_what_it_measures(name):
    detector = DETECTORS[name]
    assert detector.name == name
    assert all((detector.title, detector.unit, detector.convention, detector.kinds))
    assert detector.alarm_when in ("above", "below")
    assert detector.threshold is None or detector.range[0] <= detector.threshold <= detector.range[1]


@pytest.mark.parametrize("kind", ["numeric", "categorical", "text"])
def test_odd_samples_give_a_number_or_nothing_never_nan(kind):
    if kind == "numeric":
        odd = [[1.0], [1.0, 2.0], [0.0] * 500, [1.0] * 500, [-1e308, 1e308] * 50, [5e-324, 0.0] * 50, [0, 1] * 99]
    elif kind == "text":
        odd = [["a"], [""] * 40, ["..."] * 40, ["ä b"] * 40, [f"w{i}" for i in range(99)], ["\n", "a\x00"] * 60]
    else:
        odd = [["a"], ["a", "b"], ["a"] * 500, ["b"] * 500, [f"{i}" for i in range(500)], ["", "a"] * 60]
    for detector in (d for d in DETECTORS.values() if kind in d.kinds):
        for first in odd:
            for second in odd:
                found = detector.measure(read(kind, first), read(kind, second))
                if found is not None:
                    assert detector.range[0] <= found.value <= detector.range[1]
                    assert math.isfinite(found.value)
                    assert found.p_value is None or 0 <= found.p_value <= 1


@pytest.mark.parametrize(("n", "m"), [(10, 10), (7, 1000), (97, 100), (150, 200)])
def test_ks_of_small_samples_is_the_exact_one(n, m):
    rng = np.random.default_rng(n * m)
    for shift in (0.0, 0.3, 1.0, 3.0):
        a, b = rng.normal(size=n), rng.normal(shift, size=m)
        theirs = scipy.stats.ks_2samp(a, b, method="exact")
        ours = DETECTORS["ks"].measure(Numbers.of(a), Numbers.of(b))
        assert ours.value == pytest.approx(theirs.statistic, abs=1e-12)
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("n", "m"), [(250, 250), (30, 3000), (997, 1009), (1000, 9000)])
def test_ks_of_large_samples_is_close_to_the_exact_one_and_does_not_overstate(n, m):
    rng = np.random.default_rng(n + m)
    root = math.sqrt(n * m / (n + m))
    for shift in np.linspace(0, 3.5, 8):
        a, b = np.round(rng.normal(size=n), 6), np.round(rng.normal(shift / root, size=m), 6)
        theirs = scipy.stats.ks_2samp(a, b, method="exact").pvalue
        ours = DETECTORS["ks"].measure(Numbers.of(a), Numbers.of(b)).p_value
        assert ours == pytest.approx(theirs, abs=0.03)
        if theirs < 0.05:
            assert ours > 0.9 * theirs


def test_ks_counts_ties_as_scipy_does():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 6, 4000).astype(float), rng.binomial(5, 0.45, 3000).astype(float)
    ours = DETECTORS["ks"].measure(Numbers.of(a), Numbers.of(b))
    assert ours.value == pytest.approx(scipy.stats.ks_2samp(a, b).statistic, abs=1e-12)


def test_chi2_is_scipys_contingency_and_cramers_v_is_scipys_for_equal_sizes():
    rng = np.random.default_rng(4)
    for _ in range(20):
        table = np.array([rng.multinomial(900, p) for p in rng.dirichlet([5] * 6, 2)])
        kept = [pair for pair in table.T if min(pair) >= 10]
        table = np.array(kept).T
        ours = DETECTORS["chi2"].measure(labelled(table[0]), labelled(table[1]))
        assert ours.p_value == pytest.approx(scipy.stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)
    equal = np.array([[30, 40, 30], [50, 30, 20]])
    ours = DETECTORS["chi2"].measure(labelled(equal[0]), labelled(equal[1]))
    assert ours.value == pytest.approx(scipy.stats.contingency.association(equal, method="cramer"))


def test_wasserstein_and_jensen_shannon_are_scipys():
    rng = np.random.default_rng(6)
    a, b = rng.lognormal(size=700), rng.lognormal(0.2, size=1300)
    ours = DETECTORS["wasserstein"].measure(Numbers.of(a), Numbers.of(b)).value
    assert ours == pytest.approx(scipy.stats.wasserstein_distance(a, b) / a.std(), rel=1e-9)
    r, c = binned(Numbers.of(a), Numbers.of(b))
    ours = DETECTORS["js"].measure(Numbers.of(a), Numbers.of(b)).value
    assert ours == pytest.approx(scipy.spatial.distance.jensenshannon(r, c, base=2), rel=1e-9)


def test_bins_are_the_references_deciles_with_equal_ones_merged():
    assert edges(Numbers.of(np.arange(1, 101))).tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    mostly_zero = Numbers.of([0.0] * 95 + [7.0] * 5)
    r, c = binned(mostly_zero, Numbers.of([-1.0] * 10 + [0.0] * 80 + [7.0] * 10))
    assert r.tolist() == [0, 95, 5]
    assert c.tolist() == [10, 80, 10]
    assert len(binned(Numbers.of(np.arange(1000.0)), Numbers.of(np.arange(40.0)))[0]) == 4


def test_rare_categories_are_pooled_and_nothing_is_lost():
    r, c = pooled(np.array([500.0, 480, 15, 3, 2]), np.array([50.0, 49, 1, 0, 0]))
    assert r.tolist() == [500, 500]
    assert c.tolist() == [50, 50]


def test_corrections_are_scipys():
    rng = np.random.default_rng(8)
    p_values = [*rng.uniform(size=40), 1e-9, 1e-4, 0.0, 1.0]
    assert benjamini_hochberg(p_values) == pytest.approx(scipy.stats.false_discovery_control(p_values))
    assert two_proportions(0, 10_000, 1, 100) == pytest.approx(2 * 100 / 10_100, rel=1e-6)
    few = scipy.stats.fisher_exact([[1, 400], [9, 391]], alternative="less").pvalue
    assert two_proportions(1, 401, 9, 400) == pytest.approx(2 * few)
    assert two_proportions(399, 400, 30, 40) < 1e-6


def test_a_rare_second_category_gets_an_exact_p_value():
    ours = DETECTORS["chi2"].measure(labelled([990, 10]), labelled([97, 3]))
    tail = scipy.stats.fisher_exact([[990, 10], [97, 3]], alternative="greater").pvalue
    assert ours.p_value == pytest.approx(2 * tail)
    assert DETECTORS["psi"].measure(labelled([990, 10]), labelled([97, 3])).p_value is None


def test_categories_that_are_all_rare_cannot_be_compared():
    each_once = labelled([1] * 300)
    assert DETECTORS["chi2"].measure(each_once, Categories.counted({f"d{i}": 1.0 for i in range(300)})) is None


def tables(rng):
    """Pairs of columns with and without ties, of equal and unequal length, far apart and alike."""
    for n, m in [(1, 1), (1, 50), (3000, 3000), (5000, 1777), (1777, 5000), (40_000, 39_999)]:
        yield rng.normal(size=n), rng.normal(0.05, size=m)
        yield rng.lognormal(size=n), rng.lognormal(0.3, size=m)
        yield np.round(rng.normal(size=n), 2), np.round(rng.normal(0.02, size=m), 2)
        yield rng.integers(0, 4, n).astype(float), rng.integers(0, 5, m).astype(float)
        yield rng.standard_cauchy(n), rng.standard_cauchy(m) + 3
        yield rng.normal(size=n), rng.normal(size=m) + 100


def test_ks_and_wasserstein_are_scipys_to_the_last_digits():
    for a, b in tables(np.random.default_rng(11)):
        sides = Numbers.of(a), Numbers.of(b)
        assert distance(*sides) == pytest.approx(scipy.stats.ks_2samp(a, b, method="asymp").statistic, rel=1e-12)
        assert area(*sides) == pytest.approx(scipy.stats.wasserstein_distance(a, b), rel=1e-12)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_ks_of_any_two_columns_is_that_of_looking_everywhere(data):
    numbers = st.lists(st.integers(-30, 30) | st.floats(-3, 3), min_size=1, max_size=60)
    a, b = (np.array(data.draw(numbers), dtype=float) for _ in range(2))
    every = np.concatenate((a, b))
    shares = [np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (a, b)]
    assert distance(Numbers.of(a), Numbers.of(b)) == pytest.approx(np.abs(shares[0] - shares[1]).max(), rel=1e-12)
    assert area(Numbers.of(a), Numbers.of(b)) == pytest.approx(
        scipy.stats.wasserstein_distance(a, b), rel=1e-9, abs=1e-12
    )


def test_chi2_is_scipys_to_the_last_digits():
    rng = np.random.default_rng(12)
    for k in (2, 7, 300):
        table = rng.integers(20, 900, (2, k))
        ours = DETECTORS["chi2"].measure(labelled(table[0]), labelled(table[1])).p_value
        theirs = scipy.stats.chi2_contingency(table, correction=False)
        assert ours == pytest.approx(theirs.pvalue, rel=1e-12)


def test_a_new_word_is_told_from_one_that_was_to_be_expected():
    rng = np.random.default_rng(13)
    words = np.array([f"w{i}" for i in range(5_000)])
    weights = 1 / np.arange(1, 5_001)
    weights /= weights.sum()

    def texts(extra=0.0):
        rows = [" ".join(rng.choice(words, 6, p=weights)) for _ in range(1_500)]
        return Texts.of([row + " unheard" if rng.random() < extra else row for row in rows])

    reference = texts()
    same, other = (
        DETECTORS["new_words"].measure(reference, texts()),
        DETECTORS["new_words"].measure(reference, texts(0.5)),
    )
    assert same.value < 0.02
    assert same.p_value > 0.01
    assert other.value > 0.03
    assert other.p_value < 1e-3
