"""ONNX Runtime as it is loaded here: it tells its maker nothing, and prepares nothing to be told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = """
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from jupyter_mlops.serving.compiled.finals import final_of
x = np.arange(60.0).reshape(-1, 1)
final, forest = final_of(HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=5).fit(x, x.ravel()), 1)
"""
WAYS = {
    "a model server": MODEL + "final.start(forest.onnx()); print(final.sums(x).shape)",
    "a footprint": MODEL + "from jupyter_mlops.evaluation.footprint import open_session; open_session(forest.onnx())",
    "a builder": "from jupyter_mlops.serving.compiled.builder import _load; _load()\n"
    + MODEL
    + "final.start(forest.onnx())",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_told_to_its_maker(way: str, tmp_path: Path) -> None:
    """The library keeps an identifier of the machine and what it is about to send in the user's cache folder."""
    asked_not_to = ("ORT_", "CI", "GITHUB_", "TF_BUILD", "XDG_", "PYTEST")  # it is silent by itself where tests run
    env = {k: v for k, v in os.environ.items() if not k.startswith(asked_not_to)}
    subprocess.run([sys.executable, "-c", WAYS[way]], env={**env, "HOME": str(tmp_path)}, check=True, timeout=200)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
