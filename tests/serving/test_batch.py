"""Batch scoring through a real deployment: a Parquet dataset, an interruption, and what does not fit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jupyter_mlops.errors import Conflict, InvalidArgument, PredictionRefused
from jupyter_mlops.serving.inference_log import count
from jupyter_mlops.session import Session

TABLE = pd.DataFrame({"a": np.arange(900.0) % 7, "b": np.arange(900) % 3})


@pytest.fixture(scope="module")
def deployed(make_session: Callable[..., Session]) -> Session:
    from sklearn.tree import DecisionTreeRegressor

    session = make_session()
    model = DecisionTreeRegressor(max_depth=3).fit(TABLE, TABLE.a * 2 + TABLE.b)
    session.register(model, name="line", data=TABLE, alias="champion")
    session.deploy("line@champion")
    session.expected = model.predict(TABLE)
    return session


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(3):
        piece = pa.Table.from_pandas(TABLE.iloc[number * 300 : (number + 1) * 300], preserve_index=False)
        pq.write_table(piece, folder / f"{number}.parquet", row_group_size=100)
    return folder


def test_a_dataset_is_predicted_and_goes_on_after_an_interruption(
    deployed: Session, source: Path, tmp_path: Path
) -> None:
    log = Path(deployed.deployments()[0].log)
    before = count(log)
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.startswith("400 "):
            raise KeyboardInterrupt

    deployed.context.progress = interrupt
    out = tmp_path / "out"
    try:
        with pytest.raises(KeyboardInterrupt):
            deployed.predict("line", str(source), out=str(out))
    finally:
        deployed.context.progress = lambda _: None
    assert len(list(out.glob("part-*.parquet"))) == 4
    done = deployed.predict("line", str(source), out=str(out))
    assert (done.rows, done.parts, done.skipped) == (900, 9, 400)
    table = pd.read_parquet(out)
    pd.testing.assert_frame_equal(table[["a", "b"]], TABLE)
    np.testing.assert_allclose(table["prediction"], deployed.expected)
    assert table["prediction_id"].is_unique
    assert set(table["model"]) == {"line@1"}
    assert count(log) - before == 900
    assert deployed.predict("line", str(source), out=str(out)).skipped == 900
    assert count(log) - before == 900
    with pytest.raises(InvalidArgument, match="another source"):
        deployed.predict("line", TABLE.head(5), out=str(out))


def test_a_server_that_is_killed_meanwhile_is_waited_for(deployed: Session, source: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(line: str) -> None:
        if line.startswith("300 ") and not killed:
            now = deployed.deployments()[0]
            killed.extend([now.pid or 0, *(worker.pid for worker in now.workers)])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    deployed.context.progress = kill
    try:
        done = deployed.predict("line", str(source), out=str(tmp_path / "out"))
    finally:
        deployed.context.progress = lambda _: None
    assert killed
    assert (done.rows, done.parts, done.skipped) == (900, 9, 0)
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "out")["prediction"], deployed.expected)


RUN = """
import os, signal, sys
from pathlib import Path
from jupyter_mlops.session import Session

session = Session.open(root=Path(sys.argv[1]))
session.context.progress = lambda line: line.startswith("50 of") and os.kill(os.getpid(), signal.SIGSTOP)
session.predict("line", sys.argv[2], out=sys.argv[3])
"""


def test_a_run_that_is_killed_is_gone_on_with(deployed: Session, tmp_path: Path) -> None:
    """It holds the folder as long as it lives, and what it was writing when it was killed does not stay."""
    source, out = tmp_path / "source.parquet", tmp_path / "out"
    pq.write_table(pa.Table.from_pandas(TABLE, preserve_index=False), source, row_group_size=10)
    command = [sys.executable, "-c", RUN, str(deployed.context.workspace.root), str(source), str(out)]
    process = subprocess.Popen(command)
    try:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        with pytest.raises(Conflict, match="another run"):
            deployed.predict("line", str(source), out=str(out))
    finally:
        process.kill()
        process.wait()
    (out / ".mlops-part-000089.parquet.0").write_text("half")
    done = deployed.predict("line", str(source), out=str(out))
    assert (done.rows, done.parts, done.skipped) == (900, 90, 50)
    table = pd.read_parquet(out)
    pd.testing.assert_frame_equal(table[["a", "b"]], TABLE)
    np.testing.assert_allclose(table["prediction"], deployed.expected)
    assert table["prediction_id"].is_unique
    assert not list(out.glob(".mlops-*"))


def test_a_table_and_mistakes(deployed: Session, tmp_path: Path) -> None:
    done = deployed.predict("line", TABLE.head(7), out=str(tmp_path / "few"))
    assert (done.rows, done.parts) == (7, 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(InvalidArgument, match="not empty"):
        deployed.predict("line", TABLE, out=str(tmp_path / "full"))
    with pytest.raises(InvalidArgument, match="--out"):
        deployed.predict("line", TABLE, dask=True)
    with pytest.raises(PredictionRefused, match="missing columns: b"):
        deployed.predict("line", TABLE[["a"]], out=str(tmp_path / "wrong"))
    assert deployed.predict("line", TABLE, out=str(tmp_path / "wrong")).rows == 900  # nothing was predicted there


def test_columns_that_the_model_does_not_take_stay_beside_its_predictions(deployed: Session, tmp_path: Path) -> None:
    """A dataset has keys, without which its predictions would be of no use; a column that is missing is told as ever."""
    keyed = TABLE.assign(id=np.arange(900)[::-1])
    deployed.predict("line", keyed, out=str(tmp_path / "out"))
    found = pd.read_parquet(tmp_path / "out")
    assert found["id"].tolist() == keyed["id"].tolist()
    np.testing.assert_allclose(found["prediction"], deployed.expected)
    with pytest.raises(PredictionRefused, match="missing columns: b"):
        deployed.predict("line", keyed[["a", "id"]], out=str(tmp_path / "other"))


@pytest.mark.extended
def test_on_dask(deployed: Session, source: Path, tmp_path: Path) -> None:
    done = deployed.predict("line", str(source), out=str(tmp_path / "out"), dask=True)
    assert (done.rows, done.parts) == (900, 9)
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "out")["prediction"], deployed.expected)
