"""Streams: a table that comes in pieces is the version that reading it at once gives, in memory that does not grow with it."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets import spilling
from jupyter_mlops.datasets.arrow_tables import from_arrow
from jupyter_mlops.datasets.identity import identify
from jupyter_mlops.datasets.spilling import batches_of, is_stream, spill
from jupyter_mlops.errors import InvalidArgument
from jupyter_mlops.session import Session

KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint8(), st.integers(0, 255)),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=5)),
    (pa.large_string(), st.text(max_size=5)),
    (pa.timestamp("us"), st.integers(-(2**51), 2**51)),
    (pa.timestamp("ms", "Europe/Rome"), st.integers(0, 2**41)),
    (pa.duration("s"), st.integers(-(2**31), 2**31)),
    (pa.date32(), st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1))),
    (pa.decimal128(5, 2), st.decimals(0, 99, places=2).map(Decimal)),
    (pa.binary(), st.binary(max_size=4)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=3)),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "c"])),
]


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_table_in_any_pieces_has_the_identity_of_the_whole(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = data.draw(st.integers(1, 30))
    chosen = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    arrays = []
    for kind, values in chosen:
        column = data.draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
        made = pa.array(column, type=kind.value_type).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(column, type=kind)  # fmt: skip
        arrays.append(made)
    table = pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))])
    size = data.draw(st.integers(1, 12))
    frame = spill(table.schema, table.to_reader(max_chunksize=size), tmp_path_factory.mktemp("spilled"))
    whole = from_arrow(table)
    assert identify(frame).differences(identify(whole)) == []
    assert frame.shape == whole.shape


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS], ids=str)
def test_a_column_with_no_value_has_the_identity_of_the_whole(kind: pa.DataType, tmp_path: Path) -> None:
    table = pa.table({"c": pa.nulls(3, kind), "n": [1, 2, 3]})
    frame = spill(table.schema, table.to_reader(max_chunksize=2), tmp_path)
    assert identify(frame).differences(identify(from_arrow(table))) == []


def test_pieces_may_bring_new_categories_and_a_file_its_index(tmp_path: Path) -> None:
    pieces = [
        pa.record_batch([pa.array(words).dictionary_encode()], ["c"]) for words in (["b", None], ["a", "b"], ["c"])
    ]
    schema = pieces[0].schema
    frame = spill(schema, pieces, tmp_path)
    assert frame["c"].tolist()[2:] == ["a", "b", "c"]
    assert frame["c"].cat.categories.tolist() == ["b", "a", "c"]
    indexed = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index(["p", "q"], name="who"))
    for number, table in enumerate((indexed, indexed.reset_index()[1:], indexed.rename_axis(None))):
        file = tmp_path / f"{number}.parquet"
        table.to_parquet(file)
        (tmp_path / str(number)).mkdir()
        found = spill(*_told(file), tmp_path / str(number))
        assert identify(found).differences(identify(table)) == []


def _told(source: Any) -> Any:
    found = batches_of(source)
    assert found is not None
    return found


def test_what_is_taken_in_pieces_is_known_by_its_kind_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": np.arange(1000)})
    pq.write_table(table, tmp_path / "t.parquet")
    assert is_stream(table.to_reader())
    assert is_stream(ds.dataset(tmp_path, format="parquet"))
    assert is_stream(ds.dataset(tmp_path, format="parquet").scanner())
    assert not any(map(is_stream, (table, pd.DataFrame({"x": [1]}), str(tmp_path / "t.parquet"), "adult@v3")))
    monkeypatch.setattr(spilling, "LARGE", 1000)
    assert is_stream(str(tmp_path / "t.parquet"))
    with pytest.raises(InvalidArgument, match="more than one is called x"):
        spill(pa.schema([("x", pa.int64()), ("x", pa.int64())]), [], tmp_path)


def test_readers_and_folders_are_saved_as_what_they_hold(shared_session: Session, tmp_path: Path) -> None:
    data = shared_session.data
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"n": np.arange(30_000), "x": rng.normal(size=30_000), "s": [f"t{i % 91}" for i in range(30_000)]}
    )
    whole = data.save(frame, name="stream")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    again = data.save(table.to_reader(max_chunksize=999), name="stream")
    assert (again.ref, again.new, again.digest) == (whole.ref, False, whole.digest)
    (tmp_path / "set").mkdir()
    for part in range(3):
        pq.write_table(table.slice(part * 10_000, 10_000), tmp_path / "set" / f"part-{part}.parquet")
    assert data.save(str(tmp_path / "set"), name="stream", as_table=True).ref == whole.ref
    dataset = ds.dataset(tmp_path / "set", format="parquet")
    more = data.save(dataset.scanner(filter=ds.field("n") < 29_000), name="stream")
    assert (more.ref, more.rows) == ("stream@v2", 29_000)
    assert more.bytes < whole.bytes / 5
    pd.testing.assert_frame_equal(data.load("stream@v2"), frame[:29_000])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidArgument, match="there is no Parquet file"):
        data.save(str(tmp_path / "empty"), name="stream", as_table=True)
    with pytest.raises(InvalidArgument, match="--as-table is for a folder"):
        data.save(frame, name="stream", as_table=True)
    left = [p for p in (shared_session.context.workspace.home / "staging").iterdir() if p.name.startswith("data-")]
    assert left == []


LIMITED = """
    import resource, sys
    from pathlib import Path
    import numpy as np, pyarrow as pa
    from jupyter_mlops.session import Session

    rows, piece = 6_000_000, 50_000
    kinds = [(f"x{i}", pa.float64()) for i in range(12)] + [("id", pa.int64()), ("s", pa.string())]
    schema = pa.schema(kinds)

    def batches():
        rng = np.random.default_rng(0)
        for start in range(0, rows, piece):
            numbers = [pa.array(rng.normal(size=piece).round(1)) for _ in range(12)]
            ids = np.arange(start, start + piece)
            yield pa.record_batch([*numbers, pa.array(ids), pa.array([f"w{i % 1000}" for i in ids])], schema=schema)

    session = Session.open(Path(sys.argv[1]))
    session.service.start()
    import jupyter_mlops.datasets.snapshot, jupyter_mlops.datasets.identity
    used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) * 1024
    size = rows * (13 * 8 + 12)
    resource.setrlimit(resource.RLIMIT_DATA, (used + size // 2,) * 2)
    saved = session.data.save(pa.RecordBatchReader.from_batches(schema, batches()), name="large")
    assert saved.rows == rows
    anonymous = int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1]) * 1024
    print("held", anonymous, "of", size)
    session.service.stop()
"""


@pytest.mark.slow
def test_a_table_is_saved_where_half_of_it_would_not_fit(tmp_path: Path) -> None:
    """The process may not hold more than half of the table's values on top of what it holds before."""
    code = textwrap.dedent(LIMITED)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("held")
