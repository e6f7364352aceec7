"""A table whose texts lie in pieces is cut, hashed and stored as one whose texts lie end to end."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_mlops.datasets.chunk import Joined, Starts, address, encode, split
from jupyter_mlops.datasets.draft import Base, Draft
from jupyter_mlops.datasets.identity import identify
from jupyter_mlops.datasets.manifest import Manifest
from jupyter_mlops.datasets.packs import Packs
from jupyter_mlops.datasets.snapshot import write_snapshot
from jupyter_mlops.datasets.snapshot_reading import read_snapshot


def in_pieces(values: list[str | None], sizes: list[int]) -> pd.Series:
    ends = np.cumsum([0, *sizes])
    pieces = [pa.array(values[a:b], type=pa.large_string()) for a, b in pairwise(ends)]
    return pd.Series(pd.array(pa.chunked_array(pieces), dtype=pd.StringDtype("pyarrow", na_value=np.nan)))


@pytest.mark.parametrize("sizes", [[0, 3, 0, 4, 3], [1] * 10, [9, 1], [0, 0, 10]])
def test_every_span_is_the_same(sizes: list[int]) -> None:
    values = ["a", None, "", "longer text", "ä", None, "b", "c" * 300, "", "end"]
    whole, split = encode(in_pieces(values, [10]), "s"), encode(in_pieces(values, sizes), "s")
    assert len(whole) == len(split) == 10
    for start in range(10):
        for stop in range(start, 11):
            assert address(whole.parts(start, stop)) == address(split.parts(start, stop))
            assert whole.texts(start, stop).equals(split.texts(start, stop))


def test_joined_bytes_are_those_of_the_whole() -> None:
    pieces = [b"abc", b"", b"defg", b"h"]
    joined, whole = Joined([memoryview(piece) for piece in pieces]), b"".join(pieces)
    for start in range(len(whole) + 1):
        for stop in range(start, len(whole) + 1):
            assert bytes(joined[start:stop]) == whole[start:stop]
    assert bytes(joined[:]) == whole


@pytest.mark.parametrize("sizes", [[0, 3, 0, 4, 3], [1] * 10, [9, 1], [0, 0, 10]])
def test_starts_in_pieces_are_those_of_the_whole(sizes: list[int]) -> None:
    lengths = np.array([1, 0, 5, 11, 2, 0, 1, 300, 0, 3])
    whole = np.concatenate([[0], np.cumsum(lengths)])
    ends = np.cumsum([0, *sizes])
    starts = Starts([whole[a : b + 1] + 7 * n for n, (a, b) in enumerate(pairwise(ends))])
    assert len(starts) == 11
    for start in range(11):
        assert starts[start] == whole[start]
        for stop in range(start, 12):
            assert starts[start:stop].tolist() == whole[start:stop].tolist()


def test_a_chunk_read_as_bytes_has_the_address_of_its_parts() -> None:
    column = encode(pd.Series(["a", None, "", "b"] * 5, dtype="str"), "s")
    for span in ((0, 20), (1, 2), (2, 4), (3, 3)):
        parts = column.parts(*span)
        whole = memoryview(b"".join(bytes(part) for part in parts))
        assert address(split(whole, span[1] - span[0])) == address(parts)


@pytest.fixture(scope="module")
def first() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = 60_000
    return pd.DataFrame(
        {
            "id": np.arange(rows) * 3,
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "price": np.round(rng.gamma(2.0, 30.0, rows), 2),
            "small": rng.integers(-100, 100, rows).astype("int8"),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
            "flag": rng.random(rows) < 0.5,
            "city": pd.Series(rng.choice(["a", "bb", "ccc"], rows)).where(rng.random(rows) < 0.9),
            "name": "n" + pd.Series(rng.integers(0, 10**9, rows)).astype(str),
            "plan": pd.Categorical(rng.choice(["x", "y"], rows)),
            "whole": pd.array(rng.integers(0, 9, rows), dtype="Int32"),
        }
    )


def later(first: pd.DataFrame) -> dict[str, pd.DataFrame]:
    changed = first.copy()
    changed.loc[::100, ["price", "name"]] = [1.25, "other"]
    more = first[:700].assign(id=lambda f: f["id"] + 10**6)
    return {
        "changed": changed,
        "appended": pd.concat([first, more], ignore_index=True),
        "inserted": pd.concat([first[:30_000], more[:100], first[30_000:]], ignore_index=True),
        "removed": pd.concat([first[:1000], first[1200:]], ignore_index=True),
        "widened": first.assign(new=1.5),
        "narrowed": first[["price", "id"]],
        "retyped": first.assign(small=first["small"].astype("int16"), name=first["name"].astype(object)),
        "shuffled": first.sample(frac=1, random_state=0),
        "other anchor": first.assign(id=first["id"] + 1),
    }


def test_later_versions_come_back_and_cost_what_changed(first: pd.DataFrame, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    packs.mkdir()

    def write(frame: pd.DataFrame, name: str, base: Base | None) -> tuple[Manifest, int]:
        folder = tmp_path / name
        folder.mkdir()
        written = write_snapshot(Draft(frame, base), folder)
        for file in folder.glob("*.pack"):
            file.replace(packs / file.name)
        return Manifest.from_bytes((folder / "manifest.json").read_bytes(), digest=written.checksum), written.bytes

    store = Packs(str(packs))
    manifest, whole = write(first, "first", None)
    pd.testing.assert_frame_equal(read_snapshot(manifest, store.of(manifest)), first)
    base = Base(manifest, store.of(manifest))
    cost = {}
    for name, frame in later(first).items():
        again, cost[name] = write(frame, name, base)
        pd.testing.assert_frame_equal(read_snapshot(again, store.of(again)), frame)
        assert again.digest == identify(frame).digest
    for name in ("changed", "appended", "inserted", "removed", "widened", "narrowed"):
        assert cost[name] < 0.1 * whole, name
    # A version built on one that is itself told as changes of another.
    second, _ = write(later(first)["changed"], "second", base)
    third = pd.concat([later(first)["changed"][5:], first[:10]], ignore_index=True)
    last, added = write(third, "third", Base(second, store.of(second)))
    pd.testing.assert_frame_equal(read_snapshot(last, store.of(last)), third)
    assert added < 0.2 * whole
