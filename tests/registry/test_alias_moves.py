"""Moving an alias: history, `previous`, and several movers at once, each with a store of its own as in several workspaces."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_mlops.domain.workspace import Actor
from jupyter_mlops.errors import Conflict
from jupyter_mlops.registry.operations import move_alias
from jupyter_mlops.settings import Settings
from jupyter_mlops.store import alias_history
from jupyter_mlops.store.host import Host
from jupyter_mlops.store.name_lock import LEFT_BEHIND_SECONDS, holding
from jupyter_mlops.store.store import Store
from jupyter_mlops.store.tags import LOCK_NAME

Person = Callable[[str], Host]


@pytest.fixture(scope="module")
def root(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("moves")
    (root / ".mlops").mkdir()
    shutil.copy(empty_database, root / ".mlops" / "mlflow.db")
    client = Store.open(Settings.load(root=root).workspace()).client
    client.create_registered_model("clf")
    client.create_registered_model("raced")
    for name in ("clf", "raced"):
        for _ in range(9):
            client.create_model_version(name, source="file:///nothing")
    return root


def person(root: Path, name: str) -> Host:
    """One service's inside, with its own connection to the store."""
    settings = Settings.load(root=root)
    store = Store.open(settings.workspace())
    return Host(
        settings=settings,
        workspace=settings.workspace(),
        open_store=lambda: store,
        changed=lambda _topic: None,
        stopping=threading.Event(),
        audit=lambda *_: None,
        actor=Actor(name, "here"),
        request=uuid.uuid4().hex,
    )


def again(host: Host) -> Host:
    return replace(host, request=uuid.uuid4().hex)


def test_previous_is_kept_and_every_move_tells_who_and_why(root: Path) -> None:
    ann = person(root, "ann")
    models = ann.store.models
    assert move_alias(ann, "clf", "champion", 1) is None
    assert models.alias("clf", "previous") is None
    assert move_alias(again(ann), "clf", "champion", 2, reason="better recall", forced=True) == 1
    assert (models.alias("clf", "champion"), models.alias("clf", "previous")) == (2, 1)
    assert move_alias(again(ann), "clf", "champion", 1, reason="rolled back") == 2
    assert (models.alias("clf", "champion"), models.alias("clf", "previous")) == (1, 2)
    moves = alias_history.read(models, "clf", "champion")
    assert [(m.before, m.version, m.by, m.reason, m.forced) for m in moves] == [
        (None, 1, "ann", "", False),
        (1, 2, "ann", "better recall", True),
        (2, 1, "ann", "rolled back", False),
    ]
    assert move_alias(again(ann), "clf", "champion", None) == 1
    assert models.alias("clf", "champion") is None


def test_a_request_asked_again_does_not_undo_what_others_did_since(root: Path) -> None:
    ann, bob = person(root, "ann"), person(root, "bob")
    before = move_alias(ann, "clf", "x", 3)
    move_alias(bob, "clf", "x", 4)
    assert move_alias(ann, "clf", "x", 3) == before
    assert ann.store.models.alias("clf", "x") == 4


def test_of_several_who_decided_on_the_same_champion_one_wins_and_the_others_are_told(root: Path) -> None:
    move_alias(person(root, "first"), "raced", "champion", 1)
    people = [person(root, f"p{number}") for number in range(2, 8)]
    told: dict[int, str] = {}
    start = threading.Barrier(len(people))

    def race(number: int, host: Host) -> None:
        start.wait()
        try:
            move_alias(host, "raced", "champion", number, expected=1)
        except Conflict as error:
            told[number] = str(error)

    threads = [threading.Thread(target=race, args=item) for item in enumerate(people, start=2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = people[0].store.models.alias("raced", "champion")
    assert sorted({*told, winner}) == [2, 3, 4, 5, 6, 7]
    assert len(told) == 5
    assert all(f"it was version 1, it is version {winner} now" in text for text in told.values())
    assert [m.version for m in alias_history.read(people[0].store.models, "raced", "champion")] == [1, winner]
    assert people[0].store.models.alias("raced", "previous") == 1


def test_two_processes_never_hold_one_lock(root: Path) -> None:
    stores = [person(root, "p").store for _ in range(3)]
    inside: list[int] = []
    most: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            with holding(stores[index], "thing", f"owner {index}"):
                inside.append(index)
                time.sleep(0.002)
                most.append(len(inside))
                inside.remove(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) == 15
    assert not [name for name in stores[0].models.names() if name.startswith(LOCK_NAME)]


def test_a_lock_left_by_a_killed_holder_is_taken_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = person(root, "p").store
    store.client.create_registered_model(LOCK_NAME + "left", tags={"mlops.request": "dead"})
    assert LOCK_NAME + "left" not in store.models.names()
    with pytest.raises(Conflict, match="others are changing left"), holding(store, "left", "me", patience=0.2):
        pass
    with holding(store, "left", "dead"):  # the same request, asked again
        pass
    store.client.create_registered_model(LOCK_NAME + "left", tags={"mlops.request": "dead"})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEFT_BEHIND_SECONDS + 1)
    with holding(store, "left", "me"):
        pass
