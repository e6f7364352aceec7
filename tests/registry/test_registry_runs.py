"""From a tracked run to a model version: by the estimator, the run's name or id, the logged model's id."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from jupyter_mlops.errors import InvalidArgument, NotReady
from jupyter_mlops.session import Session

RNG = np.random.default_rng(3)
TABLE = pd.DataFrame(RNG.normal(size=(60, 2)), columns=["a", "b"])
TABLE["target"] = np.where(TABLE["a"] > 0, "yes", "no")


def fit(table: pd.DataFrame, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength).fit(table[["a", "b"]], table["target"])


def test_an_estimator_of_a_run_is_registered_as_the_run_logged_it(shared_session: Session) -> None:
    saved = shared_session.data.save(TABLE, name="train")
    with shared_session.run("first") as run:
        table = shared_session.data.load(saved.ref)
        model = fit(table, 1.0)
        run.log_metric("quality", 0.75)
    told = shared_session.register(model, name="clf")
    assert run.result is not None
    assert (told.run_id, [told.model_id]) == (run.id, list(run.result.models))
    assert saved.ref in told.data
    assert told.profile
    assert told.metrics["quality"] == 0.75
    assert told.notes == ()
    assert shared_session.models("clf")[0].metrics["quality"] == 0.75

    for number, text in enumerate(("first", run.id, run.id[:8], told.model_id)):
        by_text = shared_session.register(text, name=f"by-text-{number}")
        assert (by_text.ref, by_text.model_id) == (f"by-text-{number}@1", told.model_id)
    assert shared_session.register("first", name="clf").ref == "clf@1"


def test_a_model_refitted_after_its_run_is_another(shared_session: Session) -> None:
    with shared_session.run("refit"):
        model = fit(TABLE, 2.0)
    first = shared_session.register(model, name="refit")
    model.C = 0.01
    model.fit(TABLE[["a", "b"]], TABLE["target"])
    again = shared_session.register(model, name="refit", data=TABLE)
    assert (first.version, again.version) == (1, 2)
    assert again.run_id == ""
    assert again.model_id != first.model_id


def test_a_model_registered_while_its_run_goes_on_belongs_to_it(shared_session: Session) -> None:
    with shared_session.run("going-on") as run:
        told = shared_session.register(fit(TABLE, 3.0), name="early")
    assert told.run_id == run.id
    assert run.result is not None
    assert run.result.models == (told.model_id,)


def test_a_search_is_registered_as_its_best_estimator(shared_session: Session) -> None:
    with shared_session.run("search") as run:
        search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
        search.fit(TABLE[["a", "b"]], TABLE["target"])
    told = shared_session.register(search, name="searched")
    assert (told.run_id, told.estimator, told.profile) == (run.id, "LogisticRegression", True)
    assert any("best estimator of the GridSearchCV" in note for note in told.notes)


def test_a_run_with_no_model_or_several_is_told(shared_session: Session) -> None:
    with shared_session.run("empty"):
        pass
    with shared_session.run("several"):
        kept = [fit(TABLE, 4.0), fit(TABLE, 5.0)]
    assert kept
    with pytest.raises(NotReady, match="empty .* has logged no model"):
        shared_session.register("empty", name="never")
    with pytest.raises(InvalidArgument, match=r"several .* has logged 2 models: m-\w+ \(LogisticRegression\), m-"):
        shared_session.register("several", name="never")
    with pytest.raises(InvalidArgument, match="--data goes with an estimator"):
        shared_session.register("several", name="never", data=TABLE)
    assert "never" not in {version.name for version in shared_session.models()}
