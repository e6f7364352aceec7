"""Profiles: what is kept of each kind of column, that it comes back equal, and the hook that models use."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from made_frames import objects
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from jupyter_mlops.datasets.profile import ColumnProfile, Profile, write_training_profile
from jupyter_mlops.errors import IntegrityFailure, InvalidArgument, NotFound


def numbers(profile: ColumnProfile) -> list[float]:
    return profile.points().tolist()


def one(values: object, **keywords: object) -> ColumnProfile:
    return ColumnProfile.of(pd.Series(values), "x", **keywords)


def test_numbers_are_kept_exactly() -> None:
    found = one([3.0, 1.0, np.nan, 1.0, np.inf, -np.inf, -0.0, 0.0])
    assert (found.kind, found.missing, found.infinite, found.distinct, found.exact) == ("numeric", 1, 2, 3, True)
    assert numbers(found) == [0.0, 1.0, 3.0]
    assert found.counts.tolist() == [2, 2, 1]
    assert found.present + found.missing + found.infinite == found.rows == 8


def test_very_many_numbers_are_kept_as_groups_close_to_the_truth() -> None:
    values = np.random.default_rng(0).lognormal(size=300_000)
    found = one(values)
    assert (found.exact, found.distinct, found.present) == (False, 300_000, 300_000)
    kept_values = found.points()
    assert len(kept_values) <= 4_096
    assert (kept_values[0], kept_values[-1]) == (values.min(), values.max())
    truth = np.searchsorted(np.sort(values), kept_values, side="right") / len(values)
    kept = np.cumsum(found.counts) / len(values)
    assert np.abs(truth - kept).max() <= 1 / 4_096


@pytest.mark.parametrize(
    ("values", "kind", "type_"),
    [
        ([True, False, True], "categorical", "bool"),
        (pd.Categorical([1, 2, 1]), "categorical", "category[int64]"),
        (pd.cut([1, 2, 3], 2), "categorical", "ordered"),
        (["a", "b", None], "categorical", "string"),
        ([1, 2, 3], "numeric", "int64"),
        (pd.to_datetime(["2020-01-01"]), "numeric", "timestamp"),
        ([dt.timedelta(1)], "numeric", "duration"),
        ([dt.date(2020, 1, 1)], "numeric", "date"),
        (objects([[1], [1, 2]]), "other", "list[int64]"),
        ([b"a"], "other", "binary"),
        (objects([None]), "categorical", "null"),
        ([f"name {i}" for i in range(1500)], "text", "string"),
        ([f"name {i}" for i in range(51)], "text", "string"),
        ([f"name {i}" for i in range(50)], "categorical", "string"),
        ([f"name {i % 1200}" for i in range(5000)], "categorical", "string"),
    ],
)
def test_kinds(values: object, kind: str, type_: str) -> None:
    found = one(values)
    assert found.kind == kind
    assert found.type.startswith(type_)


def test_moments_are_seconds_and_texts_are_lengths() -> None:
    assert numbers(one(pd.to_datetime(["1970-01-02"], utc=True))) == [86_400.0]
    assert numbers(one([dt.date(1970, 1, 2)])) == [86_400.0]
    free = one(["ä" * (1 + i % 2) + str(i) for i in range(1000, 3000)])
    assert (free.kind, free.distinct, numbers(free), free.counts.tolist()) == (
        "text",
        2000,
        [5, 6],
        [1000, 1000],
    )


def test_rare_labels_are_summed() -> None:
    found = one([f"n{i % 20_100}" for i in range(60_300)] + ["often"] * 10 + [None])
    assert (len(found.labels), found.labels[0], found.counts[0], found.exact) == (20_000, "often", 10, False)
    assert (found.rest, found.distinct, found.missing) == (303, 20_101, 1)


def test_a_column_is_read_as_the_kind_it_had() -> None:
    trained = Profile.of(pd.DataFrame({"c": pd.Categorical([1, 2, 1]), "n": [1.0, 2.0, 3.0], "b": [True, False, True]}))
    served = pd.DataFrame({"c": [2.0, None, 2.0], "n": ["1", "2.5", None], "b": [True, None, False]})
    found = Profile.of(served, like=trained)
    assert [c.kind for c in found.columns] == ["categorical", "numeric", "categorical"]
    assert (found["c"].labels, numbers(found["n"]), found["b"].labels) == (("2",), [1.0, 2.5], ("False", "True"))
    assert Profile.of(pd.DataFrame({"n": ["one"]}), like=trained)["n"].kind == "categorical"
    assert one(["ab", "c"], kind="other").kind == "other"
    assert numbers(one(pd.Categorical([3, 1, None]), kind="numeric")) == [1.0, 3.0]


def test_it_comes_back_equal(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "n": [1.5, np.nan, np.inf, 2.0],
            "s": ["a", None, "b", "a"],
            "l": objects([[1], [], None, [2, 3]]),
            "t": pd.to_datetime(["2020", None, "2021", "2021"]),
            "e": objects([None] * 4),
        }
    )
    for table in (frame, frame[:0], frame[[]]):
        profile = Profile.of(table)
        profile.write(tmp_path)
        assert Profile.read(tmp_path) == profile
    with pytest.raises(NotFound, match="no profiled column 'z'; there is: n, s"):
        _ = Profile.of(frame)["z"]
    with pytest.raises(NotFound, match="there is no profile"):
        Profile.read(tmp_path / "nowhere")
    (tmp_path / "profile.json").write_text("{")
    with pytest.raises(IntegrityFailure, match="cannot be read"):
        Profile.read(tmp_path)


def test_training_data_target_and_predictions_are_kept_apart(tmp_path: Path) -> None:
    inputs = pd.DataFrame({"target": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 1.0, 0.0, 0.0]})
    target = pd.Series(["no", "no", "yes", "yes"])
    model = LogisticRegression().fit(inputs, target)
    write_training_profile(inputs, target, model, tmp_path)
    found = Profile.read(tmp_path)
    assert found.names == ("target", "b")
    assert [c.labels for c in found.target] == [("no", "yes")]
    assert [(c.name, c.kind, c.present) for c in found.prediction] == [("prediction", "categorical", 4)]
    assert found.notes == ()


def test_any_training_data_of_scikit_learn(tmp_path: Path) -> None:
    array, two = np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2)
    model = LinearRegression().fit(array, two)
    found = write_training_profile(array, two, model, tmp_path)
    assert (found.names, [c.name for c in found.target]) == (("x0", "x1"), ["target_0", "target_1"])
    assert [c.name for c in found.prediction] == ["prediction_0", "prediction_1"]
    sparse = write_training_profile(scipy.sparse.csr_matrix(array), None, model, tmp_path)
    assert (numbers(sparse["x1"]), sparse.target) == ([1.0, 3.0, 5.0, 7.0], ())
    texts = write_training_profile(["a", "b"], [0, 1], object(), tmp_path)
    assert (texts["x0"].labels, texts.notes) == (("a", "b"), ("no predictions: the model has no predict",))
    scaled = write_training_profile(array, None, StandardScaler().fit(array), tmp_path)
    assert scaled.prediction == ()
    broken = write_training_profile(array[:, :1], None, model, tmp_path)
    assert "no predictions: ValueError" in broken.notes[0]
    with pytest.raises(InvalidArgument, match="3 dimensions"):
        write_training_profile(np.zeros((2, 2, 2)), None, model, tmp_path)
