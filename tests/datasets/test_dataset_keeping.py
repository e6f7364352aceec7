"""Names for versions, garbage that is removed and what never is, pointers that DVC understands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_mlops.datasets.operations_keeping import places
from jupyter_mlops.domain.context import now_ms
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.session import Session
from jupyter_mlops.store import garbage
from jupyter_mlops.store.garbage import Garbage
from jupyter_mlops.store.store import Store


def made(seed: int, rows: int = 8_000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"id": np.arange(rows), "x": rng.normal(size=rows), "y": rng.normal(size=rows)})


@pytest.fixture(scope="module")
def data(shared_session: Session) -> Any:
    return shared_session.data


@pytest.fixture(scope="module")
def store(shared_session: Session) -> Store:
    return Store.open(shared_session.context.workspace)


def test_a_name_is_given_moved_and_taken_away(data: Any) -> None:
    for seed in (1, 2):
        data.save(made(seed, 100), name="tagged")
    assert data.tag("tagged@v1", "gold") == "tagged@gold is tagged@v1"
    pd.testing.assert_frame_equal(data.load("tagged@gold"), made(1, 100))
    assert [v.names for v in data.log("tagged")] == [(), ("gold",)]
    assert data.tag("tagged", "gold") == "tagged@gold is tagged@v2, no longer tagged@v1"
    pd.testing.assert_frame_equal(data.load("tagged@gold"), made(2, 100))
    assert data.tag("tagged", "gold", remove=True) == "tagged@v2 is no longer called gold"
    with pytest.raises(NotFound, match="no name or branch of 'tagged' called 'gold'"):
        data.load("tagged@gold")
    with pytest.raises(NotFound, match="no name of 'tagged' called 'gold'"):
        data.tag("tagged", "gold", remove=True)
    for bad in ("v3", "7", "latest", "a b", ""):
        with pytest.raises(InvalidArgument):
            data.tag("tagged", bad)
    with pytest.raises(NotFound, match="no data version 'nothing'"):
        data.tag("nothing", "gold")


def test_content_that_is_there_already_says_what_its_name_and_branch_mean_now(data: Any) -> None:
    data.save(made(21, 50), name="back")
    assert data.save(made(21, 50), name="back").instead == ""
    data.save(made(22, 50), name="back")
    again = data.save(made(21, 50), name="back")
    assert (again.ref, again.new) == ("back@v1", False)
    assert "already saved; back is still back@v2" in again.text()
    assert "the branch exp begins with content that back does not have yet" in str(
        data.save(made(21, 50), name="back", branch="exp")
    )
    data.save(made(23, 50), name="back", branch="exp")
    assert data.save(made(23, 50), name="back", branch="exp").instead == ""
    assert data.save(made(22, 50), name="back", branch="exp").instead == "back@exp is still back@v3"
    data.tag("back@v1", "gold")
    with pytest.raises(InvalidArgument, match="`data tag` gave"):
        data.save(made(24, 50), name="back", branch="gold")


def test_days_and_branches(data: Any, store: Store) -> None:
    data.save(made(1, 100), name="line")
    data.save(made(2, 100), name="line", branch="try")
    data.save(made(3, 100), name="line")
    assert [(v.ref, v.branch) for v in data.log("line")] == [("line@v3", ""), ("line@v2", "try"), ("line@v1", "")]
    pd.testing.assert_frame_equal(data.load("line@try"), made(2, 100))
    today = time.strftime("%Y-%m-%d")
    pd.testing.assert_frame_equal(data.load(f"line@{today}"), made(3, 100))
    with pytest.raises(NotFound, match="had no version on 2001-02-03"):
        data.load("line@2001-02-03")
    assert data.save(made(6, 100), name="line", branch="try").ref == "line@v4"
    for main in ("line", "line@latest", f"line@{today}"):  # a branch is asked for by its name
        pd.testing.assert_frame_equal(data.load(main), made(3, 100))
    assert data.save(made(7, 100), name="side", branch="try").ref == "side@v1"
    pd.testing.assert_frame_equal(data.load("side"), made(7, 100))
    with pytest.raises(InvalidArgument, match="is a branch of line"):
        data.tag("line@v1", "try")
    for bad in ("v3", "latest", "a b"):
        with pytest.raises(InvalidArgument):
            data.save(made(8, 100), name="line", branch=bad)
    derived = data.save(made(4, 100), name="derived", from_=["line@try"])
    assert derived.sources == ("line@v4",)
    with pytest.raises(NotFound):
        data.save(made(5, 100), name="derived", from_=["line@v9"])
    assert data.log("derived")[0].sources == ("line@v4",)


def test_what_is_used_stays_and_what_is_not_goes(data: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.entities import Dataset, DatasetInput

    client, space = store.client, store.workspace
    versions = {n: data.save(made(n), name="old") for n in range(1, 8)}
    version_of = {v.version: v for v in versions.values()}
    elsewhere = client.create_experiment("somebody else's")
    run = client.create_run(elsewhere, run_name="reader")
    used = Dataset("old", version_of[1].digest, "local", json.dumps({"uri": "x"}))
    client.log_inputs(run.info.run_id, [DatasetInput(used, [])])
    client.create_registered_model("trained")
    client.create_model_version("trained", "x", tags={"mlops.data": json.dumps(["old@v2"])})
    data.tag("old@v3", "gold")
    data.save(made(50, 100), name="child", from_=["old@v4"])

    # Everything was saved within the hour: nothing goes.
    dry = data.gc("old", keep=1)
    assert (dry.removed, dry.applied) == ((), False)
    monkeypatch.setattr(garbage, "RECENT_MS", -1)
    packs = Path(store.datasets.packs.root)
    before = {file.name: file.read_bytes() for file in packs.glob("*.pack")}

    def collect(*, apply: bool, recent: dict[str, int] | None = None) -> Any:
        cache = space.home / "cache" / "gc"
        return Garbage(store, places, cache, recent or {}).collect("old", 1, apply=apply)

    dry = collect(apply=False)
    assert dry.removed == ("old@v5", "old@v6")
    why = {each.ref: each.why for each in dry.kept}
    assert set(why) == {"old@v1", "old@v2", "old@v3", "old@v4"}
    assert [why[f"old@v{n}"].split()[0] for n in (1, 2)] == ["run", "model"]
    assert (why["old@v3"], why["old@v4"]) == ("it is called gold", "child@v1 was made from it")
    assert {file.name: file.read_bytes() for file in packs.glob("*.pack")} == before
    assert dry.bytes > 100_000

    done = collect(apply=True)
    assert done.removed == dry.removed
    assert done.bytes == dry.bytes
    for n in (1, 2, 3, 4, 7):
        pd.testing.assert_frame_equal(data.load(f"old@v{n}"), made(n))
    for n in (5, 6):
        with pytest.raises(NotFound):
            data.load(f"old@v{n}")
    again = collect(apply=True)
    assert (again.removed, again.packs, again.bytes) == ((), 0, 0)
    assert data.save(made(5), name="old").ref == "old@v8"
    pd.testing.assert_frame_equal(data.load("old@v8"), made(5))
    # Bytes that a removed version and one that stays share are still there: v7 was built on v6.
    assert "removed 2 versions" in done.text()


def test_what_is_too_old_goes_but_for_what_is_in_use(
    data: Any, store: Store, shared_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.entities import Dataset, DatasetInput

    client, space = store.client, store.workspace
    saved = {n: data.save(made(n), name="aged") for n in range(1, 8)}
    categories = made(8).assign(kind="a word that only this version has")
    data.save(categories, name="aged")
    data.save(made(9), name="aged")
    runs = {}
    for number, status in ((1, "FINISHED"), (2, "RUNNING")):
        runs[number] = client.create_run(store.experiment_id, run_name=f"reader-{number}").info.run_id
        used = Dataset("aged", saved[number].digest, "local", json.dumps({"uri": "x"}))
        client.log_inputs(runs[number], [DatasetInput(used, [])])
        if status == "FINISHED":
            client.set_terminated(runs[number])
    client.create_registered_model("aged-clf")
    client.create_model_version("aged-clf", "x", tags={"mlops.data": json.dumps(["aged@v3"])})
    client.set_registered_model_alias("aged-clf", "champion", "1")
    data.tag("aged@v4", "gold")
    data.seal("aged@v5")
    data.save(made(60, 100), name="aged-child", from_=["aged@v6"])
    day = 86_400_000
    assert data.gc("aged", older="1d", used=True).removed == ()  # all of today
    later = now_ms() + 30 * day

    def collect(days: float, *, keep: int | None = None, used: bool = False, apply: bool = False) -> Any:
        told = Garbage(store, places, space.home / "cache" / "gc", {})
        return told.collect("aged", keep, older_ms=int(days * day), used=used, apply=apply, request=f"r{days}")

    monkeypatch.setattr(garbage, "now_ms", lambda: later)
    assert collect(31).removed == ()
    dry = collect(29)
    assert dry.removed == ("aged@v7", "aged@v8")
    why = {each.ref: each.why for each in dry.kept}
    assert why == {
        "aged@v1": "run reader-1",
        "aged@v2": "run reader-2 is under way",
        "aged@v3": "model aged-clf@1 (champion)",
        "aged@v4": "it is called gold",
        "aged@v5": "it is sealed",
        "aged@v6": "aged-child@v1 was made from it",
    }
    stricter = collect(29, used=True)
    assert stricter.removed == ("aged@v1", "aged@v7", "aged@v8")
    assert {each.ref: each.why for each in stricter.kept}["aged@v2"] == "run reader-2 is under way"
    assert stricter.users == {"aged@v1": "run reader-1"}
    assert "aged@v1, used by run reader-1, which then nobody can reproduce" in stricter.text()
    root = Path(store.datasets.packs.root).parent
    held = [path for path in root.rglob("*") if path.is_file() and b"a word that only this" in path.read_bytes()]
    assert held
    # killed after the versions went and before their bytes did: asked again, it goes on and tells of both
    with monkeypatch.context() as killed:
        killed.setattr(Garbage, "_needed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collect(29, used=True, apply=True)
    done = collect(29, used=True, apply=True)
    assert done.removed == stricter.removed
    assert done.bytes == stricter.bytes > 100_000
    assert not [path for path in root.rglob("*") if path.is_file() and b"a word that only this" in path.read_bytes()]
    for number in (2, 3, 4, 6):
        pd.testing.assert_frame_equal(data.load(f"aged@v{number}"), made(number))
    client.set_terminated(runs[2])
    assert collect(29.5, keep=0, used=True).removed == ("aged@v2", "aged@v9")
    with pytest.raises(InvalidArgument, match="--used without"):
        data.gc("aged", used=True)
    with pytest.raises(InvalidArgument, match="no length of time"):
        data.gc("aged", older="soon")


def test_what_went_by_age_stands_in_the_audit_record(
    data: Any, shared_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.save(made(1, 100), name="short")
    done = data.gc("short", keep=0, older="0.001s", apply=True)
    assert [(each.ref, each.why) for each in done.kept] == [("short@v1", "it was read or saved within the last hour")]
    entry = shared_session.audit(action="data.gc", limit=1)[0]
    assert (entry.target, entry.outcome, entry.details["older_ms"]) == ("short", "done", 1)


def test_just_read_counts_as_used(data: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 2):
        data.save(made(seed, 100), name="read")
    monkeypatch.setattr(garbage, "RECENT_MS", 1000)
    later = now_ms() + 60_000
    monkeypatch.setattr(garbage, "now_ms", lambda: later)
    cache = store.workspace.home / "cache" / "gc"
    reader = Garbage(store, places, cache, {"read@v1": later - 100})
    assert [k.why for k in reader.collect("read", 1, apply=True).kept] == ["it was read or saved within the last hour"]
    assert Garbage(store, places, cache, {}).collect("read", 1, apply=False).removed == ("read@v1",)


def test_orphans_go_unless_somebody_is_saving(data: Any, store: Store) -> None:
    from jupyter_mlops.domain.data_version import DataVersion

    data.save(made(1, 100), name="whole")
    orphan = Path(store.datasets.packs.root) / "0123.pack"
    orphan.write_bytes(b"MLOPSPK1" + b"x" * 1000)
    run_id = store.datasets._begin(DataVersion("half", 0, "b3:0", 3, ()), "a save in another workspace")
    busy = data.gc(apply=True)
    assert "being saved" in busy.waiting
    assert orphan.exists()
    store.datasets._give_up(store.client.get_run(run_id))
    assert data.gc().packs == 1
    assert orphan.exists()
    assert data.gc(apply=True).packs == 1
    assert not orphan.exists()
    pd.testing.assert_frame_equal(data.load("whole"), made(1, 100))
    with pytest.raises(InvalidArgument, match="would leave no version"):
        data.gc(keep=0)
    with pytest.raises(NotFound, match="no data version 'nothing'"):
        data.gc("nothing", keep=1)


@pytest.mark.extended
def test_dvc_takes_the_pointer_for_its_own(data: Any, tmp_path: Path) -> None:
    saved = data.save(made(9, 1000), name="pointed")

    def dvc(*words: str) -> str:
        command = [sys.executable, "-m", "dvc", *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    dvc("init", "--no-scm", "-q")
    said = data.pointer("pointed", output=str(tmp_path / "my table.parquet"))
    assert "my table.parquet.dvc" in said
    assert saved.digest in (tmp_path / "my table.parquet.dvc").read_text()
    dvc("commit", "-q", "my table.parquet.dvc")
    assert "up to date" in dvc("status")
    (tmp_path / "my table.parquet").unlink()
    dvc("checkout", "-q")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "my table.parquet"), made(9, 1000))
