"""Metrics: what every worker process counts, in a file of shared memory that anyone may read, and OpenMetrics out of it.

Every process writes a file of its own, so counting takes no lock; a reader adds the files up. The file of a process that
has ended stays as long as its deployment does, so that no counter ever falls. Latencies are counted in buckets whose
edges grow by a fifth from 0.05 ms to about 80 s; a quantile out of them is at most 20 % too high.
"""

from __future__ import annotations

import bisect
import errno
import json
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

__all__ = [
    "EDGES",
    "MONITORED_FILE",
    "Counters",
    "VersionCounts",
    "WorkerCounts",
    "add_up",
    "openmetrics",
    "read_counters",
]

EDGES: tuple[float, ...] = tuple(5e-5 * 1.2**i for i in range(78))
"""Upper edges of the latency buckets in seconds; the last bucket has none."""
SHOWN_EDGES = tuple(EDGES[i] for i in range(1, 78, 4))
SIZES: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper edges of the batch sizes, in requests."""

MONITORED_FILE = "monitored.om"
"""Beside a deployment's log: what its monitor found, as lines of OpenMetrics, told with the servers' own."""

MAGIC = 0x6D6C6D31
MODEL_BYTES = 192
VERSIONS = 32
TURNED_AWAY: tuple[int, ...] = (401, 408, 413, 415, 429, 503)
"""Statuses of requests that are turned away before a version is asked, each counted by itself."""
# of a process: magic, pid, in flight, log not written, last log time, number of versions, of it not noted, refusing, and the
# requests that were turned away by status
GLOBALS = 8 + len(TURNED_AWAY)
# of a version: requests by class of status 1xx to 5xx, rows, slow, sum of microseconds, buckets, batches by size, their sum,
# refused alone
PER_VERSION = 5 + 1 + 1 + 1 + (len(EDGES) + 1) + (len(SIZES) + 1) + 1 + 1
NAMES_AT = 8 * GLOBALS
COUNTS_AT = NAMES_AT + MODEL_BYTES * VERSIONS
FILE_BYTES = COUNTS_AT + 8 * PER_VERSION * VERSIONS


class Counters:
    """One process's counters.

    Parameters
    ----------
    path
        The file; made anew.

    Raises
    ------
    FileNotFoundError
        The folder that its folder is in is gone: a process that was brought back must not make a removed deployment anew,
        or nobody would ever see that it was removed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # written and not only made so long: on a full disk a page that has no place yet would end the process
            if os.write(descriptor, bytes(FILE_BYTES)) < FILE_BYTES:
                raise OSError(errno.ENOSPC, "no space left for the server's counters")
            self._memory = mmap.mmap(descriptor, FILE_BYTES)
        finally:
            os.close(descriptor)
        self._names: dict[str, int] = {}
        view = memoryview(self._memory)
        self._globals = view[:NAMES_AT].cast("Q")
        self._counts = view[COUNTS_AT:].cast("Q")
        self._globals[1] = os.getpid()
        self._globals[0] = MAGIC

    def version(self, model: str) -> int:
        """Where a version's counters begin; its place is made when it is first asked for.

        Raises
        ------
        IndexError
            One process has served more versions than there are places.
        """
        place = self._names.get(model)
        if place is None:
            place = len(self._names)
            if place >= VERSIONS:
                raise IndexError("too many versions for one process")
            self._memory[NAMES_AT + place * MODEL_BYTES : NAMES_AT + (place + 1) * MODEL_BYTES] = model.encode()[
                :MODEL_BYTES
            ].ljust(MODEL_BYTES, b"\0")
            self._names[model] = place
            self._globals[5] = len(self._names)
        return place * PER_VERSION

    def observe(self, at: int, status: int, rows: int, seconds: float, *, slow_seconds: float = 0.0) -> None:
        """Count one answered request of the version whose counters begin at `at`."""
        counts = self._counts
        counts[at + min(max(status // 100, 1), 5) - 1] += 1
        counts[at + 5] += rows
        if slow_seconds and seconds > slow_seconds:
            counts[at + 6] += 1
        counts[at + 7] += int(seconds * 1e6)
        counts[at + 8 + bisect.bisect_left(EDGES, seconds)] += 1

    def observe_all(self, at: int, done: Sequence[tuple[int, int, float]], *, slow_seconds: float = 0.0) -> None:
        """Count several answered requests of one version: status, rows and seconds of each."""
        counts, find = self._counts, bisect.bisect_left
        rows = micros = slow = 0
        for status, some, seconds in done:
            counts[at + min(max(status // 100, 1), 5) - 1] += 1
            counts[at + 8 + find(EDGES, seconds)] += 1
            rows += some
            micros += int(seconds * 1e6)
            slow += 0 < slow_seconds < seconds
        counts[at + 5] += rows
        counts[at + 6] += slow
        counts[at + 7] += micros

    def turned_away(self, status: int) -> None:
        """Count a request that no version was asked for."""
        if status in TURNED_AWAY:
            self._globals[8 + TURNED_AWAY.index(status)] += 1

    def batched(self, at: int, size: int) -> None:
        """Count one batch of so many requests."""
        base = at + 8 + len(EDGES) + 1
        self._counts[base + bisect.bisect_left(SIZES, size)] += 1
        self._counts[base + len(SIZES) + 1] += size

    def refused_alone(self, at: int) -> None:
        """Count one request that this version refused and the stable one takes."""
        self._counts[at + PER_VERSION - 1] += 1

    def in_flight(self, requests: int) -> None:
        """Tell how many requests are being answered."""
        self._globals[2] = max(requests, 0)

    def logged(self, not_logged: int, unnoted: int, time_ms: int, *, refusing: bool = False) -> None:
        """Tell how the log is.

        Parameters
        ----------
        not_logged, unnoted
            How many predictions could not be logged, and how many of them the log has no note of yet.
        time_ms
            When it was last written.
        refusing
            Whether requests are refused because it cannot be written.
        """
        counts = self._globals
        counts[3], counts[6], counts[4], counts[7] = not_logged, unnoted, time_ms, refusing


@dataclass
class VersionCounts:
    """What was counted of one version.

    Parameters
    ----------
    statuses
        Requests by class of HTTP status, 1xx to 5xx.
    slow
        Requests that took longer than the guard allows.
    buckets
        Requests by latency, see `EDGES`.
    alone
        Requests that it refused, of status 4xx, and that the stable version beside it takes.
    """

    statuses: list[int] = field(default_factory=lambda: [0] * 5)
    rows: int = 0
    slow: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    sizes: list[int] = field(default_factory=lambda: [0] * (len(SIZES) + 1))
    batched: int = 0
    alone: int = 0

    @property
    def requests(self) -> int:
        """Requests answered, whatever their status."""
        return sum(self.statuses)

    @property
    def errors(self) -> int:
        """Requests that the server failed on: status 500 and above."""
        return self.statuses[4]

    def quantile(self, share: float) -> float | None:
        """The latency in seconds below which this share of the requests took; None where there was none.

        Examples
        --------
        >>> counts = VersionCounts(buckets=[0] * 79)
        >>> counts.quantile(0.5)
        >>> counts.buckets[10] = 4
        >>> round(counts.quantile(0.99), 6) == round(EDGES[10], 6)
        True
        """
        total = sum(self.buckets)
        wanted, seen = share * total, 0
        for edge, number in zip((*EDGES, EDGES[-1]), self.buckets, strict=True):
            seen += number
            if number and seen >= wanted:
                return edge
        return None

    def add(self, other: VersionCounts) -> None:
        """Add what another process has counted."""
        self.statuses = [a + b for a, b in zip(self.statuses, other.statuses, strict=True)]
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.sizes = [a + b for a, b in zip(self.sizes, other.sizes, strict=True)]
        self.rows += other.rows
        self.slow += other.slow
        self.seconds += other.seconds
        self.batched += other.batched
        self.alone += other.alone


@dataclass
class WorkerCounts:
    """What one process has counted.

    Parameters
    ----------
    turned_away
        Requests that no version was asked for, by status, without those of which there were none.
    """

    pid: int
    in_flight: int
    not_logged: int
    logged_ms: int
    versions: dict[str, VersionCounts]
    unnoted: int = 0
    refusing: bool = False
    turned_away: dict[int, int] = field(default_factory=dict)


def read_counters(folder: Path) -> Iterator[WorkerCounts]:
    """What every process that counts in this folder has counted, those that have ended too."""
    for path in sorted(folder.glob("*.counts")):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            continue
        if len(raw) < FILE_BYTES:
            continue
        head = memoryview(raw[:NAMES_AT]).cast("Q")
        if head[0] != MAGIC:
            continue
        counts = memoryview(raw[COUNTS_AT:FILE_BYTES]).cast("Q")
        versions = {}
        for place in range(min(head[5], VERSIONS)):
            name = raw[NAMES_AT + place * MODEL_BYTES : NAMES_AT + (place + 1) * MODEL_BYTES].rstrip(b"\0").decode()
            versions[name] = _version(counts[place * PER_VERSION : (place + 1) * PER_VERSION].tolist())
        away = {status: many for status, many in zip(TURNED_AWAY, head[8:], strict=True) if many}
        yield WorkerCounts(head[1], head[2], head[3], head[4], versions, head[6], bool(head[7]), away)


def _version(counts: list[int]) -> VersionCounts:
    sizes = 8 + len(EDGES) + 1
    return VersionCounts(
        statuses=counts[:5],
        rows=counts[5],
        slow=counts[6],
        seconds=counts[7] / 1e6,
        buckets=counts[8:sizes],
        sizes=counts[sizes : sizes + len(SIZES) + 1],
        batched=counts[sizes + len(SIZES) + 1],
        alone=counts[-1],
    )


def add_up(workers: Sequence[WorkerCounts]) -> dict[str, VersionCounts]:
    """Every version's counts over all processes."""
    total: dict[str, VersionCounts] = {}
    for worker in workers:
        for model, counts in worker.versions.items():
            total.setdefault(model, VersionCounts()).add(counts)
    return total


def openmetrics(deployment: str, workers: Sequence[WorkerCounts], *, now_ms: int, monitored: str = "") -> str:
    """The counts in the OpenMetrics 1.0 text format, over all worker processes, labelled by deployment and version."""
    lines: list[str] = []
    versions = sorted(add_up(workers).items())

    def family(name: str, kind: str, told: str, unit: str = "") -> None:
        lines.append(f"# TYPE {name} {kind}")
        if unit:
            lines.append(f"# UNIT {name} {unit}")
        lines.append(f"# HELP {name} {told}")

    def labels(model: str = "", **more: str) -> str:
        given = {"deployment": deployment, **({"model": model} if model else {}), **more}
        return "{" + ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()) + "}"

    def bucket(model: str, le: str) -> str:
        return labels(model, le=le)

    family("mlops_requests", "counter", "Requests answered, by class of HTTP status.")
    for model, counts in versions:
        for number, count in enumerate(counts.statuses, 1):
            if count or number == 2:
                lines.append(f"mlops_requests_total{labels(model, status=f'{number}xx')} {count}")
    family("mlops_errors", "counter", "Requests answered with a status of 500 or above.")
    lines += [f"mlops_errors_total{labels(model)} {counts.errors}" for model, counts in versions]
    family("mlops_refused_alone", "counter", "Requests that it refused and the stable version takes.")
    lines += [f"mlops_refused_alone_total{labels(model)} {counts.alone}" for model, counts in versions]
    family("mlops_predictions", "counter", "Rows predicted.")
    lines += [f"mlops_predictions_total{labels(model)} {counts.rows}" for model, counts in versions]
    family("mlops_latency_seconds", "histogram", "From a request's body to its answer.", "seconds")
    for model, counts in versions:
        lines += _histogram("mlops_latency_seconds", partial(bucket, model), EDGES, SHOWN_EDGES, counts.buckets)
        lines.append(f"mlops_latency_seconds_count{labels(model)} {sum(counts.buckets)}")
        lines.append(f"mlops_latency_seconds_sum{labels(model)} {counts.seconds!r}")
    family("mlops_batch_size_requests", "histogram", "Requests computed together.", "requests")
    for model, counts in versions:
        lines += _histogram("mlops_batch_size_requests", partial(bucket, model), SIZES, SIZES, counts.sizes)
        lines.append(f"mlops_batch_size_requests_count{labels(model)} {sum(counts.sizes)}")
        lines.append(f"mlops_batch_size_requests_sum{labels(model)} {counts.batched}")
    family("mlops_turned_away", "counter", "Requests that no version was asked for, by HTTP status.")
    for status in TURNED_AWAY:
        total = sum(w.turned_away.get(status, 0) for w in workers)
        lines.append(f"mlops_turned_away_total{labels(status=str(status))} {total}")
    family("mlops_queue_requests", "gauge", "Requests being answered now.", "requests")
    lines.append(f"mlops_queue_requests{labels()} {sum(w.in_flight for w in workers)}")
    family("mlops_predictions_not_logged", "counter", "Predictions answered that the inference log does not hold.")
    lines.append(f"mlops_predictions_not_logged_total{labels()} {sum(w.not_logged for w in workers)}")
    family(
        "mlops_log_lag_seconds",
        "gauge",
        "Since the log was last written; 0 while it holds all that was answered.",
        "seconds",
    )
    newest = max((w.logged_ms for w in workers), default=0)
    behind = newest > 0 and any(w.unnoted for w in workers)
    lines.append(f"mlops_log_lag_seconds{labels()} {max(now_ms - newest, 0) / 1000 if behind else 0.0!r}")
    lines += monitored.splitlines()
    lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _histogram(
    name: str, labels: Callable[[str], str], edges: Sequence[float], shown: Sequence[float], counts: Sequence[int]
) -> list[str]:
    seen, lines, told = 0, [], set(shown)
    for edge, number in zip(edges, counts, strict=False):
        seen += number
        if edge in told:
            lines.append(f"{name}_bucket{labels(f'{float(edge):.6g}')} {seen}")
    lines.append(f"{name}_bucket{labels('+Inf')} {sum(counts)}")
    return lines
