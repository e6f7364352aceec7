"""Data versions against a real service and store: saved once, whole or not at all, readable without us."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import real_data

from jupyter_mlops.datasets.draft import Draft
from jupyter_mlops.datasets.snapshot import write_snapshot
from jupyter_mlops.domain.data_version import Column, DataVersion
from jupyter_mlops.errors import IntegrityFailure, InvalidArgument, MLOpsError, NotFound, StoreUnavailable
from jupyter_mlops.session import Session
from jupyter_mlops.store import datasets
from jupyter_mlops.store.store import Store

FRAME = pd.DataFrame({"id": [1, 2, 3], "x": [0.5, np.nan, 2.0], "s": pd.Categorical(["a", None, "b"], ordered=True)})


class Recorded:
    """Stands where a run being recorded stands."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def record(self, kind: str, **payload: object) -> None:
        self.events.append((kind, payload))


def service_pid(session: Session) -> int:
    pid = session.status().service_pid
    assert pid is not None
    return pid


def stock_client(session: Session):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=session.context.workspace.tracking_uri)


def test_save_log_load_and_what_is_the_same(shared_session: Session) -> None:
    data = shared_session.data
    first = data.save(FRAME, name="story")
    assert (first.ref, first.new, first.rows, [c.type for c in first.columns]) == (
        "story@v1",
        True,
        3,
        ["int64", "float64", "ordered[string]"],
    )
    again = data.save(FRAME.copy(), name="story")
    assert (again.ref, again.new) == ("story@v1", False)
    assert "already saved" in again.text()
    second = data.save(FRAME.assign(x=[0.5, 1.0, 2.0]), name="story")
    assert (second.ref, data.save(FRAME, name="story").ref, data.save(FRAME, name="other").ref) == (
        "story@v2",
        "story@v1",
        "other@v1",
    )
    pd.testing.assert_frame_equal(data.load("story@v1"), FRAME)
    pd.testing.assert_frame_equal(data.load("story"), data.load("story@2"))
    assert [v.ref for v in data.log("story")] == ["story@v2", "story@v1"]
    assert {v.ref for v in data.log()} >= {"story@v2", "other@v1"}
    assert {"story@v1", "story@v2", "other@v1"} <= set(shared_session.names("data"))
    changed = data.diff("story@v1", "story@v2", key=["id"])
    assert [(c.name, c.cells) for c in changed.columns] == [("x", 1)]
    assert {entry.target for entry in shared_session.audit("story")} == {"story"}


def test_stock_mlflow_finds_it_and_its_files(shared_session: Session) -> None:
    frame = FRAME.assign(t=pd.Timestamp("2024-01-01", tz="Europe/Berlin")).set_index("id")
    saved = shared_session.data.save(frame, name="stock")
    client = stock_client(shared_session)
    experiment = client.get_experiment_by_name(f"{shared_session.context.workspace.experiment}.data")
    runs = client.search_runs([experiment.experiment_id], "attributes.run_name = 'stock@v1'")
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert runs[0].data.params["digest"] == saved.digest
    listed = client.list_artifacts(runs[0].info.run_id, "mlops/data")
    assert [f.path for f in listed] == ["mlops/data/manifest.json"]
    manifest = json.loads(Path(client.download_artifacts(runs[0].info.run_id, listed[0].path)).read_text())
    packs = Path(experiment.artifact_location.removeprefix("file://")) / "packs"
    assert {f"{name}" for name in manifest["packs"]} <= {file.name for file in packs.iterdir()}
    assert "jupyter mlops data export" in (packs / "README.md").read_text()


def test_export_writes_parquet_that_pandas_reads(shared_session: Session, tmp_path: Path) -> None:
    shared_session.data.save(FRAME, name="exported")
    shared_session.data.export("exported", output=str(tmp_path / "t.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), FRAME)
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_a_run_is_told_and_used_by_is_found(shared_session: Session) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    recorder = Recorded()
    shared_session.context.recorder = recorder
    try:
        saved = shared_session.data.save(FRAME, name="used")
        loaded = shared_session.data.load("used")
    finally:
        shared_session.context.recorder = None
    told = {"ref": "used@v1", "digest": saved.digest, "name": "used", "role": "input", "rows": 3, "columns": 3}
    told["schema"] = [["id", "int64"], ["x", "float64"], ["s", "ordered[string]"]]
    assert recorder.events == [("data", told), ("data", told)]
    assert shared_session.context.known_tables.find(FRAME) == ("used@v1", saved.digest)
    assert shared_session.context.known_tables.find(loaded) == ("used@v1", saved.digest)

    client = stock_client(shared_session)
    experiment = client.get_experiment_by_name(shared_session.context.workspace.experiment)
    run = client.create_run(experiment.experiment_id)
    dataset = Dataset("used", saved.digest, "local", json.dumps({"uri": "x"}))
    client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.set_terminated(run.info.run_id)
    assert [v.used_by for v in shared_session.data.log("used")] == [(run.info.run_id,)]


def test_bad_input_leaves_nothing_behind(shared_session: Session, tmp_path: Path) -> None:
    data = shared_session.data
    before = shared_session.status().data_versions
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "notes.txt").write_text("x")
    for given, message in {
        "nothing.csv": "no file 'nothing.csv'",
        "nothing": "no data version 'nothing'",
        "story@champion": "no name or branch of 'story' called 'champion'",
        str(tmp_path / "empty.csv"): "cannot be read as its name says",
        str(tmp_path / "notes.txt"): "tables are not read from .txt files",
        "what is this?": "neither a file nor the name of a data version",
    }.items():
        with pytest.raises(MLOpsError, match=message):
            data.save(given, name="bad")
    for given in (None, [1, 2], {"a": [1]}, FRAME["x"], np.zeros((2, 2)), 3):
        with pytest.raises(InvalidArgument, match="is no table"):
            data.save(given, name="bad")
    with pytest.raises(InvalidArgument, match="column 'm' mixes int, str"):
        data.save(FRAME.assign(m=pd.Series([1, "a", 2], dtype=object)), name="bad")
    with pytest.raises(InvalidArgument, match="no columns"):
        data.save(FRAME[[]], name="bad")
    with pytest.raises(InvalidArgument, match="cannot name a data version"):
        data.save(FRAME, name="a b")
    with pytest.raises(NotFound, match="no data version 'bad'"):
        data.load("bad")
    with pytest.raises(InvalidArgument, match="'data save' also needs --name"):
        shared_session.invoke("data save", {"table": FRAME}, via="magic")
    assert shared_session.status().data_versions == before
    assert not list((shared_session.context.workspace.home / "staging").glob("*"))


def test_files_and_arrow_tables_are_tables(shared_session: Session, tmp_path: Path) -> None:
    import pyarrow as pa

    plain = FRAME[["id", "x"]]
    plain.to_csv(tmp_path / "t.csv.gz", index=False)
    plain.to_parquet(tmp_path / "t.parquet")
    plain.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    plain.to_feather(tmp_path / "t.feather")
    given = [
        plain,
        *(str(tmp_path / f"t.{end}") for end in ("csv.gz", "parquet", "tsv", "feather")),
        tmp_path / "t.tsv",
    ]
    given.append(pa.table(plain))
    assert {shared_session.data.save(each, name="file").ref for each in given} == {"file@v1"}


def test_a_changed_file_is_noticed(shared_session: Session) -> None:
    shared_session.data.save(FRAME, name="tampered")
    found = shared_session.context.call("data.locate", ref="tampered")
    manifest = Path(found["folder"]) / "manifest.json"
    pack = Path(found["packs"]) / json.loads(manifest.read_bytes())["packs"][0]
    whole, told = pack.read_bytes(), manifest.read_bytes()
    for place in range(len(whole) - 1, 8, -7):
        pack.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(IntegrityFailure, match="tampered@v1 is not what was saved"):
            shared_session.data.load("tampered@v1")
    pack.write_bytes(whole[: len(whole) - 4])
    with pytest.raises(IntegrityFailure, match="does not hold what was stored"):
        shared_session.data.load("tampered@v1")
    pack.unlink()
    with pytest.raises(IntegrityFailure, match="is gone"):
        shared_session.data.load("tampered@v1")
    pack.write_bytes(whole)
    manifest.write_bytes(told.replace(b'"rows":3', b'"rows":2'))
    with pytest.raises(IntegrityFailure, match="the manifest is not what was saved"):
        shared_session.data.load("tampered@v1")
    manifest.write_bytes(told)
    pd.testing.assert_frame_equal(shared_session.data.load("tampered@v1"), FRAME)


def test_several_at_once_get_numbers_of_their_own(shared_session: Session) -> None:
    root = shared_session.context.workspace.root

    def save(i: int) -> str:
        return Session.open(root=root).data.save(FRAME.assign(x=float(i % 4)), name="many").ref

    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(save, range(8)))
    assert set(refs) == {f"many@v{i}" for i in (1, 2, 3, 4)}
    assert [v.version for v in shared_session.data.log("many")] == [4, 3, 2, 1]


def test_a_number_never_comes_to_mean_other_content(shared_session: Session) -> None:
    data = shared_session.data
    data.save(FRAME, name="gone")
    second = data.save(FRAME[:2], name="gone")
    client = stock_client(shared_session)
    experiment = client.get_experiment_by_name(f"{shared_session.context.workspace.experiment}.data")
    run = client.search_runs([experiment.experiment_id], "attributes.run_name = 'gone@v2'")[0]
    client.delete_run(run.info.run_id)
    assert second.ref == "gone@v2"
    with pytest.raises(NotFound, match=r"no version of 'gone' numbered 'v2'; there is: v1"):
        data.load("gone@v2")
    assert data.save(FRAME[:1], name="gone").ref == "gone@v3"


def test_a_table_with_very_many_columns(shared_session: Session) -> None:
    frame = pd.DataFrame(np.zeros((2, 1500)), columns=[f"measured_{i}" for i in range(1500)])
    shared_session.data.save(frame, name="wide")
    assert [c.name for c in shared_session.data.log("wide")[0].columns] == list(frame.columns)
    pd.testing.assert_frame_equal(shared_session.data.load("wide"), frame)


@pytest.mark.slow
def test_the_service_is_killed_during_saves(session: Session) -> None:
    """Wherever the kill strikes, the save goes on with the next service, and there is exactly one version of each."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50_000, 8))).rename(columns=str)
    session.data.save(frame[:1], name="killed")
    for i, delay in enumerate([0.02, 0.08], start=2):
        pid = service_pid(session)
        content = frame.assign(round=i)
        prepared = threading.Event()

        def strike(pid: int = pid, delay: float = delay, prepared: threading.Event = prepared) -> None:
            prepared.wait(30)
            threading.Event().wait(delay)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=strike)
        killer.start()
        session.context.progress = lambda line, prepared=prepared: prepared.set() if "storing" in line else None
        saved = session.data.save(content, name="killed")
        killer.join()
        assert saved.ref == f"killed@v{i}"
        pd.testing.assert_frame_equal(session.data.load(saved.ref), content)
    assert [v.version for v in session.data.log("killed")] == [3, 2, 1]
    assert [e.outcome for e in session.audit("killed")] == ["done"] * 3


class Killed(BaseException):
    """The process ends here: nothing catches this."""


class Mortal:
    """An MLflow client that dies before its nth call that writes."""

    WRITES = (
        "create_run",
        "set_experiment_tag",
        "log_batch",
        "log_artifacts",
        "set_tag",
        "update_run",
        "set_terminated",
    )

    def __init__(self, client: Any, lives: int) -> None:
        self.client, self.lives = client, lives

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if name not in self.WRITES:
            return found

        def write(*given: Any, **named: Any) -> Any:
            if self.lives == 0:
                raise Killed
            self.lives -= 1
            return found(*given, **named)

        return write


def test_a_save_that_is_cut_short_anywhere_is_invisible_and_then_completed(session: Session, tmp_path: Path) -> None:
    frame = FRAME.rename(columns=str)
    draft = Draft(frame)
    write_snapshot(draft, tmp_path)
    identity = draft.identity
    columns = tuple(Column(c.name, c.type, c.missing) for c in identity.columns)
    store = Store.open(session.context.workspace)
    client = store.client
    for lives in range(20):
        name = f"cut{lives}"
        # each with content of its own name; the same folder will do, its digest is not looked at here
        version = DataVersion(name, 0, identity.digest, len(frame), columns, bytes=1)
        store.client = Mortal(client, lives)
        try:
            saved = store.datasets.save(version, tmp_path, request=name)
            break
        except Killed:
            store.client = client
            assert store.datasets.versions(name) == []
            other = DataVersion(name, 0, "b3:other", len(frame), columns, bytes=1)
            assert store.datasets.save(other, tmp_path, request=f"{name} other").version in (1, 2)
            saved = store.datasets.save(version, tmp_path, request=name)
            assert {saved.version, store.datasets.find(name, "b3:other").version} == {1, 2}
            assert store.datasets.save(version, tmp_path, request=name) == saved
            assert len(store.datasets.versions(name)) == 2
    assert lives > 5  # the loop ended because a save came through, after cutting every write of it
    assert saved.version == 1


def test_what_nobody_goes_on_with_is_swept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.data.save(FRAME, name="kept")
    session.service.stop()
    store = Store.open(session.context.workspace)
    half = DataVersion("half", 0, "b3:0", 3, ())
    run_id = store.datasets._begin(half, "a request that nobody repeats")
    assert [v.ref for v in store.datasets.latest()] == ["kept@v1"]
    assert store.datasets.sweep() == 0
    monkeypatch.setattr(datasets, "ABANDONED_MS", -1)
    assert store.datasets.sweep() == 1
    run = store.client.get_run(run_id)
    assert (run.info.status, run.info.lifecycle_stage) == ("FAILED", "deleted")
    assert store.datasets.count() == 1


@pytest.mark.slow
def test_a_store_whose_artifacts_are_elsewhere(make_session: Callable[..., Session], tmp_path: Path) -> None:
    """A tracking server keeps the files: we keep copies by digest, and fetch a damaged one anew."""
    import socket
    import subprocess
    import sys
    import time
    import urllib.request

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--artifacts-destination", str(tmp_path / "kept")]
    server = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240  # MLflow's server takes half a minute to come up beside other work
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        session = make_session()
        session.connect(f"http://127.0.0.1:{port}", experiment="far")
        assert session.data.save(FRAME, name="far").ref == "far@v1"
        assert session.data.save(FRAME[:2], name="far").ref == "far@v2"
        pd.testing.assert_frame_equal(session.data.load("far@v1"), FRAME)
        copies = list((session.context.workspace.home / "cache" / "data").iterdir())
        assert len(copies) == 1
        (copies[0] / "manifest.json").write_bytes(b"damaged")
        pd.testing.assert_frame_equal(session.data.load("far@v1"), FRAME)
        assert [v.ref for v in session.data.log("far")] == ["far@v2", "far@v1"]
        session.service.stop()
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(tmp_path / "kept", ignore_errors=True)


def test_real_data_comes_back_equal(shared_session: Session) -> None:
    for name in ("adult.csv.gz", "titanic.csv", "housing.csv.gz"):
        frame = pd.read_csv(real_data(name))
        ref = shared_session.data.save(frame, name=name.partition(".")[0]).ref
        pd.testing.assert_frame_equal(shared_session.data.load(ref), frame)


def test_a_full_disk_is_told_and_leaves_nothing(shared_session, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shared_session.data.save(pd.DataFrame({"a": [1.0]}), name="filled")
    monkeypatch.setattr("jupyter_mlops.datasets.pack.Pack.append", full)
    with pytest.raises(StoreUnavailable, match=r"nothing was saved: .*No space left.*data gc"):
        shared_session.data.save(pd.DataFrame({"a": [2.0]}), name="filled")
    monkeypatch.undo()
    assert [version.ref for version in shared_session.data.log("filled")] == ["filled@v1"]
    assert not list((shared_session.context.workspace.home / "staging").iterdir())
    assert shared_session.data.save(pd.DataFrame({"a": [2.0]}), name="filled").ref == "filled@v2"
