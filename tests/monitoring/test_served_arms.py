"""An A/B test on served traffic: the labelled outcomes of two versions, as they stand in the inference log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import answered, deployed, host_at, writer_of

from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.errors import InvalidArgument, NotReady
from jupyter_mlops.evaluation.ab import ab_test, smallest_effect
from jupyter_mlops.monitoring.operations_arms import arms
from jupyter_mlops.monitoring.operations_performance import label

START = now_ms() - 9 * 3_600_000


def test_two_versions_are_compared_by_the_labels_that_came(tmp_path: Path, empty_database: Path) -> None:
    host = host_at(tmp_path, empty_database)
    folder = deployed(host)
    rng = np.random.default_rng(0)
    ids: list[str] = []
    truth: list[int] = []
    right = {"m@1": 0.6, "m@2": 0.9}
    for model, share in right.items():
        writer = writer_of(folder, model=model)
        for batch in range(4):
            wanted = rng.integers(0, 2, 50)
            said = np.where(rng.random(50) < share, wanted, 1 - wanted)
            at = START + batch * 1000 + (model == "m@2")
            ids += answered(writer, np.zeros(50), at, request=f"{model[-1]}{batch}", values=[int(v) for v in said])
            truth += [int(v) for v in wanted]
        writer.close()
    with pytest.raises(NotReady, match="has a label yet"):
        arms(host, name="m")
    given = pd.DataFrame({"id": ids[:390], "y": truth[:390]})
    file = tmp_path / "staged.parquet"
    pq.write_table(pa.Table.from_pandas(given, preserve_index=False), file)
    label(host, name="m", file=str(file), on="id", target="y")

    told = arms(host, name="m")
    assert told["found"] == {"m@1": 200, "m@2": 190}
    assert told["arm"][:100] == ["m@1"] * 50 + ["m@2"] * 50, "in the order in which they were answered"
    frame = pd.DataFrame({"version": told["arm"], "right": told["outcome"]})
    found = ab_test(frame, "version", "right")
    assert (found.a, found.b) == ("m@1", "m@2")
    assert found.mean_a == pytest.approx(frame[frame["version"] == "m@1"]["right"].mean())
    assert found.decided_at is not None
    assert found.high < 0, "the second is better"
    assert found.detectable == pytest.approx(smallest_effect(found.mean_a or 0.0, 190))
    assert "with power 80%" in found.text()

    came = arms(host, name="m", outcome="1")
    assert sum(came["outcome"]) == sum(truth[:390])
    with pytest.raises(InvalidArgument, match="label"):
        arms(host, name="m", outcome="maybe")
    with pytest.raises(InvalidArgument, match="version with labels"):
        arms(host, name="m", models=["m@1", "m@7"])
