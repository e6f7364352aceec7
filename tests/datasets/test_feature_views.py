"""Feature views at rest: declared once, numbered, audited, in the lineage, kept from garbage, and the same for everybody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.errors import Conflict, InvalidArgument, NotFound
from jupyter_mlops.session import Session

START = pd.Timestamp("2026-01-01")


def visits(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer": rng.integers(0, 20, rows),
            "at": START + pd.to_timedelta(rng.integers(0, 90 * 86_400, rows), unit="s"),
            "spend": rng.gamma(2, 10, rows).round(2),
            "visits": rng.integers(1, 9, rows),
        }
    )


def labels(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(9)
    when = START + pd.to_timedelta(rng.integers(0, 100 * 86_400, rows), unit="s")
    return pd.DataFrame({"customer": rng.integers(0, 22, rows), "when": when, "left": rng.random(rows) < 0.4})


@pytest.fixture(scope="module")
def made(shared_session: Session) -> Session:
    data = shared_session.data
    data.save(visits(), name="visits")
    data.save(pd.DataFrame({"customer": range(20), "city": ["Rome", "Oslo"] * 10}), name="people")
    data.view("activity", on=["visits"], entity=["customer"], time="at", ttl="30d", about="what they did")
    data.view("profile", on=["people"], entity=["customer"])
    return shared_session


def test_the_same_declaration_is_the_same_view_and_new_data_a_new_version(made: Session) -> None:
    data = made.data
    again = data.view("activity", on=["visits@v1"], entity=["customer"], time="at", ttl="720h", about="what they did")
    assert (again.ref, again.new, again.versions, again.ttl) == ("activity@v1", False, ("visits@v1",), 2_592_000.0)
    assert [c.name for c in again.features] == ["spend", "visits"]
    data.save(visits(500), name="visits")
    second = data.view("activity", on=["visits"], entity=["customer"], time="at", ttl="30d", about="what they did")
    assert (second.ref, second.versions, second.rows) == ("activity@v2", ("visits@v2",), 500)
    assert data.views("activity@v1") == replace(again, new=True)
    both = data.view("whole", on=["visits@v1", "visits@v2"], entity=["customer"], time="at", features=["spend"])
    assert (both.rows, both.versions) == (900, ("visits@v1", "visits@v2"))
    rows = data.load("whole")
    assert rows.columns.tolist() == ["customer", "at", "spend"]
    assert rows["spend"].tolist() == [*visits()["spend"], *visits(500)["spend"]]
    assert {v.ref for v in data.views()} == {"activity@v2", "profile@v1", "whole@v1"}


def test_a_transformation_of_one_view_by_its_name_alone(made: Session) -> None:
    by_name, listed = made.data.transformation("profile"), made.data.transformation(["profile"])
    assert [(name, columns) for name, _, columns in by_name.transformers] == [
        (name, columns) for name, _, columns in listed.transformers
    ]
    assert by_name.fit_transform(pd.DataFrame({"city": ["Rome", "Oslo"]})).shape == (2, 2)


def test_another_process_reads_the_view_and_joins_alike(made: Session, tmp_path: Path) -> None:
    here = made.data.join(labels(), views=["activity@v1", "profile"], time="when").table
    labels().to_parquet(tmp_path / "labels.parquet")
    words = [str(tmp_path / "labels.parquet"), "activity@v1", "profile", "--time", "when", "--name", "churn"]
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-mlops"), "data", "join", *words],
        cwd=made.context.workspace.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "saved as churn@v1" in done.stdout
    pd.testing.assert_frame_equal(made.data.load("churn@v1"), here, check_dtype=False)
    assert made.data.log("churn")[0].sources == ("activity@v1", "profile@v1")


def test_lineage_and_audit_and_garbage_know_the_view(made: Session) -> None:
    data = made.data
    data.save(labels(), name="labels")
    known = data.load("labels")
    joined = data.join(known, views=["activity@v1", "profile@v1"], time="when", name="traced")
    edges = {(e.source, e.target) for e in made.lineage(joined.saved).edges}
    assert ("data:visits@v1", "data:activity@v1") in edges
    assert {("data:activity@v1", "data:traced@v1"), ("data:labels@v1", "data:traced@v1")} <= edges
    actions = [(entry.action, entry.target) for entry in made.audit(limit=200)]
    assert ("data.save", "activity") in actions
    found = data.gc("visits", keep=1)
    assert "visits@v1" not in found.removed  # a view that is used stands on it
    with made.run("fit") as run:
        data.join(known, views=["activity@v1"], time="when")
    assert "activity@v1" in run.result.data


def test_names_and_columns_that_do_not_fit_change_nothing(made: Session) -> None:
    data = made.data
    before = [v.ref for v in data.views()]
    with pytest.raises(Conflict, match="visits is the name of a table"):
        data.view("visits", on=["visits"], entity=["customer"])
    with pytest.raises(Conflict, match="activity is the name of a feature view"):
        data.save(visits(10), name="activity")
    with pytest.raises(NotFound, match="'custmer'.*Did you mean 'customer'"):
        data.view("new", on=["visits"], entity=["custmer"])
    with pytest.raises(InvalidArgument, match="city of people@v1 holds string"):
        data.view("new", on=["people"], entity=["customer"], time="city")
    with pytest.raises(InvalidArgument, match="--ttl takes a time such as 30d"):
        data.view("new", on=["visits"], entity=["customer"], time="at", ttl="soon")
    with pytest.raises(InvalidArgument, match="needs --time"):
        data.view("new", on=["visits"], entity=["customer"], ttl="3d")
    with pytest.raises(InvalidArgument, match="without d"):
        data.view("new", on=["visits"], entity=["customer"], time="visits", ttl="3d")
    with pytest.raises(InvalidArgument, match="visits@v1 is a table, no feature view"):
        data.join(labels(), views=["visits@v1"], time="when")
    with pytest.raises(InvalidArgument, match="activity@v1 is a view; a view stands on tables"):
        data.view("new", on=["activity@v1"], entity=["customer"])
    assert [v.ref for v in data.views()] == before


def test_personal_columns_of_the_data_stay_personal_in_the_joined_table(made: Session) -> None:
    data = made.data
    people = pd.DataFrame({"customer": range(20), "email": [f"p{i}@example.org" for i in range(20)]})
    data.save(people, name="mailing", mask=["email"])
    data.view("contact", on=["mailing"], entity=["customer"])
    saved = data.join(labels(), views=["contact"], name="with-mail").saved
    assert data.log("with-mail")[0].personal == ("email",)
    assert not any("@example.org" in str(value) for value in data.load(saved)["email"])


FEAST = """
import json, sys
import pandas as pd
from feast import FeatureStore
store = FeatureStore(repo_path=sys.argv[1])
names = [f"{view.name}:{field.name}" for view in store.list_feature_views() for field in view.features]
found = store.get_historical_features(entity_df=pd.read_parquet(sys.argv[2]), features=names).to_df()
found.to_parquet(sys.argv[3])
print(json.dumps(sorted(names)))
"""


@pytest.mark.extended
@pytest.mark.timeout(900)
def test_feast_takes_the_repository_and_joins_as_we_do(made: Session, tmp_path: Path) -> None:
    place = Path(".cache/feast").absolute()
    uv = Path(sys.executable).parent / "uv"
    if not (place / "bin/feast").exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, place], check=True)
        done = subprocess.run([uv, "pip", "install", "-q", "--python", place / "bin/python", "feast"], check=False)
        if done.returncode:
            pytest.skip("feast cannot be installed here")
    assert "1 feature views with" in made.data.feast(["activity@v1"], output=str(tmp_path / "repo"))
    with pytest.raises(InvalidArgument, match="is not an empty folder"):
        made.data.feast(["activity@v1"], output=str(tmp_path / "repo"))
    with pytest.raises(InvalidArgument, match="has no event time"):
        made.data.feast(["profile"], output=str(tmp_path / "other"))
    environment = {**os.environ, "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}
    subprocess.run([place / "bin/feast", "apply"], cwd=tmp_path / "repo", env=environment, check=True, timeout=400)
    asked = labels().assign(event_timestamp=labels()["when"].dt.tz_localize("UTC"), row=range(60))
    asked.drop(columns=["when", "left"]).to_parquet(tmp_path / "asked.parquet", index=False)
    told = subprocess.run(
        [place / "bin/python", "-c", FEAST, tmp_path / "repo", tmp_path / "asked.parquet", tmp_path / "got.parquet"],
        env=environment, check=True, timeout=400, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(told.stdout.splitlines()[-1]) == ["activity:spend", "activity:visits"]
    theirs: Any = pd.read_parquet(tmp_path / "got.parquet").set_index("row").sort_index()
    every = made.data.join(labels(), views=["activity@v1"], time="when").table
    assert every["spend"].notna().sum() > 20
    # Feast's file store leaves rows out of which everything known is too old or too new; we keep them, without values.
    ours = every.loc[theirs.index]
    assert every.drop(index=theirs.index)[["spend", "visits"]].isna().all(axis=None)
    assert ours["spend"].isna().any()
    np.testing.assert_array_equal(theirs["spend"].astype(float), ours["spend"])
    np.testing.assert_array_equal(theirs["visits"].astype(float), ours["visits"])
