"""Drift of a wide table: against Evidently's default preset, against sorting alone, and of ten million rows from Parquet.

CPU seconds of one process and all of its threads. Evidently takes half a minute of them: it is measured once, after its
own warm-up, against three of our runs; its spread is far smaller than what lies between the two. The reference is profiled before, as at registration; at 1,000,000 rows it is kept as groups of
sorted values, which is said in the report, and once more in full.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from jupyter_mlops.datasets.profile import ColumnProfile, Profile
from jupyter_mlops.monitoring.compare import compare
from jupyter_mlops.monitoring.sources import FrameSource

from .drift_tables import floats, mixed
from .figures import compared, in_turn

EVIDENTLY = "evidently==0.7.23"
HOME = Path(".cache/benchmarks")
PEER_AGAINST = 3
PEER = Path(__file__).with_name("drift_peer.py")
ROWS = 100_000
WIDE, LONG, PART = 20, 10_000_000, 500_000
GIB = float(1 << 30)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def against_sorting(rows: int, *, exact: bool) -> None:
    """The whole report against `np.sort` of the forty float columns."""
    reference, current = mixed(rows, 1), mixed(rows, 2)
    if exact:
        columns = [ColumnProfile.of(reference[name], name, most=sys.maxsize) for name in reference]
        profile = Profile(rows, tuple(columns))
    else:
        profile = Profile.of(reference)
    numbers = floats(current)
    mine, sorting = in_turn(
        lambda: cpu(lambda: compare(profile, FrameSource(current))),
        lambda: cpu(lambda: [np.sort(column) for column in numbers]),
        rounds=7 if rows <= ROWS else 3,
    )
    kept = "in full" if exact or rows <= ROWS else "as at registration"
    figure = f"54 columns x {rows:,} rows, reference kept {kept}"
    compared("drift", figure, "CPU s", mine, "np.sort of 40 floats", sorting, goal=5, goal_is="at most").report()


def against_evidently(rows: int) -> None:
    """The whole report, the reference profiled before or each time, against Evidently's."""
    python = HOME / "evidently" / "bin" / "python"
    if not (HOME / "evidently" / "ready").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, "--clear", str(HOME / "evidently")], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), EVIDENTLY, "pandas<3"], check=True)
        (HOME / "evidently" / "ready").touch()
    reference, current = mixed(rows, 1), mixed(rows, 2)
    profile = Profile.of(reference)
    ways: dict[str, Callable[[], object]] = {
        "reference cached": lambda: compare(profile, FrameSource(current)),
        "nothing cached": lambda: compare(FrameSource(reference), FrameSource(current)),
    }

    def theirs() -> float:
        done = subprocess.run([str(python), str(PEER), str(rows), "1"], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])  # it has warmed up on a thousand rows

    mine: dict[str, list[float]] = {way: [] for way in ways}
    for work in ways.values():
        work()
    for number in range(PEER_AGAINST):
        if number == PEER_AGAINST // 2:
            other = [theirs()] * PEER_AGAINST
        for way, work in ways.items():
            mine[way].append(cpu(work))
    for way, spent in mine.items():
        figure = f"54 columns x {rows:,} rows a side, {way}"
        compared(
            "drift", figure, "CPU s", spent, f"Evidently {EVIDENTLY[11:]} default preset", other, goal=100
        ).report()


def memory(rows: int) -> None:
    """The peak above the loaded tables against one copy of the current numeric columns."""
    code = (
        "from tests.benchmarks.drift import *; from tests.benchmarks.drift import peak\n"
        f"a, b = mixed({rows}, 1), mixed({rows}, 2)\n"
        "p = Profile.of(a); compare(Profile.of(a.head(999)), FrameSource(b.head(999)))\n"
        "print(peak(lambda: compare(p, FrameSource(b))), sum(x.nbytes for x in floats(b)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    above, copy = map(float, done.stdout.split())
    figure = f"peak memory above the data, {rows:,} rows"
    compared(
        "drift", figure, "MB", [above / 1e6], "one copy of the floats", [copy / 1e6], goal=1, goal_is="at most"
    ).report()


def peak(work: Callable[[], object]) -> int:
    """How many bytes NumPy, Python and Arrow held at the most beside what they held before."""
    import tracemalloc

    import pyarrow as pa

    tracemalloc.start()
    before = pa.default_memory_pool().max_memory()
    work()
    held = tracemalloc.get_traced_memory()[1]
    return held + max(0, pa.default_memory_pool().max_memory() - before)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def parquet() -> None:
    """Ten million rows of twenty columns from Parquet: memory against 2 GiB, time against reading the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with TemporaryDirectory(dir=HOME) as folder:
        for side, rows in (("reference", LONG // 10), ("current", LONG)):
            (Path(folder) / side).mkdir()
            writer = None
            for i in range(0, rows, PART):
                draw = np.random.default_rng(i + len(side))
                data = {f"n{j}": draw.lognormal(size=PART) for j in range(WIDE - 4)}
                data |= {f"s{j}": draw.choice(np.array(list("abcdefgh")), PART) for j in range(4)}
                table = pa.table(data)
                writer = writer or pq.ParquetWriter(Path(folder) / side / "0.parquet", table.schema)
                writer.write_table(table)
            if writer is not None:
                writer.close()
        code = (
            "import time, sys; from pathlib import Path; from tests.benchmarks.drift import _status, compare\n"
            "from jupyter_mlops.monitoring.large import large_source; import pyarrow.parquet as pq\n"
            f"folder = Path({folder!r})\n"
            "if sys.argv[1] == 'read':\n"
            "    file = pq.ParquetFile(folder / 'current' / '0.parquet'); t = time.process_time()\n"
            "    [file.read([c]) for c in file.schema_arrow.names]\n"
            "else:\n"
            "    t = time.process_time(); compare(large_source(folder / 'reference'), large_source(folder / 'current'))\n"
            "print(time.process_time() - t, _status('VmHWM'))"
        )

        def run(what: str) -> tuple[float, float]:
            done = subprocess.run([sys.executable, "-c", code, what], capture_output=True, text=True, check=True)
            seconds, peak_bytes = done.stdout.split()
            return float(seconds), float(peak_bytes)

        read = [run("read")]
        ours = [run("drift")] * 2  # once, between two readings
        read.append(run("read"))
    name = f"{LONG:,} rows x {WIDE} columns from Parquet"
    limit = [2.0] * len(ours)
    used = [p / GIB for _, p in ours]
    compared("drift", f"{name}: peak memory", "GiB", used, "limit", limit, goal=1, goal_is="at most").report()
    times = [s for s, _ in ours], [s for s, _ in read]
    compared(
        "drift", f"{name}: time", "CPU s", times[0], "reading the file", times[1], goal=12, goal_is="at most"
    ).report()


def main() -> None:
    """Measure everything."""
    HOME.mkdir(parents=True, exist_ok=True)
    against_evidently(ROWS)
    against_sorting(ROWS, exact=False)
    against_sorting(10 * ROWS, exact=False)
    against_sorting(10 * ROWS, exact=True)
    memory(ROWS)
    memory(10 * ROWS)
    parquet()


if __name__ == "__main__":
    main()
