"""The electricity market of New South Wales, replayed in time order: drift is named, an alert fires, a retrain beats the champion."""

from __future__ import annotations

import time

import pandas as pd
import pytest
from conftest import real_data

INPUTS = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]


@pytest.mark.extended
def test_the_market_moves_on_and_a_challenger_with_it(session, tmp_path):
    from sklearn.tree import DecisionTreeClassifier

    market = pd.read_csv(real_data("electricity.csv.gz"))
    old, later = market.iloc[:6_000], market.iloc[18_000:36_000:6]
    train = old[[*INPUTS, "class"]]
    session.data.save(train, name="market")
    champion = DecisionTreeClassifier(max_depth=6, random_state=0).fit(train[INPUTS], train["class"])
    session.register(champion, name="price", data=session.data.load("market@v1"), alias="champion")
    session.deploy("price@champion")
    session.monitor("price", every="2s", when=["auc < 0.9", "drift"], then=["retrain"], to=["log"])
    truth = []
    for i in range(6):
        part = later.iloc[i * 500 : (i + 1) * 500]
        told = session.predict("price", part[INPUTS])
        truth.append(told.to_pandas().drop(columns="prediction").assign(label=part["class"].to_numpy()))
        time.sleep(1.1)

    report = session.drift("price")
    assert {"vicprice", "vicdemand", "transfer"} & set(report.drifted)
    session.label("price", pd.concat(truth))
    found = session.performance("price", every="2s", by=["period"], why=True)
    assert len([w for w in found if w.realised and w.estimated]) >= 2
    html = found._repr_mimebundle_()["text/html"]
    assert "realised, with its interval" in html
    assert "estimated, with its interval" in html

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        alerts = session.alerts("price")
        retrains = session.retrains("price")
        if len(alerts) and any(r.ended and r.state != "refused" for r in retrains):
            break
        time.sleep(0.5)
    assert {a.rule for a in alerts} & {"auc < 0.9", "drift"}
    assert "alert" in session.performance("price", every="2s")._repr_mimebundle_()["text/html"]
    job = next(r for r in reversed(tuple(retrains)) if r.state != "refused")
    assert (job.state, job.model) == ("proposed", "price@1"), job.text()
    fresh = job.compared[0].of("roc_auc")
    assert fresh.better
    assert session.models("price")[0].ref == job.challenger
    assert "challenger" in session.models("price")[0].aliases
    assert session.deployments()[0].model == "price@1"  # proposed, and no more
    actions = {entry.action for entry in session.audit("price")}
    assert {"retrain.training", "retrain.proposed", "model.register", "deployment.label"} <= actions
    # no storm: the other alert's retrain was refused, and said why
    assert all(
        "ago" in r.error or "goes on" in r.error or "too few" in r.error for r in retrains if r.state == "refused"
    )
