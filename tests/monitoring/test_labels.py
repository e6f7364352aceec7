"""Labels over a real log: joined once, whatever comes twice, late, torn or unknown; kept whole through a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import answered, deployed, host_at, writer_of

from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.domain.deployment import LogRules
from jupyter_mlops.domain.performance import Performance
from jupyter_mlops.errors import InvalidArgument, NotFound, NotReady
from jupyter_mlops.monitoring.labels import Labels, match
from jupyter_mlops.monitoring.operations_performance import (
    expire_labels,
    forget_labels,
    label,
    performance,
    source_of,
)
from jupyter_mlops.monitoring.operations_traffic_samples import error_rate
from jupyter_mlops.monitoring.stretch import Span
from jupyter_mlops.serving.operations import keep_logs

HOUR = 3_600_000
START = now_ms() // HOUR * HOUR - 9 * HOUR


def give(host, tmp_path, table: pd.DataFrame, on: str = "id", **keywords):
    file = tmp_path / "staged.parquet"
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file)
    return label(host, name="m", file=str(file), on=on, target="y", **keywords)


@pytest.fixture
def host(tmp_path, empty_database):
    return host_at(tmp_path, empty_database)


def test_labels_are_taken_once_and_everything_else_is_counted(host, tmp_path):
    folder = deployed(host)
    writer = writer_of(folder)
    with pytest.raises(NotReady, match="logged no predictions"):
        give(host, tmp_path, pd.DataFrame({"id": ["a"], "y": [1]}))
    ids = answered(writer, np.linspace(-2, 2, 20), START, key="k")
    first = give(host, tmp_path, pd.DataFrame({"id": ids[:10], "y": [1] * 10}))
    assert (first["new"], first["labelled"], first["predictions"]) == (10, 10, 20)
    assert give(host, tmp_path, pd.DataFrame({"id": ids[:10], "y": [1] * 10}))["new"] == 10  # the same request, once
    assert source_of(host, "m").labels.count() == 10
    host = replace(host, request="r2")
    table = pd.DataFrame(
        {
            # known, in conflict, twice alike, twice torn, unknown, no label, new
            "id": [ids[0], ids[1], ids[11], ids[11], ids[12], ids[12], "x-9", ids[13], ids[14]],
            "y": [1, 0, 1, 1, 0, 1, 1, None, 0],
        }
    )
    told = give(host, tmp_path, table)
    counts = {k: told[k] for k in ("rows", "new", "repeated", "conflicting", "duplicate", "unknown", "missing")}
    assert counts == {"rows": 9, "new": 2, "repeated": 1, "conflicting": 2, "duplicate": 1, "unknown": 1, "missing": 1}
    assert told["strangers"] == ["x-9"]
    labels = source_of(host, "m").labels
    assert labels.read()[ids[1]] == 1.0
    taken = give(replace(host, request="r3"), tmp_path, pd.DataFrame({"id": [ids[1]], "y": [0]}), replace=True)
    assert (taken["replaced"], taken["conflicting"], taken["labelled"]) == (1, 0, 12)
    assert labels.read()[ids[1]] == 0
    assert labels.read(0, START) == {}
    by_key = give(replace(host, request="r4"), tmp_path, pd.DataFrame({"key": ["k"], "y": [1]}), on="key")
    assert (by_key["new"], by_key["labelled"]) == (8, 20)
    with pytest.raises(InvalidArgument, match="column to join on 'nope'"):
        give(replace(host, request="r5"), tmp_path, pd.DataFrame({"nope": ["k"], "y": [1]}), on="nope")
    with pytest.raises(NotFound, match="deployment 'z'"):
        source_of(host, "z")


def test_an_input_can_name_the_predictions(host, tmp_path):
    window_of = source_of(host, deployed(host).path.name)
    answered(writer_of(deployed(host)), np.array([1.0, 2.0, 1.0]), START)
    wanted, told = match(window_of.window(None), pd.DataFrame({"n": [1, 7], "y": ["yes", "no"]}), on="n", target="y")
    assert list(wanted.values()) == ["yes", "yes"]
    assert told.unknown == 1


CRASH = """
    import sys, os, signal
    sys.path.insert(0, sys.argv[2])
    import pyarrow.parquet as pq
    from pathlib import Path
    from jupyter_mlops.monitoring.labels import Labels
    from jupyter_mlops.serving.inference_log import read
    folder = Path(sys.argv[1])
    real = pq.write_table
    def cut_off(table, file, **k):
        real(table, file, **k); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
    window = read(folder / "log")
    labels = Labels(folder / "labels")
    print(labels.add("a", 1, window, {i: 1 for i in window.inputs.index[:5]}, replace_=False).new, flush=True)
    pq.write_table = cut_off
    labels.add("b", 2, window, {i: 1 for i in window.inputs.index[5:]}, replace_=False)
"""


def test_what_was_acknowledged_survives_a_kill_and_what_was_not_is_invisible(host):
    folder = deployed(host)
    answered(writer_of(folder), np.linspace(-2, 2, 20), START)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(folder.path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("5", -signal.SIGKILL), done.stderr
    labels = Labels(folder.path / "labels")
    assert (labels.count(), len(labels.read())) == (5, 5)
    window = source_of(host, "m").window(None)
    assert labels.add("b", 3, window, dict.fromkeys(window.inputs.index, 1), replace_=False).new == 15
    assert labels.count() == 20


def test_labels_of_erased_predictions_go_and_the_rest_stays_counted(host, tmp_path):
    folder = deployed(host)
    writer = writer_of(folder)
    ids = answered(writer, np.linspace(-2, 2, 20), START)
    give(host, tmp_path, pd.DataFrame({"id": ids[:12], "y": [1] * 12}))
    again = replace(host, request="r2")
    give(again, tmp_path, pd.DataFrame({"id": [*ids[10:12], *ids[15:18]], "y": [0] * 5}), replace=True)
    labels = source_of(host, "m").labels
    assert (labels.count(), len(labels.read())) == (15, 15)
    assert forget_labels(host, name="m") == {"deployment": "m", "labels": 0}
    left = [ids[i] for i in range(20) if i not in (0, 11, 17)]  # one labelled first, one replaced, one labelled second
    batches = labels.batches()
    before = {batch.path.name: batch.path.read_bytes() for batch in batches}
    assert labels.forget(lambda _since, _until: left) == 3
    assert labels.count() == len(labels.read()) == 12
    assert set(labels.read()) == set(left) - {ids[i] for i in (12, 13, 14, 18, 19)}
    assert labels.read()[ids[10]] == 0
    for name, held in before.items():  # killed before the old files went: they are not read, and go the next time
        (folder.path / "labels" / name).write_bytes(held)
    assert labels.count() == len(labels.read()) == 12
    assert labels.forget(lambda _since, _until: left) == 0
    assert len(list((folder.path / "labels").glob("*.parquet"))) == 2
    assert labels.forget(lambda _since, _until: []) == 12
    assert (labels.count(), labels.read()) == (0, {})
    assert {batch.request for batch in labels.batches()} == {"r1", "r2"}  # asked again, they are still known
    assert give(again, tmp_path, pd.DataFrame({"id": ids[15:18], "y": [0] * 3}))["new"] == 0


def test_performance_over_time_estimated_before_and_realised_after_the_labels(host, tmp_path):
    folder, rng = deployed(host), np.random.default_rng(0)
    writer = writer_of(folder)
    ids, truth = [], []
    for hour in range(4):
        numbers = rng.normal(0, 2, 200)
        ids += answered(writer, numbers, START + hour * HOUR, took_ms=1.0 + hour)
        p = 1 / (1 + np.exp(-numbers))
        good = rng.random(200) < p
        truth += list((good if hour < 2 else ~good).astype(int))
    asked = {"name": "m", "every": "1h"}
    before = Performance.from_dict(performance(host, **asked))
    assert [w.labelled for w in before] == [0] * 4
    assert all(w.metric("roc_auc", estimated=True).value > 0.8 for w in before)
    assert "no labels have come" in before.text()
    give(host, tmp_path, pd.DataFrame({"id": ids, "y": truth}))
    after = Performance.from_dict(performance(host, **asked, by=["s"], why=True))
    realised = [w.metric("roc_auc").value for w in after]
    assert min(realised[:2]) > 0.8
    assert max(realised[2:]) < 0.2
    assert all(w.metric("roc_auc").low < w.metric("roc_auc").value < w.metric("roc_auc").high for w in after)
    from sklearn.metrics import roc_auc_score

    shown = source_of(host, "m").window(Span(START, START + HOUR))
    assert realised[0] == pytest.approx(roc_auc_score(truth[:200], shown.probabilities["1"]))
    assert after.estimation_error["roc_auc"] > 0.3
    assert [w.responses.p99_ms for w in after] == [1.0, 2.0, 3.0, 4.0]
    assert {s.name for s in after.slices.slices} == {"s = a", "s = b"}
    assert after.why.after > after.why.before
    assert {c.column for c in after.why.causes} == {"n", "s"}
    assert len(after.to_pandas()) == 4 * (8 + 7)

    client, reports = host.store.client, host.store.reports
    (run,) = client.search_runs([reports.experiment_id])
    name = "performance_every_1h.realised.roc_auc"
    assert [p.value for p in client.get_metric_history(run.info.run_id, name)] == pytest.approx(realised)
    performance(host, **asked)
    assert len(client.get_metric_history(run.info.run_id, name)) == 4
    one = Performance.from_dict(performance(host, name="m", version="1"))
    assert (len(one), one.windows[0].labelled, one.windows[0].models) == (1, 800, ("m@1",))
    with pytest.raises(NotReady, match="answered nothing"):
        performance(host, name="m", version="v7")


def test_a_regression_is_measured_and_estimated_from_what_was_labelled_before(host, tmp_path):
    folder, rng = deployed(host), np.random.default_rng(1)
    writer = writer_of(folder, classes=())
    ids, truth = [], []
    for hour in range(3):
        numbers = rng.normal(0, 1, 300)
        ids += answered(writer, numbers, START + hour * HOUR, values=[float(v) for v in numbers])
        truth += list(numbers + rng.normal(0, 0.5, 300))
    give(host, tmp_path, pd.DataFrame({"id": ids[:300], "y": truth[:300]}))
    found = Performance.from_dict(performance(host, name="m", every="1h"))
    assert (found.task, found.headline) == ("regression", "rmse")
    assert found.windows[0].estimated == ()
    assert found.windows[0].metric("rmse").value == pytest.approx(np.std(np.array(truth[:300]) - 0, ddof=0), rel=1)
    assert found.windows[0].metric("adjusted_r2").value < found.windows[0].metric("r2").value
    assert found.windows[2].metric("rmse", estimated=True).value == pytest.approx(0.5, rel=0.2)
    assert found.windows[2].metric("rmse") is None


def test_the_share_of_failed_requests_is_read_off_samples_of_the_counters(tmp_path):
    folder = tmp_path / "monitoring" / "m"
    folder.mkdir(parents=True)
    lines = [(1, "a", [10, 0]), (5, "a", [30, 2]), (9, "b", [10, 1])]
    text = "".join(f'{{"ms": {ms}, "of": "{of}", "n": {list(n)}}}\n' for ms, of, n in lines)
    (folder / "traffic.jsonl").write_text(text + '{"ms": 10, "of"')
    assert error_rate(tmp_path, "m", Span(2, 6)) == 0.1
    assert error_rate(tmp_path, "m", Span(0, 99)) == pytest.approx(3 / 40)
    assert error_rate(tmp_path, "m", Span(20, 99)) is None
    assert error_rate(tmp_path, "other", Span(0, 99)) is None


def test_labels_go_with_the_rows_that_the_rules_of_a_log_remove(tmp_path, empty_database):
    audited: list = []
    host = host_at(tmp_path, empty_database, audited)
    folder = deployed(host)
    folder.write(replace(folder.read(), state="wanted", log=LogRules(keep_days=3)))
    old, young = writer_of(folder), writer_of(folder)
    ids = answered(old, np.linspace(-2, 2, 6), now_ms() - 5 * 24 * HOUR)
    ids += answered(young, np.linspace(-2, 2, 4), START)
    give(host, tmp_path, pd.DataFrame({"id": ids, "y": [1] * 10}))
    expire_labels(host)  # a service that starts looks at every log
    assert source_of(host, "m").labels.count() == 10
    old.close()
    young.close()
    keep_logs(host)
    assert len(source_of(host, "m").window(None)) == 4
    expire_labels(host)
    assert set(source_of(host, "m").labels.read()) == set(ids[6:])
    told = [entry for entry in audited if entry[2] in ("deployment.log_expire", "deployment.forget_labels")]
    assert [(entry[2], entry[3], entry[4].get("rows", entry[4].get("labels"))) for entry in told] == [
        ("deployment.log_expire", "m", 6),
        ("deployment.forget_labels", "m", 6),
    ]
    expire_labels(host)
    assert len(told) == 2
