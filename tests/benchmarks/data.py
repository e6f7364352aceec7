"""What a second version costs against `dvc add` and a Parquet rewrite, what loading and identity cost, and their memory."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from . import data_tables
from .figures import Figure, compared, in_turn, seconds

ROUNDS = 7
SPEED = 1e9
"""Bytes a second that a digest must reach on one core."""


def main() -> None:
    """Measure everything on one table of 500,000 rows and 20 columns."""
    frame = data_tables.first()
    with tempfile.TemporaryDirectory() as folder:
        _versions(frame, Path(folder))
        _loading(frame, Path(folder))
        _digest(frame)
        _end_to_end(frame, Path(folder))
        _memory(Path(folder))
        _joining()


class Ours:
    """The first version on disk, and later ones written beside it."""

    def __init__(self, frame: pd.DataFrame, folder: Path) -> None:
        from jupyter_mlops.datasets.draft import Draft
        from jupyter_mlops.datasets.manifest import Manifest
        from jupyter_mlops.datasets.packs import Packs
        from jupyter_mlops.datasets.snapshot import write_snapshot

        self.folder = folder / "ours"
        self.folder.mkdir(exist_ok=True)
        self.bytes = write_snapshot(Draft(frame), self.folder).bytes
        self.manifest = Manifest.from_bytes((self.folder / "manifest.json").read_bytes())
        self.packs = Packs(str(self.folder))

    def later(self, frame: pd.DataFrame) -> int:
        """Identify and write a later version, safely on disk; give the bytes it adds."""
        from jupyter_mlops.datasets.draft import Base, Draft
        from jupyter_mlops.datasets.snapshot import write_snapshot

        with tempfile.TemporaryDirectory(dir=self.folder.parent) as where:
            base = Base(self.manifest, self.packs.of(self.manifest))
            return write_snapshot(Draft(frame, base), Path(where)).bytes

    def load(self) -> pd.DataFrame:
        """Read the first version back, every chunk checked."""
        from jupyter_mlops.datasets.snapshot_reading import read_snapshot

        return read_snapshot(self.manifest, self.packs.of(self.manifest))


def _versions(frame: pd.DataFrame, folder: Path) -> None:
    ours = Ours(frame, folder)
    print(f"first version: {ours.bytes / 1e6:.1f} MB, as Parquet {_parquet(frame, folder / 'v1.parquet') / 1e6:.1f} MB")
    for what, change in data_tables.LATER.items():
        _version(ours, frame, change(frame), what)


def _version(ours: Ours, frame: pd.DataFrame, later: pd.DataFrame, what: str) -> None:
    folder = ours.folder.parent

    def mine() -> float:
        return seconds(lambda: ours.later(later))

    took, theirs = in_turn(mine, lambda: seconds(lambda: _parquet(later, folder / "v2.parquet")), ROUNDS)
    compared("data", f"version 2, {what}", "s", took, "to_parquet", theirs, goal=5).report()
    added, allowed = ours.later(later), 0.03 * ours.bytes
    if len(later.columns) > len(frame.columns):
        allowed += later[later.columns[-1]].memory_usage(index=False)
    share = added / allowed
    limit = "3 % of version 1, and a new column's size"
    Figure(
        "data", f"bytes of version 2, {what}", added, "B", limit, allowed, share, 1.0, "at most", (share, share)
    ).report()
    dvc = _Dvc(folder)
    took, theirs = in_turn(mine, lambda: dvc.add(frame, later), 2)
    compared("data", f"version 2, {what}", "s", took, "to_parquet and dvc add", theirs, goal=5).report()
    shutil.rmtree(dvc.folder)


def _parquet(frame: pd.DataFrame, path: Path) -> int:
    frame.to_parquet(path)
    return path.stat().st_size


class _Dvc:
    """A DVC project without git, in which a Parquet file is added again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "dvc"
        self.folder.mkdir()
        self._run("init", "--no-scm", "-q")
        self._run("config", "core.analytics", "false")
        self._run("config", "core.check_update", "false")

    def add(self, first: pd.DataFrame, later: pd.DataFrame) -> float:
        """Seconds for the second version: the file rewritten and added."""
        shutil.rmtree(self.folder / ".dvc" / "cache", ignore_errors=True)
        _parquet(first, self.folder / "t.parquet")
        self._run("add", "-q", "t.parquet")

        def again() -> None:
            _parquet(later, self.folder / "t.parquet")
            self._run("add", "-q", "t.parquet")

        return seconds(again)

    def _run(self, *words: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=self.folder, check=True, capture_output=True)


def _loading(frame: pd.DataFrame, folder: Path) -> None:
    ours, path = Ours(frame, folder), folder / "v1.parquet"
    mine, theirs = in_turn(lambda: seconds(ours.load), lambda: seconds(lambda: pd.read_parquet(path)), ROUNDS)
    compared("data", "load", "s", mine, "read_parquet", theirs, goal=2, goal_is="at most").report()
    pd.testing.assert_frame_equal(ours.load(), frame)


def _digest(frame: pd.DataFrame) -> None:
    """One core: the hash of every column in this thread."""
    import mlflow.data

    from jupyter_mlops.datasets.identity import identify, identify_column

    size = int(frame.memory_usage(index=False, deep=True).sum())

    def one_core() -> None:
        for place, name in enumerate(frame.columns):
            identify_column(frame.iloc[:, place], name)

    took = [seconds(one_core) for _ in range(ROUNDS)]
    speeds = [size / t for t in took]
    ratio = statistics.median(speeds) / SPEED
    spread = (min(speeds) / SPEED, max(speeds) / SPEED)
    Figure(
        "data", "digest, one core", statistics.median(speeds), "B/s", "1 GB/s", SPEED, ratio, 1.0, "at least", spread
    ).report()
    mine, theirs = in_turn(
        lambda: seconds(lambda: identify(frame)), lambda: seconds(lambda: mlflow.data.from_pandas(frame)), 2
    )
    compared("data", "digest", "s", mine, "mlflow.data.from_pandas", theirs, goal=50).report()


def _end_to_end(frame: pd.DataFrame, folder: Path) -> None:
    """``data save`` as the user calls it: service, MLflow's database and audit trail included."""
    from jupyter_mlops.session import Session

    root = folder / "project"
    root.mkdir()
    session = Session.open(root=root)
    try:
        session.data.save(frame, name="t")
        rounds = []
        for number in range(ROUNDS):
            later = data_tables.changed(frame)
            later["count"] += number
            rounds.append(seconds(lambda later=later: session.data.save(later, name="t")))  # type: ignore[misc]
        theirs = [seconds(lambda: _parquet(frame, folder / "v2.parquet")) for _ in range(ROUNDS)]
        compared("data", "data save with service and store", "s", rounds, "to_parquet", theirs, goal=1).report()
    finally:
        session.service.stop()


def _joining() -> None:
    """200,000 labels with four views on a million rows of 50,000 entities, against pandas' own merge, view by view."""
    import numpy as np

    from jupyter_mlops.datasets.features.joining import join
    from jupyter_mlops.domain.data_version import Column
    from jupyter_mlops.domain.feature_view import FeatureView

    rng = np.random.default_rng(0)
    start, day = pd.Timestamp("2026-01-01"), 86_400
    at = start + pd.to_timedelta(rng.integers(0, 90 * day, 1_000_000), unit="s")
    rows = pd.DataFrame({"id": rng.integers(0, 50_000, 1_000_000), "at": at})
    names = [f"f{number}" for number in range(12)]
    rows = rows.assign(**{name: rng.normal(size=len(rows)) for name in names})
    when = start + pd.to_timedelta(rng.integers(15 * day, 95 * day, 200_000), unit="s")
    labels = pd.DataFrame({"id": rng.integers(0, 55_000, 200_000), "when": when})
    groups = [names[number : number + 3] for number in range(0, 12, 3)]
    views = [
        FeatureView(
            f"v{n}", 1, "", ("t@v1",), ("id",), tuple(Column(c, "float64") for c in group), "at", ttl=30.0 * day
        )
        for n, group in enumerate(groups)
    ]

    def theirs() -> pd.DataFrame:
        found = labels.reset_index().sort_values("when")
        for group in groups:
            right = rows[["id", "at", *group]].sort_values("at")
            keys = {"left_on": "when", "right_on": "at", "by": "id", "tolerance": pd.Timedelta(days=30)}
            found = pd.merge_asof(found, right, **keys).drop(columns="at")
        return found.set_index("index").sort_index()

    def ours() -> pd.DataFrame:
        found: pd.DataFrame = join(labels, [(view, lambda: rows) for view in views], "when").table
        return found

    pd.testing.assert_frame_equal(ours()[names], theirs()[names], check_names=False)
    mine, other = in_turn(lambda: seconds(ours), lambda: seconds(theirs), 3)
    compared("data", "point-in-time join, 4 views", "s", mine, "pandas.merge_asof", other, goal=2).report()


def _memory(folder: Path) -> None:
    """Peak memory beyond the table, in a process of its own, against the table's largest column."""
    for what in ("save", "load"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.data", what, str(folder / f"memory-{what}")],
            check=True,
            capture_output=True,
            text=True,
        )
        extra, column = (int(word) for word in told.stdout.split())
        ratio = extra / column
        against = "its largest column as it lies in memory"
        Figure(
            "data", f"peak memory of {what}", extra, "B", against, column, ratio, 1.0, "at most", (ratio, ratio)
        ).report()


class _Watch:
    """The highest resident memory while something runs, sampled a thousand times a second."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self.peak = self.before = _resident()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._done.wait(0.001):
            self.peak = max(self.peak, _resident())

    def during(self, work: Callable[[], Any]) -> int:
        """Bytes beyond those before."""
        self._thread.start()
        work()
        self._done.set()
        self._thread.join()
        return self.peak - self.before


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _one_memory(what: str, folder: Path) -> None:
    rows = 4_000_000
    frame = data_tables.first(rows)
    column = int(frame.memory_usage(index=False, deep=True).max())
    folder.mkdir()
    warm = data_tables.first(1000)
    Ours(warm, folder).load()
    shutil.rmtree(folder / "ours")
    if what == "save":
        extra = _Watch().during(lambda: Ours(frame, folder))
    else:
        ours, size = Ours(frame, folder), int(frame.memory_usage(deep=True).sum())
        del frame
        held: list[pd.DataFrame] = []
        extra = _Watch().during(lambda: held.append(ours.load())) - size
    print(max(extra, 0), column)


if __name__ == "__main__":
    _one_memory(sys.argv[1], Path(sys.argv[2]))
