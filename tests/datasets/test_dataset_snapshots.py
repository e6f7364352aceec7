"""Snapshots of all kinds of tables, read back from wherever packs may lie, and saves that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from made_frames import Drawn, tables

from jupyter_mlops.datasets.column_hash import STEP
from jupyter_mlops.datasets.draft import Base, Draft
from jupyter_mlops.datasets.identity import identify, identify_begun
from jupyter_mlops.datasets.manifest import Manifest
from jupyter_mlops.datasets.packs import Packs
from jupyter_mlops.datasets.snapshot import write_snapshot
from jupyter_mlops.datasets.snapshot_reading import read_snapshot
from jupyter_mlops.errors import IntegrityFailure
from jupyter_mlops.session import Session

SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def in_native_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Byte order is no content: a column comes back in this machine's."""
    odd = {n: t for n, t in frame.dtypes.items() if isinstance(t, np.dtype) and not t.isnative}
    return frame.astype({name: dtype.newbyteorder("=") for name, dtype in odd.items()})


@SOME
@given(tables(), tables())
def test_any_table_comes_back_and_so_does_one_built_on_it(drawn: Drawn, other: Drawn) -> None:
    with tempfile.TemporaryDirectory() as where, Packs(where) as packs:
        base = None
        for frame in (drawn.frame(0), drawn.frame(1), other.frame(0)):
            identity = identify(frame)
            draft = Draft(frame, base)
            assert draft.identity == identity
            written = write_snapshot(draft, Path(where))
            held = Path(where, "manifest.json").read_bytes()
            manifest = Manifest.from_bytes(held, digest=written.checksum)
            back = read_snapshot(manifest, packs.of(manifest))
            pd.testing.assert_frame_equal(back, in_native_order(frame))
            assert identify(back).digest == identity.digest == manifest.digest
            base = Base(manifest, packs.of(manifest))


CHANGES = [
    "nothing",
    "a cell",
    "a gap",
    "a row inserted",
    "a row inserted late",
    "a late cell",
    "a category",
    "shorter",
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_begins_as_it_did_is_not_looked_at_twice_and_nothing_else_is_taken_for_it(change: str) -> None:
    rng = np.random.default_rng(3)
    rows, more = 120_000, 3_000
    whole = pd.DataFrame(
        {
            "id": np.arange(rows + more),
            "x": rng.normal(size=rows + more).round(2),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows + more), unit="s"),
            "b": rng.random(rows + more) < 0.5,
            "s": pd.Series([f"w{i % 70}" for i in range(rows + more)]),
            "c": pd.Categorical.from_codes(np.arange(rows + more) % 3, ["a", "b", "c"]),
            "n": pd.array(rng.integers(0, 9, rows + more), dtype="Int64"),
        }
    )
    first, later = whole[:rows].copy(), whole.copy()
    if change == "a cell":
        later.loc[17, "x"] += 0.5
    elif change == "a gap":
        later.loc[rows - 1, ["x", "at"]] = None
    elif change == "a row inserted":
        later = pd.concat([whole[:50], whole[7:8], whole[50:]], ignore_index=True)
    elif change == "a row inserted late":
        later = pd.concat([whole[:100_000], whole[7:8], whole[100_000:]], ignore_index=True)
    elif change == "a late cell":
        later = later[:rows].copy()
        later.loc[100_000, ["id", "x"]] = -1
    elif change == "a category":
        later["c"] = later["c"].cat.rename_categories({"c": "d"})
    elif change == "shorter":
        later = whole[: rows - 500].copy()
    with tempfile.TemporaryDirectory() as where, Packs(where) as packs:
        write_snapshot(Draft(first), Path(where))
        manifest = Manifest.from_bytes((Path(where) / "manifest.json").read_bytes())
        draft = Draft(later, Base(manifest, packs.of(manifest)))
        assert draft.identity == identify(later)
        write_snapshot(draft, Path(where))
        told = Manifest.from_bytes((Path(where) / "manifest.json").read_bytes())
        pd.testing.assert_frame_equal(read_snapshot(told, packs.of(told)), later)
        chunks = [[[chunk.address for chunk in column.chunks] for column in told.columns]]
        write_snapshot(Draft(later), Path(where))  # by itself it is cut alike, every chunk looked at
        alone = Manifest.from_bytes((Path(where) / "manifest.json").read_bytes())
        chunks.append([[chunk.address for chunk in column.chunks] for column in alone.columns])
        assert chunks[0] == chunks[1]
        assert told.segments == alone.segments
        if "late" in change:
            steps = [m.columns[0].identity.steps for m in (manifest, alone)]
            assert [a == b for a, b in zip(*steps, strict=True)] == [
                n * STEP <= 100_000 for n in range(1, len(steps[0]) + 1)
            ]
        digests = {column.name: column.digest for column in identify(first).columns}
        same = {name for name in later if identify_begun(later[name], name, rows)[1] == digests[name]}
        changed = {"nothing": "", "a cell": "x", "a gap": "x at", "a late cell": "id x", "a category": "c"}
        assert same == (set(later) - set(changed[change].split()) if change in changed else set())


def test_packs_behind_an_arrow_file_system(tmp_path: Path) -> None:
    """A URI goes through Arrow's file systems: the same reads, the same checks, as of S3."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": np.arange(50_000), "x": rng.normal(size=50_000), "s": ["a", None] * 25_000})
    write_snapshot(Draft(frame), tmp_path)
    manifest = Manifest.from_bytes((tmp_path / "manifest.json").read_bytes())
    with Packs(tmp_path.as_uri()) as packs:
        assert "://" in packs.location
        pd.testing.assert_frame_equal(read_snapshot(manifest, packs.of(manifest)), frame)
    pack = tmp_path / manifest.packs[0]
    pack.write_bytes(pack.read_bytes()[:-100])
    with Packs(tmp_path.as_uri()) as packs, pytest.raises(IntegrityFailure, match="does not hold what was stored"):
        read_snapshot(manifest, packs.of(manifest))
    pack.unlink()
    with Packs(tmp_path.as_uri()) as packs, pytest.raises(IntegrityFailure, match="is gone"):
        read_snapshot(manifest, packs.of(manifest))


SAVER = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from jupyter_mlops.session import Session
session = Session.open(root=Path(sys.argv[1]))
frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50_000, 6))).rename(columns=str)
print("ready", flush=True)
for number in range(1000):
    session.data.save(frame.assign(round=number), name="saver")
    print(number, flush=True)
"""


@pytest.mark.extended
@pytest.mark.timeout(900)  # five processes are started, one after the other; beside other work each takes a while
def test_a_kernel_that_is_killed_while_it_saves_leaves_whole_versions(session: Session) -> None:
    """What was acknowledged is there, nothing is half there, and the next save goes on."""
    root = str(session.context.workspace.root)
    session.data.save(pd.DataFrame({"x": [1]}), name="other")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50_000, 6))).rename(columns=str)
    acknowledged = -1
    for delay in (0.05, 0.4):
        process = subprocess.Popen([sys.executable, "-c", SAVER, root], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        said = [0, *(int(line) for line in process.stdout.read().split())]
        process.wait()
        acknowledged = max(acknowledged, *said)
    versions = session.data.log("saver")
    assert len(versions) >= acknowledged + 1
    for version in (versions[0], versions[-1]):
        found = session.data.load(version.ref)
        pd.testing.assert_frame_equal(found, frame.assign(round=version.version - 1))
    # A save that was handed over is finished by the service, though nobody waits for it any more.
    assert session.data.save(frame, name="saver").version > len(versions)
