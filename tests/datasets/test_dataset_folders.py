"""Folders as data versions: files come back as they were, and a version costs what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlops.datasets import folder as folders
from jupyter_mlops.datasets.byte_cuts import LEAST, MOST, pieces
from jupyter_mlops.datasets.folder import FolderManifest, describe_folder, extract, write_folder
from jupyter_mlops.datasets.packs import Packs, Reader
from jupyter_mlops.errors import Conflict, IntegrityFailure, InvalidArgument
from jupyter_mlops.session import Session
from jupyter_mlops.widgets import static_html

RNG = np.random.default_rng(0)
BIG = RNG.bytes(6_000_000)


def filled(root: Path, files: dict[str, bytes]) -> Path:
    for name, held in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(held)
    return root


def read(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


FILES = {
    "big.bin": BIG,
    "images/a b.png": RNG.bytes(300_000),
    "images/ä.png": RNG.bytes(10_000),
    "empty.txt": b"",
    "zeros": bytes(3_000_000),
    ".hidden": b"x",
}


def test_saved_loaded_changed_and_loaded(shared_session: Session, tmp_path: Path) -> None:
    data: Any = shared_session.data
    root = filled(tmp_path / "pictures", FILES)
    first = data.save(str(root), name="pictures")
    assert (first.ref, first.kind, first.rows, first.new) == ("pictures@v1", "folder", len(FILES), True)
    assert "6 files" in first.text()
    assert data.save(root, name="pictures").new is False
    root.joinpath("big.bin").write_bytes(BIG[:3_000_000] + b"a few bytes more" + BIG[3_000_000:])
    root.joinpath("images", "copy.png").write_bytes(FILES["images/a b.png"])
    root.joinpath("empty.txt").unlink()
    second = data.save(str(root), name="pictures")
    assert second.ref == "pictures@v2"
    assert second.bytes < 0.2 * first.bytes
    assert data.load("pictures@v1", to=str(tmp_path / "one")) == tmp_path / "one"
    assert read(tmp_path / "one") == FILES
    data.load("pictures", to=str(tmp_path / "two"))
    assert read(tmp_path / "two") == read(root)
    with pytest.raises(InvalidArgument, match="not empty"):
        data.load("pictures", to=str(tmp_path / "two"))
    with pytest.raises(InvalidArgument, match="is a folder of files, no table"):
        data.load("pictures")
    with pytest.raises(InvalidArgument, match="there is no file in"):
        data.save(str((tmp_path / "nothing").mkdir() or tmp_path / "nothing"), name="pictures")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    # Collection knows what folders need too.
    assert data.gc(apply=True).removed == ()
    data.load("pictures@v1", to=str(tmp_path / "three"))
    assert read(tmp_path / "three") == FILES


def test_a_damaged_pack_leaves_no_folder(shared_session: Session, tmp_path: Path) -> None:
    data: Any = shared_session.data
    data.save(str(filled(tmp_path / "in", {"a": RNG.bytes(1000), "b": b"b"})), name="damaged")
    found = shared_session.context.call("data.locate", ref="damaged")
    name = FolderManifest.from_bytes(Path(found["folder"], "manifest.json").read_bytes()).packs[0]
    pack = Path(found["packs"], name)
    held = bytearray(pack.read_bytes())
    held[100] ^= 1
    pack.write_bytes(held)
    with pytest.raises(IntegrityFailure, match="damaged@v1 is not what was saved: a is not what was saved"):
        data.load("damaged", to=str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    root = filled(tmp_path / "in", {"a": b"before"})
    digest, files = describe_folder(root)
    (root / "a").write_bytes(b"after!")
    with pytest.raises(Conflict, match="a was changed while it was saved"):
        write_folder(root, files, digest, tmp_path)
    (root / "a").unlink()
    with pytest.raises(Conflict, match="a was removed while it was saved"):
        write_folder(root, files, digest, tmp_path)


def test_no_file_is_written_outside(tmp_path: Path) -> None:
    root = filled(tmp_path / "in", {"a": b"x"})
    digest, files = describe_folder(root)
    (tmp_path / "store").mkdir()
    write_folder(root, files, digest, tmp_path / "store")
    manifest = FolderManifest.from_bytes((tmp_path / "store" / "manifest.json").read_bytes())
    reader = Reader(Packs(str(tmp_path / "store")), manifest.packs)
    for path in ("../a", "/tmp/a", "b/../../a", ""):
        bad = folders.StoredFile(path, 1, manifest.files[0].digest, manifest.files[0].chunks)
        with pytest.raises(IntegrityFailure, match="no path inside a folder"):
            extract(FolderManifest(digest, (bad,), manifest.packs, manifest.chunks), reader, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_count_and_links_are_what_they_point_to(tmp_path: Path) -> None:
    one = filled(tmp_path / "one", {"a": b"x", "b": b"y"})
    two = filled(tmp_path / "two", {"a": b"y", "b": b"x"})
    three = filled(tmp_path / "three", {"b": b"y"})
    (three / "a").symlink_to(one / "a")
    assert describe_folder(one)[0] != describe_folder(two)[0]
    assert describe_folder(one)[0] == describe_folder(three)[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 6_000_000), st.integers(0, 6_000_000), st.sampled_from([1, 2, 256]), st.integers(0, 99))
def test_pieces_are_the_file_and_an_edit_moves_few(size: int, at: int, letters: int, seed: int) -> None:
    import io

    held = np.random.default_rng(seed).integers(0, letters, size).astype(np.uint8).tobytes()
    one = [bytes(piece) for piece in pieces(io.BytesIO(held))]
    assert b"".join(one) == held
    assert all(LEAST <= len(piece) <= MOST for piece in one[:-1])
    edited = held[: at % (size + 1)] + b"more" + held[at % (size + 1) :]
    other = [bytes(piece) for piece in pieces(io.BytesIO(edited))]
    assert b"".join(other) == edited
    if letters == 256 and size:
        new = sum(len(piece) for piece in set(other) - set(one))
        assert new <= 5 * MOST


def test_what_changed_between_two_versions_and_the_folder_as_it_is(shared_session: Session, tmp_path: Path) -> None:
    data: Any = shared_session.data
    root = filled(tmp_path / "photos", {"a.png": b"a" * 2000, "b.png": b"b" * 100, "old/c.png": b"c" * 50, "d": b"d"})
    one = data.save(str(root), name="photos").ref
    (root / "old/c.png").rename(root / "c.png")
    (root / "a.png").write_bytes(b"a" * 2500)
    (root / "d").unlink()
    filled(root, {"new.png": b"n" * 7})
    two = data.save(str(root), name="photos").ref
    found = data.diff(one, two)
    told = [(f.path, f.change, f.before, f.after, f.moved_from) for f in found.files]
    assert told == [
        ("a.png", "changed", 2000, 2500, ""),
        ("c.png", "moved", 50, 50, "old/c.png"),
        ("d", "removed", 1, None, ""),
        ("new.png", "added", None, 7, ""),
    ]
    assert (found.files_before, found.files_after, found.bytes_before, found.bytes_after) == (4, 4, 2151, 2657)
    assert "1 added, 1 removed, 1 changed, 1 moved" in found.text()
    assert found.to_pandas().after.tolist()[0] == 2500
    assert "2.5 kB" in static_html(found)
    assert data.diff(two, str(root)).identical
    (root / "new.png").write_bytes(b"m" * 7)
    assert [f.change for f in data.diff("photos", root).files] == ["changed"]
    with pytest.raises(InvalidArgument, match="files of folders are matched by their paths"):
        data.diff(one, two, key=["id"])
    data.save(pd.DataFrame({"x": [1]}), name="numbers")
    with pytest.raises(InvalidArgument, match="is a table, the other is a folder"):
        data.diff("numbers@v1", two)
