"""A person forgotten: gone from every version, from labels and older chunks, from every byte on disk; and through crashes."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

from jupyter_mlops.datasets import operations_erasing
from jupyter_mlops.datasets.erasing import Key, cleaned
from jupyter_mlops.datasets.manifest import Manifest
from jupyter_mlops.datasets.pack import body_of
from jupyter_mlops.datasets.packs import Packs
from jupyter_mlops.domain.workspace import Actor
from jupyter_mlops.errors import IntegrityFailure, InvalidArgument, NotFound
from jupyter_mlops.session import Session
from jupyter_mlops.settings import Settings
from jupyter_mlops.store.host import Host
from jupyter_mlops.store.store import Store

ADA = "ada.lovelace.q7@example.org"
FRAME = b"\x28\xb5\x2f\xfd"  # how zstd begins


def people(rows: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    mails = [f"{rng.integers(10**9):x}.{n}@example.org" for n in range(rows)]
    mails[rows // 2] = ADA
    return pd.DataFrame(
        {
            "mail": mails,
            "label": pd.Categorical([m if n % 97 == 0 or m == ADA else "other" for n, m in enumerate(mails)]),
            "age": rng.integers(18, 90, rows),
            "x": rng.normal(size=rows),
        }
    )


def manifests_in(root: Path) -> list[Manifest]:
    """Every manifest on disk: what they refer to now is what has to be gone later."""
    found = []
    for path in root.rglob("manifest*.json"):
        with contextlib.suppress(IntegrityFailure):
            found.append(Manifest.from_bytes(path.read_bytes()))
    assert found
    return found


def holders(root: Path, text: str, manifests: list[Manifest]) -> set[str]:
    """The files in which a text stands: in the open, in a compressed stretch, in labels, or in a chunk that was there."""
    found = set()
    for path in (p for p in root.rglob("*") if p.is_file()):
        held = path.read_bytes()
        # labels stand in a manifest as base64, at one of three offsets
        parts = {base64.b64encode(b"..."[:n] + text.encode())[4:-8] for n in range(3)}
        at = held.find(FRAME)
        bodies = [held]
        while at >= 0:
            with contextlib.suppress(OSError, pa.ArrowException):
                bodies.append(pa.CompressedInputStream(pa.BufferReader(held[at:]), "zstd").read(1 << 22))
            at = held.find(FRAME, at + 1)
        if any(text.encode() in body for body in bodies) or any(part in held for part in parts):
            found.add(path.name)
    for place in root.rglob("packs"):
        with Packs(str(place)) as packs:
            for manifest in manifests:
                read = packs.of(manifest)
                for column in (c for c in manifest.columns if c.form == "text"):
                    for chunk in {c for held in column.chunks for c in (held, held.base) if c is not None}:
                        with contextlib.suppress(IntegrityFailure, ValueError, pa.ArrowException):
                            body = body_of(chunk, column.form, column.dtype, read)
                            if text in body.values.to_pylist():  # noqa: PD011 no pandas
                                found.add(manifest.packs[chunk.place.pack])
    return found


def test_a_person_is_gone_from_every_version_and_every_byte(shared_session: Session) -> None:
    data, root = shared_session.data, shared_session.context.workspace.home
    table = people()
    data.save(table, name="people")
    with shared_session.run("fit") as run:
        loaded = data.load("people@v1")
        LinearRegression().fit(loaded[["age"]], loaded["x"])
    model = shared_session.register(run.id, name="ages")
    without = table[table["mail"] != ADA].reset_index(drop=True)  # the label stays among the categories
    data.save(without, name="people")
    changed = without.assign(mail=without["mail"].where(without.index % 50 != 0, "new-" + without["mail"]))
    data.save(changed, name="people")  # a patch of a chunk that holds the person
    data.save(without.drop(columns=["mail", "label"]), name="people")
    data.save(table[["age", "x"]].head(9), name="other")
    data.check("people@v1", target="x")
    derived = data.save(table[["age", "x"]], name="ages-only", from_=["people@v1"])
    before = manifests_in(root)
    kept = holders(root, ADA, before)
    assert any(name.endswith(".pack") for name in kept)
    assert any(name.startswith("manifest") for name in kept)

    seen = data.forget("people", "mail", ADA, dry_run=True)
    refs = [f"people@v{n}" for n in range(1, 5)]  # the last one's numbers are patches of chunks with the person's
    assert (seen.dry_run, seen.rows, [v.ref for v in seen.versions]) == (True, 1, refs)
    assert data.load("people@v1")["mail"].eq(ADA).sum() == 1

    told = data.forget("people", "mail", ADA)
    assert [(v.ref, v.rows) for v in told.versions] == list(zip(refs, (1, 0, 0, 0), strict=True))
    assert told.versions[0].runs == (run.id,)
    assert told.models == (model.ref,)
    assert derived.ref in told.derived
    assert ADA not in str(told.to_dict())
    assert holders(root, ADA, before) == set()

    expected = table[table["mail"] != ADA].reset_index(drop=True)
    expected["label"] = expected["label"].cat.remove_categories([ADA])
    pd.testing.assert_frame_equal(data.load("people@v1"), expected)
    pd.testing.assert_frame_equal(data.load("people@v2"), expected)
    pd.testing.assert_series_equal(data.load("people@v3")["mail"], changed["mail"])
    assert len(data.load("people@v4")) == len(without)
    pd.testing.assert_frame_equal(data.load("other"), table[["age", "x"]].head(9))
    said: list[str] = []
    shared_session.context.progress = said.append
    data.load("people@v1")
    assert any("1 rows erased since it was saved" in line for line in said)
    assert [v.used_by for v in data.log("people") if v.version == 1] == [(run.id,)]
    entry = next(e for e in shared_session.audit("people") if e.action == "data.forget")
    assert (entry.details["column"], ADA in str(entry.to_dict())) == ("mail", False)
    again = data.forget("people", "mail", ADA)
    assert (again.versions, "nobody" in again.text()) == ((), True)
    fresh = data.save(pd.concat([expected, expected[:5]], ignore_index=True), name="people")
    assert len(data.load(fresh.ref)) == len(expected) + 5, "later versions build on what was written anew"


def test_what_is_asked_wrongly_changes_nothing(shared_session: Session) -> None:
    data = shared_session.data
    data.save(people(50).head(9).drop(columns="label"), name="small")
    with pytest.raises(InvalidArgument, match="mial"):
        data.forget("small", "mial", ADA)
    with pytest.raises(InvalidArgument, match="none was given"):
        data.forget("small", "mail")
    with pytest.raises(NotFound):
        data.forget("nothing", "mail", ADA)
    assert data.log("small")[0].erasures == ()


def test_a_save_that_builds_on_what_was_written_anew_is_made_whole(
    shared_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shared_session.data
    table = people(2000).drop(columns="label")
    data.save(table, name="raced")
    before = manifests_in(shared_session.context.workspace.home)
    later = table[table["mail"] != ADA].reset_index(drop=True).assign(age=1)
    call, forgotten = shared_session.context.service.call, []

    def between(operation: str, /, **arguments: Any) -> Any:
        if operation == "data.save" and not forgotten:
            forgotten.append(data.forget("raced", "mail", ADA, logs=False))
        return call(operation, **arguments)

    monkeypatch.setattr(shared_session.context.service, "call", between)
    saved = data.save(later, name="raced")
    assert forgotten
    pd.testing.assert_frame_equal(data.load(saved.ref), later)
    home = shared_session.context.workspace.home
    assert holders(home, ADA, before) == set()


@pytest.mark.parametrize(
    ("frame", "column", "value", "left"),
    [
        (pd.DataFrame({"id": [1, 2, 2, 3]}), "id", "2", 2),
        (pd.DataFrame({"id": [1.0, 2.5, np.nan]}), "id", 2.5, 2),
        (pd.DataFrame({"id": ["007", "7", None]}), "id", "7", 2),
        (pd.DataFrame({"id": pd.array([7, None], dtype="Int64")}), "id", 7, 1),
        (pd.DataFrame({"id": pd.Categorical([7, 8])}), "id", "7", 1),
        (pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="id")), "id", "a", 1),
        (pd.DataFrame({"id": pd.to_datetime(["2020-01-01", "2021-01-01"])}), "id", "2020-01-01", 1),
    ],
)
def test_a_person_is_known_by_any_kind_of_value(frame: pd.DataFrame, column: str, value: Any, left: int) -> None:
    found, gone = cleaned(frame, Key(column, (value,)), {})
    assert (len(found), gone) == (left, len(frame) - left)


@pytest.mark.slow
def test_kill_the_service_in_the_middle(session: Session) -> None:
    data, home = session.data, session.context.workspace.home
    table = people(60_000)
    for n in range(3):
        data.save(table.assign(age=n), name="big")
    before = manifests_in(home)
    pid, killed = int(session.status().service_pid or 0), threading.Event()

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (home / operations_erasing.JOURNAL).exists():
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    told = data.forget("big", "mail", ADA)
    killer.join()
    assert killed.is_set()
    assert told.rows == 3
    for n in range(1, 4):
        assert len(data.load(f"big@v{n}")) == len(table) - 1
    assert holders(home, ADA, before) == set()


class Killed(BaseException):
    """The process has died; nothing of it can answer any more."""


class Mortal:
    """MLflow's client, which dies right after its n-th call that changes something."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.left: int | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        changes = name.startswith(("set_", "log_", "delete_", "update_", "create_"))

        def call(*args: Any, **keywords: Any) -> Any:
            answer = found(*args, **keywords)
            if self.left is not None and changes:
                self.left -= 1
                if self.left < 0:
                    raise Killed
            return answer

        return call if callable(found) else found


def test_dying_after_any_change_leaves_either_state_and_asking_again_completes(
    make_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(tmp_path)
    table = people(300)
    tries = 7
    for n in range(tries):
        for version in range(2):
            session.data.save(table.assign(age=version), name=f"p{n}")
    session.service.stop()
    before = manifests_in(tmp_path)
    settings = Settings.load(root=tmp_path)
    store = Store.open(settings.workspace())
    mortal: Any = Mortal(store.client)
    store.client = mortal
    host = Host(
        settings=settings,
        workspace=settings.workspace(),
        open_store=lambda: store,
        changed=lambda _topic: None,
        stopping=threading.Event(),
        audit=lambda *_: None,
        actor=Actor("me", "here"),
    )
    died = 0
    for n in range(tries):
        host.request = f"forget-{n}"
        mortal.left = n
        arguments: dict[str, Any] = {"name": f"p{n}", "column": "mail", "key": {"values": [ADA]}}
        if n == tries - 1:  # after every version was switched, before anything is cleared away
            mortal.left = None
            monkeypatch.setattr(operations_erasing.Garbage, "purge", lambda *_: (_ for _ in ()).throw(Killed))
        try:
            operations_erasing.forget(host, **arguments)
        except Killed:
            died += 1
        monkeypatch.undo()
        mortal.left = None
        for version in (1, 2):
            frame = session.data.load(f"p{n}@v{version}")
            assert len(frame) - frame["mail"].eq(ADA).sum() == len(table) - 1
        told = operations_erasing.forget(host, **arguments)
        assert sum(version["rows"] for version in told["versions"]) == 2
        for version in (1, 2):
            assert not session.data.load(f"p{n}@v{version}")["mail"].eq(ADA).any()
    assert died >= 3
    session.service.stop()
    assert holders(tmp_path, ADA, before) == set()
