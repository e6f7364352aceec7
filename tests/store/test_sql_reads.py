"""SQL reads: the same runs, in the same order, as MLflow's client gives; the same curves as the whole history thinned."""

from __future__ import annotations

import math
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import entities
from sqlalchemy import text

from jupyter_mlops.domain.run import RunTable
from jupyter_mlops.domain.run_columns import RunColumns
from jupyter_mlops.domain.thinning import thin
from jupyter_mlops.domain.workspace import Workspace
from jupyter_mlops.errors import InvalidArgument, NotFound
from jupyter_mlops.store import kept_texts, run_queries, runs, sql_reads
from jupyter_mlops.store.kept_texts import KeptTexts
from jupyter_mlops.store.one_run import run_entity, run_params
from jupyter_mlops.store.store import Store

DRAW = random.Random(7)
FLOATS = [
    0.1,
    1 / 3,
    1e-320,
    -1.7e308,
    5e-324,
    math.pi,
    *(DRAW.gauss(0, 10.0 ** DRAW.randint(-9, 9)) for _ in range(60)),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_database):
    root = tmp_path_factory.mktemp("reads")
    (root / "mlflow.db").write_bytes(empty_database.read_bytes())
    made = Store.open(Workspace(root, f"sqlite:///{root / 'mlflow.db'}", "reads", (root / "artifacts").as_uri()))
    for i in range(24):
        kind = "data" if i % 11 == 5 else "run"
        tags = {
            "mlops.run_key": f"k{i}",
            "mlops.kind": kind,
            "mlops.trust": "stale",
            "mlops.trust.reasons": '{"[2]": "edited"}',
            **({"mlflow.parentRunId": "k1"} if i % 7 == 4 else {}),
        }
        run = made.runs.create(
            f"run {i % 7}", key=f"k{i}", started_ms=1000 + i % 5, tags=tags if i % 3 else {"mlops.run_key": f"k{i}"}
        )
        metrics = [(f"m{j}", FLOATS[(3 * i + j) % len(FLOATS)], 5, 0) for j in range(i % 5)]
        metrics += [("loss", math.nan if i % 6 == 1 else 1.0 / (1 + i), 5, step) for step in range(i % 4)]
        params = {"C": str(i % 3), "text": "a 'quoted', \"value\" \n ünï {}"} if i % 4 else {}
        made.runs.log_batch(run, metrics, params)
        if i % 2:
            made.runs.log_input(
                run, name="adult", digest=f"d{i}", ref="adult@v3" if i % 4 == 1 else "", role="training"
            )
            made.runs.log_input(run, name="test", digest="e1")
        if i % 5:
            made.runs.end(run, "FINISHED" if i % 2 else "FAILED", 2000 + i, "" if i % 2 else "ValueError: no")
    gone = made.runs.create("gone", key="gone", started_ms=1, tags={"mlops.run_key": "gone"})
    made.client.delete_run(gone)
    return made


FILTERS = [
    "",
    "metrics.m0 > 0.05",
    "metrics.m1 < 1e9 and params.C = '1'",
    "params.C LIKE '%2%' and attributes.status = 'FINISHED'",
    "tags.mlops.trust = 'stale'",
    "attributes.run_name = 'run 3'",
    "run_name ILIKE 'RUN%' and metrics.loss != 0.5",
    "dataset.name = 'adult'",
    "attributes.start_time > 1002",
    "params.C IS NULL",
    "metrics.never > 0",
]
ORDERS = ["", "loss", "loss ASC", "params.C ASC", "attributes.end_time", "attributes.start_time ASC", "m0"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("wanted", FILTERS)
def test_a_table_of_runs_is_what_the_client_gives(store, wanted, order):
    for limit, top in ((3, False), (100, False), (100, True)):
        found, more = store.runs.search(filter=wanted, limit=limit, order_by=order, top=top)
        assert isinstance(found, RunColumns)
        expected, expected_more = store.runs._search_by_client(wanted, limit, runs._order(order), top=top)
        assert repr(list(found)) == repr(expected)  # repr, since NaN is not itself
        assert more == expected_more


def test_children_can_be_left_out(store):
    every, _ = store.runs.search(limit=100)
    top, _ = store.runs.search(limit=100, top=True)
    assert {run.id for run in every if not run.parent} == {run.id for run in top} != {run.id for run in every}


def test_many_runs_are_joined_and_not_named_one_by_one(store, monkeypatch):
    few, _ = store.runs.search(limit=100)
    monkeypatch.setattr(sql_reads, "FEW", 0)
    many, _ = store.runs.search(limit=100)
    assert repr(list(few)) == repr(list(many))


def test_a_table_crosses_the_wire_and_gives_the_frame_of_its_runs(store):
    found, more = store.runs.search(limit=100)
    table = RunTable.from_dict(RunTable(found, "reads", "", more).to_dict())
    assert repr(list(table)) == repr(list(found))
    frame = table.to_pandas()
    plain = RunTable(tuple(found), "reads").to_pandas()
    assert frame.equals(plain)
    assert len(frame) == len(found)
    for run, row in zip(found, frame.to_dict("records"), strict=True):
        for name, value in run.metrics.items():
            assert repr(row[f"metrics.{name}"]) == repr(value)
        for name, value in run.params.items():
            assert row[f"params.{name}"] == value
    assert table.metric_names() == RunTable(tuple(found)).metric_names()


@pytest.mark.parametrize("wanted", ["metrics.m0 >", "nonsense", "metrics.m0 = 'x'"])
def test_a_filter_that_is_none_is_told_as_by_the_client(store, wanted):
    with pytest.raises(InvalidArgument) as quick:
        store.runs.search(filter=wanted)
    with pytest.raises(InvalidArgument) as slow:
        store.runs._search_by_client(wanted, 5, runs._order(""))
    assert str(quick.value) == str(slow.value)


def test_a_schema_that_is_not_known_here_is_left_to_the_client(store, monkeypatch):
    monkeypatch.setattr(sql_reads, "READABLE", frozenset())
    found, _ = store.runs.search(limit=100)
    assert isinstance(found, list)
    assert sql_reads.curve(store, found[0].id, "loss", 100) is None


def test_a_text_that_holds_what_stands_between_two_is_left_to_the_client(store):
    run = store.runs.create("odd", key="odd", started_ms=1, tags={"mlops.run_key": "odd", "mlops.kind": "odd-one"})
    store.client.set_tag(run, "mlops.kind", "run")
    store.runs.log_batch(run, params={"p": "a\x1fb", "q": "c"})
    try:
        found, _ = store.runs.search(filter="params.q = 'c'")
        assert [r.params for r in found] == [{"p": "a\x1fb", "q": "c"}]
    finally:
        store.client.delete_run(run)


@pytest.mark.parametrize("shape", ["rising", "ties", "one step", "gaps", "nan"])
@pytest.mark.parametrize("points", [4, 11, 100, 2000])
def test_a_curve_is_the_whole_history_thinned(store, monkeypatch, shape, points):
    draw = random.Random(shape)
    made = {
        "rising": lambda i: (i, i / 7),
        "ties": lambda i: (i // 3, float(draw.randrange(3))),
        "one step": lambda i: (i * 0, draw.random()),
        "gaps": lambda i: (i * i * 1000 - 5, math.sin(i)),
        "nan": lambda i: (i, math.nan if i % 3 or i < 40 else draw.random()),
    }[shape]
    run = store.runs.create(shape, key=f"{shape}{points}", started_ms=1, tags={"mlops.kind": "curve"})
    values = [(*made(i), 100 + i) for i in range(900)]
    draw.shuffle(values)
    store.runs.log_batch(run, [("c", value, at, step) for step, value, at in values])
    quick = store.runs.history(run, "c", points=points)
    monkeypatch.setattr(sql_reads, "READABLE", frozenset())
    slow = store.runs.history(run, "c", points=points)
    assert repr(quick) == repr(slow)
    assert len(quick.steps) <= max(points, 4)
    known = [v for _, v, _ in values if not math.isnan(v)]
    if points < 900:
        assert {min(known), max(known)} <= set(quick.values)


def test_thinning_keeps_the_ends_and_the_extremes_of_any_curve():
    draw = random.Random(3)
    for _ in range(200):
        count = draw.randrange(1, 300)
        steps = sorted(draw.randrange(0, 10 ** draw.randint(1, 6)) for _ in range(count))
        values = [(step, draw.choice([draw.random(), math.nan, 0.5])) for step in steps]
        points = draw.randrange(4, 60)
        kept = thin(values, points)
        assert len(kept) <= points
        assert kept[0] is values[0]
        assert kept[-1] is values[-1] or len(values) > points
        known = [v for _, v in values if not math.isnan(v)]
        if known:
            assert {min(known), max(known)} <= {v for _, v in kept}
        assert run_queries.thin is thin


def table_of(store) -> str:
    """The newest runs as read, which must be the client's."""
    found, _ = store.runs.search(limit=100)
    expected, _ = store.runs._search_by_client("", 100, runs._order(""))
    assert isinstance(found, RunColumns)
    assert repr(list(found)) == repr(expected)
    return repr(expected)


def test_what_changes_between_two_reads_is_read(store):
    before = table_of(store)
    first, second = (run.id for run in store.runs.search(limit=2)[0])
    changes = [
        lambda: store.client.log_metric(first, "late", 0.25),
        lambda: store.client.log_metric(first, "late", 0.125, step=1),
        lambda: store.client.log_metric(second, "late", math.nan),
        lambda: store.client.log_param(second, "late", "yes"),
        lambda: store.client.set_tag(first, "mlops.trust", "consistent"),
        lambda: store.client.delete_run(second),
        lambda: store.client.restore_run(second),
        lambda: store.runs.create("one more", key="more", started_ms=2000, tags={"mlops.run_key": "more"}),
    ]
    for change in changes:
        change()
        after = table_of(store)
        assert after != before
        before = after


def test_one_run_is_what_the_client_says_of_it(store):
    model = store.client.create_logged_model(store.experiment_id, name="clf")
    every = store.runs.search(limit=100)[0]
    store.client.log_outputs(every[3].id, [entities.LoggedModelOutput(model.model_id, step=0)])
    for told in every:
        one, other = (entity.to_dictionary() for entity in (run_entity(store, told.id), store.client.get_run(told.id)))
        assert repr(one).count("nan") == repr(other).count("nan")
        assert _sorted(one) == _sorted(other)
        assert run_params(store, told.id) == dict(told.params)
    assert run_entity(store, every[3].id).outputs.model_outputs[0].model_id == model.model_id
    with pytest.raises(NotFound):
        store.runs.get("0" * 32)


def _sorted(data):
    """Lists of MLflow's dictionaries come in any order, and NaN differs from itself."""
    if isinstance(data, dict):
        return {key: _sorted(value) for key, value in data.items()}
    if isinstance(data, list):
        return sorted(map(_sorted, data), key=repr)
    return "nan" if isinstance(data, float) and math.isnan(data) else data


def test_what_is_acknowledged_is_on_the_disk_and_readers_never_wait(store, tmp_path):
    """One connection setting for all of MLflow's sessions: each foreign key checked, each commit kept, none waited for."""
    database = sql_reads.database_of(store)
    with database.ManagedSessionMaker() as session:
        told = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "synchronous", "journal_mode", "busy_timeout")
        }
    assert told == {"foreign_keys": 1, "synchronous": 1, "journal_mode": "wal", "busy_timeout": 20000}
    run = store.runs.create("kept", key="kept", started_ms=1, tags={"mlops.run_key": "kept"})
    store.sync()
    file = Path(store.workspace.tracking_uri.removeprefix("sqlite:///"))
    for part in ("", "-wal"):  # what another process, or this machine after a crash, finds
        (tmp_path / f"copy.db{part}").write_bytes(file.with_name(file.name + part).read_bytes())
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT name FROM runs WHERE run_uuid = ?", (run,)).fetchone() == ("kept",)


def test_rows_numbered_anew_are_read_anew(store):
    """What deletes rows for good, or numbers them anew, must not let a run keep another's values."""
    file = store.workspace.tracking_uri.removeprefix("sqlite:///")
    newest = store.runs.create("short", key="short", started_ms=3000, tags={"mlops.run_key": "short"})
    store.runs.log_batch(newest, [("m0", 0.5, 5, 0)], {"C": "short"})
    table_of(store)
    older = store.runs.search(limit=5)[0][3].id

    def delete(run: str) -> None:
        with sqlite3.connect(file) as other:
            for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
                other.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run,))

    delete(newest)  # the numbers of its rows are given out again
    store.client.log_metric(older, "m0", 0.75, step=7)
    store.client.log_param(older, "given", "again")
    table_of(store)
    delete(store.runs.search(order_by="start_time ASC", limit=1)[0][0].id)
    with closing(sqlite3.connect(file)) as other:
        other.execute("VACUUM")
    table_of(store)


def counted_texts(monkeypatch):
    """One entry for every query for metrics or parameters from here on."""
    asked = []
    real = sql_reads._sides
    monkeypatch.setattr(
        sql_reads,
        "_sides",
        lambda dialect: {k: lambda ids, q=q: asked.append(1) or q(ids) for k, q in real(dialect).items()},
    )
    return asked


def test_the_next_process_reads_only_what_was_added(store, tmp_path, monkeypatch):
    """What the one before has kept in a file counts as long as it is true to the store; a file that is not is none."""
    file = tmp_path / "cache" / "texts.json"
    asked = counted_texts(monkeypatch)

    def anew():
        asked.clear()
        store.kept_texts = KeptTexts(file)
        return table_of(store)

    first = anew()
    assert len(asked) == 2
    store.kept_texts.write()
    assert anew() == first
    assert not asked
    run = store.runs.search(limit=3)[0][2].id
    store.client.log_metric(run, "m0", 123.5, step=50)
    assert anew() != first
    assert len(asked) == 1
    newest = store.runs.create("other", key="other", started_ms=9000, tags={"mlops.run_key": "other"})
    store.runs.log_batch(newest, [("m0", 0.5, 5, 0)], {"C": "1"})
    store.kept_texts.write()
    with sqlite3.connect(store.workspace.tracking_uri.removeprefix("sqlite:///")) as other:
        other.execute(
            "DELETE FROM metrics WHERE run_uuid = ?", (newest,)
        )  # so the row that was the newest is not there
        other.execute("DELETE FROM latest_metrics WHERE run_uuid = ?", (newest,))
    anew()
    for wrong in (b"", b"{}", b'{"format": 99}', file.read_bytes()[:-9]):
        file.write_bytes(wrong)
        anew()
        assert len(asked) == 2


def test_runs_are_read_before_somebody_asks(store, monkeypatch):
    """Once where many were made since the last time, and what is asked for afterwards is the same."""
    first = table_of(store)
    asked = counted_texts(monkeypatch)
    monkeypatch.setattr(kept_texts, "WORTH", 3)
    store.kept_texts = KeptTexts()
    for _ in range(2):
        store.runs.read_ahead()
        assert len(asked) == 2
    assert table_of(store) == first
    assert len(asked) == 2
    for number in range(2):
        store.runs.create(f"n{number}", key=f"n{number}", started_ms=9000, tags={"mlops.run_key": f"n{number}"})
    store.runs.read_ahead()
    assert len(asked) == 2
    store.runs.create("n2", key="n2", started_ms=9000, tags={"mlops.run_key": "n2"})
    store.runs.read_ahead()
    assert len(asked) == 4


def test_a_store_with_very_many_runs_keeps_few_texts(store, monkeypatch):
    monkeypatch.setattr(kept_texts, "MOST_KEPT", 3)
    assert table_of(store) == table_of(store)
