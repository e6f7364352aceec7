"""Models that were fitted on arrays and on texts rather than on tables, and those that cannot predict at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN, Birch
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.session import Session

TEXTS = pd.Series(["a good film", "bad", "good fun", "so bad it hurts", "fun", "it hurts"], name="text")
GOOD = np.array(["yes", "no", "yes", "no", "yes", "no"])
NUMBERS = np.random.default_rng(0).normal(size=(40, 3))


def test_texts_are_predicted_as_a_series_and_as_a_list(shared_session: Session) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, GOOD)
    shared_session.deploy(shared_session.register(model, name="film", data=TEXTS).ref)
    expected = model.predict(TEXTS).tolist()
    for rows in (TEXTS, TEXTS.tolist(), TEXTS.to_numpy(), TEXTS.astype("category"), TEXTS.to_frame()):
        assert list(shared_session.predict("film", rows)) == expected
    with pytest.raises(InvalidArgument, match="no rows"):
        shared_session.predict("film", [])


def test_arrays_are_predicted_where_columns_have_no_names(shared_session: Session) -> None:
    target = NUMBERS[:, 0] > 0
    model = LogisticRegression().fit(NUMBERS, target)
    shared_session.deploy(shared_session.register(model, name="points", data=NUMBERS).ref)
    for rows in (NUMBERS, NUMBERS.tolist(), pd.DataFrame(NUMBERS)):
        assert list(shared_session.predict("points", rows)) == model.predict(NUMBERS).tolist()
    with pytest.raises(InvalidArgument, match="a ndarray is no table"):
        shared_session.predict("points", NUMBERS[:, :, None])

    table = pd.DataFrame(NUMBERS, columns=["a", "b", "c"])
    named = LogisticRegression().fit(table, target)
    shared_session.deploy(shared_session.register(named, name="named", data=table).ref)
    with pytest.raises(InvalidArgument, match="by name, and an array has no names") as told:
        shared_session.predict("named", NUMBERS)
    assert "it takes a, b, c" in str(told.value)


@pytest.mark.parametrize("model", [PCA(2), DBSCAN()], ids=lambda model: type(model).__name__)
def test_what_cannot_predict_is_not_deployed(shared_session: Session, model: object) -> None:
    name = type(model).__name__.lower()
    version = shared_session.register(model.fit(NUMBERS), name=name, data=NUMBERS)
    with pytest.raises(InvalidArgument, match=r"has no predict\(\)"):
        shared_session.deploy(version.ref, allow_pickle=True)


def test_what_skops_does_not_know_is_not_called_a_thing_of_the_notebook(shared_session: Session) -> None:
    with pytest.raises(InvalidArgument, match=r"Birch are not supported yet.* Store a pickle"):
        shared_session.register(Birch(n_clusters=2).fit(NUMBERS), name="birch", data=NUMBERS)
