"""Several workspaces' trails on one store: nothing is lost, and what is taken from one shows in the chains of others."""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlops import cli
from jupyter_mlops.audit.operations import OPERATIONS, trail_path
from jupyter_mlops.audit.operations_sharing import ship
from jupyter_mlops.audit.trail import Trail
from jupyter_mlops.domain.audit_entry import AuditCheck, AuditTrail
from jupyter_mlops.domain.workspace import Actor, Workspace
from jupyter_mlops.errors import IntegrityFailure, InvalidArgument, MLOpsError, NotFound
from jupyter_mlops.session import Session
from jupyter_mlops.settings import Settings
from jupyter_mlops.store.host import Host
from jupyter_mlops.store.store import Store

Join = Callable[[str], Host]


@pytest.fixture
def join(empty_database: Path, tmp_path: Path) -> Join:
    """Let a person join the shared store with a workspace of their own."""
    shutil.copy(empty_database, tmp_path / "shared.db")
    uri = f"sqlite:///{tmp_path / 'shared.db'}"

    def make(user: str) -> Host:
        workspace = Workspace(tmp_path / user, uri, "team", (tmp_path / "artifacts").as_uri())
        workspace.home.mkdir(parents=True)
        store = Store.open(workspace)
        return Host(
            settings=Settings(workspace.root, user=user, host="lab"),
            workspace=workspace,
            open_store=lambda: store,
            changed=lambda _topic: None,
            stopping=threading.Event(),
            audit=lambda *_: None,
            actor=Actor(user, "lab"),
            request=uuid.uuid4().hex,
            shared={"trail": Trail(trail_path(workspace.home))},
        )

    return make


def write(host: Host, count: int, *, start: int = 0) -> None:
    trail = host.shared["trail"]
    for i in range(start, start + count):
        request = uuid.uuid4().hex
        trail.begin(request, host.actor, "data.save", f"t{i}", {})
        trail.end(request, "done", answer={"version": i})


def verified(host: Host, **keywords: Any) -> AuditCheck:
    return AuditCheck.from_dict(OPERATIONS["audit.verify"].function(host, **keywords))


def segment(host: Host) -> Path:
    writer = host.shared["trail"].writer
    (run,) = [r for r in host.store.audit._runs() if r.data.tags["mlops.audit.writer"] == writer]
    return next(Path(run.info.artifact_uri.removeprefix("file://")).rglob("0000000001.jsonl"))


def test_ten_writers_at_once_on_one_store_lose_no_entry(join: Join) -> None:
    people = [join(f"p{number}") for number in range(10)]

    def work(host: Host) -> None:
        for turn in range(3):
            write(host, 4, start=turn * 4)
            ship(host, look=True)

    threads = [threading.Thread(target=work, args=(host,)) for host in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host in people:
        ship(host, look=True)
    check = verified(people[0])
    assert check.findings == ()
    assert len(check.receipts) == 10
    told = AuditTrail.from_dict(OPERATIONS["audit.read"].function(people[3], limit=0, everyone=True))
    seen = {(e.actor.user, e.target) for e in told}
    assert seen == {(f"p{number}", f"t{i}") for number in range(10) for i in range(12)}
    assert len(told) == 120


def test_what_is_done_to_the_shared_copy_is_found(join: Join) -> None:
    ann, bob = join("ann"), join("bob")
    write(ann, 5)
    write(bob, 5)
    for host in (ann, bob, ann):
        ship(host, look=True)
    assert verified(ann).ok
    assert verified(bob).ok
    file = segment(bob)
    whole = file.read_bytes().splitlines(keepends=True)
    for changed, what in (
        (whole[:3] + whole[4:], "removed"),
        ([*whole[:2], whole[2].replace(b"t1", b"tx"), *whole[3:]], "altered"),
        (whole[:-2], "truncated"),
        ([*whole[:3], segment(ann).read_bytes().splitlines(keepends=True)[3], *whole[4:]], "spliced"),
    ):
        file.write_bytes(b"".join(changed))
        assert what in {f.what for f in verified(ann).findings}
        assert what in {f.what for f in verified(bob).findings}
    file.write_bytes(b"".join(whole))
    assert verified(ann).ok


def test_the_end_of_a_chain_removed_with_the_stores_note_of_it_shows_in_anothers_chain(join: Join) -> None:
    ann, bob = join("ann"), join("bob")
    write(ann, 5)
    write(bob, 5)
    for host in (bob, ann):  # ann anchors bob
        ship(host, look=True)
    file = segment(bob)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:4]))
    last = json.loads(lines[3])
    (run,) = [r for r in ann.store.audit._runs() if r.data.tags["mlops.audit.writer"] == bob.shared["trail"].writer]
    ann.store.client.set_tag(run.info.run_id, "mlops.audit.head", f"4:{last['hash']}:4")
    found = verified(ann).findings
    assert [(f.writer, f.what, f.place) for f in found] == [(bob.shared["trail"].writer, "truncated", 5)]
    assert f"the writer {ann.shared['trail'].writer[:8]} saw them" in found[0].text
    ann.store.client.delete_run(run.info.run_id)
    found = verified(ann).findings
    assert [(f.writer, f.what) for f in found] == [(bob.shared["trail"].writer, "removed")]
    assert "the whole chain" in found[0].text


def test_anchors_do_not_go_on_for_ever(join: Join) -> None:
    ann, bob = join("ann"), join("bob")
    write(ann, 1)
    write(bob, 1)
    for _ in range(4):
        ship(ann, look=True)
        ship(bob, look=True)
    assert ann.shared["trail"].head[0] <= 3
    assert bob.shared["trail"].head[0] <= 3


def test_a_receipt_kept_elsewhere_shows_a_record_made_anew(join: Join) -> None:
    ann = join("ann")
    write(ann, 5)
    (receipt,) = verified(ann).receipts
    assert verified(ann, expect=[receipt]).ok
    writer, place, _ = receipt.split(":")
    assert [f.what for f in verified(ann, expect=[f"{writer}:{place}:{'0' * 64}"]).findings] == ["altered"]
    assert [f.what for f in verified(ann, expect=[f"{'0' * 32}:4:{'0' * 64}"]).findings] == ["removed"]
    with pytest.raises(InvalidArgument, match="is no receipt"):
        verified(ann, expect=["nonsense"])


def test_a_killed_shipping_goes_on_and_ships_each_entry_once(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = join("ann")
    write(ann, 5)
    kept = ann.store.client.set_tag
    monkeypatch.setattr(ann.store.client, "set_tag", lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        ship(ann)
    monkeypatch.setattr(ann.store.client, "set_tag", kept)
    write(ann, 2, start=5)
    ann.shared = {"trail": Trail(trail_path(ann.workspace.home))}
    ship(ann)
    assert verified(ann).ok
    assert len(segment(ann).read_bytes().splitlines()) == 14
    ann.shared["trail"].begin("x", ann.actor, "data.save", "big", {})
    assert verified(ann).unshipped == 0


def test_erasure_and_retention_reach_the_shared_store(join: Join) -> None:
    ann = join("ann")
    write(ann, 5)
    ann.actor = Actor("guest", "lab")
    write(ann, 3, start=5)
    ann.actor = Actor("ann", "lab")
    ship(ann)
    assert b"guest" in segment(ann).read_bytes()
    answer = OPERATIONS["audit.erase"].function(ann, user="guest", reason="asked for")
    assert answer["entries"] == 6
    assert b"guest" not in segment(ann).read_bytes()
    assert verified(ann).ok
    assert OPERATIONS["audit.erase"].function(ann, user="guest", reason="asked for") == answer
    ann.request = "another"
    with pytest.raises(NotFound, match="no user 'guest'.*ann"):
        OPERATIONS["audit.erase"].function(ann, user="guest", reason="again")
    ann.request = "third"
    told = OPERATIONS["audit.retain"].function(ann, since_ms=2**50, reason="")
    assert told["entries"] > 10
    assert verified(ann).ok
    assert len(segment(ann).read_bytes().splitlines()) == len(trail_path(ann.workspace.home).read_bytes().splitlines())
    assert verified(ann).entries < 6


def test_what_is_shipped_while_somebody_is_erased_does_not_keep_them(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = join("ann")
    ann.actor = Actor("guest", "lab")
    write(ann, 3)
    ann.actor = Actor("ann", "lab")
    ship(ann)
    own, others = Trail.erase, []

    def meanwhile(trail: Trail, user: str, reason: str) -> list[tuple[int, int]]:
        other = threading.Thread(target=ship, args=(ann,))  # as the service's duty, every five seconds
        other.start()
        other.join(0.5)
        others.append(other)
        return own(trail, user, reason)

    monkeypatch.setattr(Trail, "erase", meanwhile)
    OPERATIONS["audit.erase"].function(ann, user="guest", reason="asked for")
    others[0].join()
    assert b"guest" not in segment(ann).read_bytes()
    assert verified(ann).ok


def test_a_trail_that_is_not_whole_is_not_shortened(join: Join) -> None:
    ann = join("ann")
    write(ann, 5)
    path = trail_path(ann.workspace.home)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[2:]))
    with pytest.raises(IntegrityFailure, match="nothing of it is removed now"):
        OPERATIONS["audit.retain"].function(ann, since_ms=2**50, reason="")


def test_the_commands_filter_export_and_check(session: Session, tmp_path: Path) -> None:
    import pandas as pd

    session.data.save(pd.DataFrame({"a": [1, 2]}), name="small")
    with session.context.acting("shell"):
        session.data.save(pd.DataFrame({"a": [1, 2, 3]}), name="other")
    assert [e.target for e in session.audit(action="data")] == ["other", "small"]
    assert [e.target for e in session.audit("small", action="data.save", since="1h")] == ["small"]
    assert len(session.audit(who="nobody")) == 0
    assert session.audit("small")[0].result["version"] == 1
    check = session.invoke("audit verify", {}, via="python")
    assert check.ok
    assert "whole" in check.text()
    assert session.audit(everyone=True)[0].target == "other"
    session.audit_export(str(tmp_path / "a.csv"), since="2020-01-01")
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["target"]) == ["small", "other"]
    assert list(table["via"]) == ["python", "shell"]
    session.audit_export(str(tmp_path / "a.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["data.save", "data.save"]
    for act, text in (
        (lambda: session.audit(since="soon"), "--since takes a time"),
        (lambda: session.audit_export(str(tmp_path / "a.xls")), "tells no format"),
        (lambda: session.audit_retain(days=0.2), "--days takes a number from 1"),
        (lambda: session.audit_erase("me", reason=" "), "--reason is empty"),
    ):
        with pytest.raises(MLOpsError, match=text):
            act()
    assert session.audit_retain(days=400) == "nothing is older than 400 days."


def test_a_shell_is_told_by_the_exit_code_that_the_record_was_tampered_with(session: Session) -> None:
    import pandas as pd

    for rows in (2, 3):
        session.data.save(pd.DataFrame({"a": range(rows)}), name="small")
    asked = ["--workspace", str(session.context.workspace.root), "audit", "verify", "--quiet"]
    assert cli.main(asked) == 0
    trail = session.context.workspace.home / "audit" / "trail.jsonl"
    lines = trail.read_bytes().splitlines(keepends=True)
    trail.write_bytes(b"".join(lines[1:]))
    assert cli.main(asked) == 1
