"""Nouns go over the wire with what they derive, and numbers that JSON lacks survive."""

from __future__ import annotations

import json
import math

from jupyter_mlops.domain.model_version import ModelTable, ModelVersion
from jupyter_mlops.domain.run import Run
from jupyter_mlops.server.packing import pack, read_query
from jupyter_mlops.session import Session


def test_a_noun_brings_its_kind_and_what_it_derives():
    told = pack(ModelTable((ModelVersion("clf", 7, metrics={"auc": 0.9}),)))
    assert told["kind"] == "ModelTable"
    assert told["versions"][0]["ref"] == "clf@7"
    assert told["versions"][0]["kind"] == "ModelVersion"


def test_a_runs_own_kind_is_kept_apart_and_numbers_stay_json():
    told = pack(Run("1", "r", "FINISHED", metrics={"loss": math.nan, "gain": math.inf}))
    assert json.loads(json.dumps(told, allow_nan=False))["metrics"] == {"loss": "NaN", "gain": "Infinity"}


def test_a_query_is_read_by_the_declaration(tmp_path):
    command = Session.open(root=tmp_path).commands["data diff"]
    told = read_query(command, {"before": ["a@v1"], "after": ["a@v2"], "key": ["x", "y"]})
    assert told == {"before": "a@v1", "after": "a@v2", "key": ["x", "y"]}
