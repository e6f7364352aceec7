"""Personal data, from the table to the server's log: what a data version declares is hashed wherever the model is served."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jupyter_mlops.session import Session


@pytest.mark.slow
def test_what_the_data_declares_personal_never_reaches_a_deployments_log(session: Session) -> None:
    rng = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "id": np.arange(80),
            "email": [f"person{i % 7}@example.org" for i in range(80)],
            "spend": rng.gamma(2, 10, 80),
        }
    )
    data = session.data
    data.save(people, name="people", mask=["email"])
    data.view("profile", on=["people"], entity=["id"])
    labels = pd.DataFrame({"id": np.arange(80), "y": rng.random(80) < 0.5})
    joined = data.join(labels, ["profile"], name="train")
    assert data.log("train")[0].personal == ("email",)
    train = joined.table
    session.context.namespace = {"train": train}
    inputs = train[["email", "spend"]]
    model = make_pipeline(data.transformation("profile"), LogisticRegression())
    with session.run("fit", source="model.fit(train[['email', 'spend']], train['y'])"):
        model.fit(inputs, train["y"])
    version = session.register(model, name="clf", data=train[["email", "spend"]])
    assert "train@v1" in version.data
    session.deploy(version.ref, workers=1)
    asked = pd.DataFrame({"email": ["ada.lovelace@example.org"] * 3, "spend": [1.0, 2.0, 3.0]})
    assert len(session.predict("clf", asked)) == 3
    session.undeploy("clf")
    home = session.context.workspace.home / "deployments" / "clf"
    written = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size]
    assert sum(b"spend" in path.read_bytes() for path in written) > 0
    assert not [path.name for path in written if b"ada.lovelace" in path.read_bytes()]
