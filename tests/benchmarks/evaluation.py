"""Evaluation against its limits: adult with slices, calibration and fairness; SHAP of a forest of 100 trees."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from jupyter_mlops.evaluation.attribution import attribute
from jupyter_mlops.session import Session

from .figures import compared, in_turn

ADULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "adult.csv.gz"
EVALUATE_SECONDS, SHAP_SECONDS = 10.0, 15.0
ROUNDS = 3


def main() -> None:
    """Both figures, each a share of its limit."""
    adult = pd.read_csv(ADULT)
    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude="number"),
        ),
        remainder="passthrough",
    )
    inputs = adult.drop(columns="income")
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=60, random_state=0)).fit(
        inputs, adult["income"]
    )
    session = Session.open(root=Path(tempfile.mkdtemp()))

    def evaluated() -> float:
        began = time.perf_counter()
        parts: dict[str, Any] = {"slices": ["auto"], "fairness": ["sex", "race"], "calibration": True}
        found = session.evaluate(model, data=adult, target="income", store=False, **parts)
        return time.perf_counter() - began - float(found.predict_seconds or 0.0)

    ours, limit = in_turn(evaluated, lambda: EVALUATE_SECONDS, ROUNDS)
    what = f"evaluate adult ({len(adult):,} rows) with slices, calibration, fairness, beyond predicting"
    compared("evaluation", what, "s", ours, "limit", limit, goal=1.0, goal_is="at most").report()

    numbers = inputs.assign(
        **{c: inputs[c].astype("category").cat.codes for c in inputs.select_dtypes(exclude="number")}
    )
    forest = RandomForestClassifier(100, random_state=0).fit(numbers, adult["income"])
    some = numbers.sample(1000, random_state=0)
    attribute(forest, some[:2], 1, budget=np.inf)  # compiled once a machine

    def explained() -> float:
        began = time.perf_counter()
        found = attribute(forest, some, 1, budget=np.inf)
        assert len(found.contributions) == 1000
        assert found.error < 1e-9
        return time.perf_counter() - began

    cpu: list[float] = []

    def timed() -> float:
        began = time.process_time()
        took = explained()
        cpu.append(time.process_time() - began)
        return took

    ours, limit = in_turn(timed, lambda: SHAP_SECONDS, ROUNDS)
    what = "SHAP of 1,000 rows, a forest of 100 trees of full depth"
    compared("evaluation", what, "s", ours, "limit", limit, goal=1.0, goal_is="at most").report()
    compared("evaluation", f"{what}, CPU", "s", cpu[1:], "limit", limit, goal=1.0, goal_is="at most").report()
