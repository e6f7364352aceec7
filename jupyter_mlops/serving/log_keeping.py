"""Log keeping: closed segments become Parquet, old rows are removed, a person's rows are erased; done by the service.

``python -m jupyter_mlops.serving.log_keeping FOLDER`` makes Parquet of what is closed, in a process that stands back for
the model servers: they and it share the machine, and the service must not wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..domain.deployment import LogRules
from ..errors import NotReady
from .log_frames import GAP, SEGMENT_SUFFIX, Segment, never_begun, remove_segment, segment_paths
from .log_masking import hashed, mask_key
from .log_parquet import PARQUET_SUFFIX, PREFIX, Facts, facts_of, part_of, read_part, write_part
from .log_tail import TAIL_SUFFIX

__all__ = ["Erased", "Expired", "compact", "compact_apart", "forget", "keeping", "main", "not_logged", "remove_old"]

log = logging.getLogger("jupyter_mlops.service")

DAY_MS = 86_400_000
LOOK_SECONDS = 0.1
STAND_BACK = 10
BEGINNING_SECONDS = 60
UNREADABLE = ".unreadable"
MANY = 16  # segments; where more have piled up, the one who makes Parquet of them no longer stands back


@dataclass(frozen=True)
class Erased:
    """What `forget` did.

    Parameters
    ----------
    rows
        How many rows it erased.
    files
        In how many files they stood.
    unread
        Files that cannot be read and may hold more.
    """

    rows: int
    files: int
    unread: tuple[str, ...] = ()


@contextlib.contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Hold a log while its files are rewritten: one process at a time, also one whose service was killed meanwhile."""
    descriptor = os.open(folder / ".keeping", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def compact(folder: Path) -> int:
    """Make every closed segment Parquet; a reader finds its rows at every moment, once. Gives how many were closed."""
    done = 0
    for path in segment_paths(folder):
        target = path.with_suffix(PARQUET_SUFFIX)
        if not target.exists():
            segment = Segment.open(path)
            if segment is None:
                with contextlib.suppress(FileNotFoundError):
                    _without_beginning(path)
                continue
            if segment.writing():
                continue
            found, _ = segment.entries()
            rows, last_ms = segment.last()
            missed = sum(json.loads(entry.response)["rows"] for _, entry in found if entry.role == GAP)
            facts = Facts(segment.model, rows, last_ms, segment.sample, missed)
            write_part(target, part_of(segment, found), facts)
            done += 1
        remove_segment(path)
    return done


def _without_beginning(path: Path) -> None:
    """Remove a segment whose writer died before it had begun; one that holds more stays, under another name."""
    if time.time() - path.stat().st_mtime <= BEGINNING_SECONDS or Segment(path, "", "").writing():
        return
    if never_begun(path):
        remove_segment(path)
        return
    aside = path.with_name(path.name + UNREADABLE)
    tail = path.with_suffix(TAIL_SUFFIX)
    with contextlib.suppress(FileNotFoundError):
        tail.rename(tail.with_name(tail.name + UNREADABLE))
    path.rename(aside)
    log.error("%s was written by another version, or is damaged: it is kept, and is not part of the log", aside)


def compact_apart(folder: Path, stopping: threading.Event) -> None:
    """Let a process of its own make every closed segment Parquet, where there is one; it finishes also when `stopping`."""
    if all(Segment(path, "", "").writing() for path in segment_paths(folder)):
        return
    command = [sys.executable, "-P", "-m", "jupyter_mlops.serving.log_keeping", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and not stopping.wait(LOOK_SECONDS):
        pass
    if process.returncode:
        log.error("the inference log in %s cannot be made Parquet: status %s", folder, process.returncode)


def not_logged(folder: Path) -> int:
    """How many predictions were answered and could not be logged, as far as the log itself knows."""
    rows = 0
    for path in folder.glob(f"*{PARQUET_SUFFIX}"):
        rows += facts_of(path).not_logged
    for path in segment_paths(folder):
        segment = Segment.open(path)
        if segment is not None and not path.with_suffix(PARQUET_SUFFIX).exists():
            with contextlib.suppress(FileNotFoundError):  # it has become Parquet just now
                rows += sum(json.loads(entry.response)["rows"] for entry in segment.gaps())
    return rows


@dataclass(frozen=True)
class Expired:
    """What is about to be removed because the rules keep it no longer: what the audit trail tells of it.

    Parameters
    ----------
    until_ms
        When the newest of the rows was answered.
    digest
        SHA-256 over the SHA-256 of each file, oldest first: whoever has a copy can show that it was this.
    """

    files: int
    rows: int
    until_ms: int
    digest: str


def remove_old(
    folder: Path, rules: LogRules, now_ms: int, *, telling: Callable[[Expired], None] = lambda _expired: None
) -> int:
    """Remove the Parquet files that are older or more than the rules keep; gives how many rows went.

    A file goes when its newest row is too old, so rows are kept up to one file's length longer than asked.

    Parameters
    ----------
    telling
        Is told before anything goes, and again after a crash that left some of it.
    """
    files = sorted(folder.glob(f"[0-9]*{PARQUET_SUFFIX}"))
    sizes = {path: path.stat().st_size for path in files}
    total = sum(sizes.values()) + sum(path.stat().st_size for path in segment_paths(folder))
    doomed: list[tuple[Path, Facts]] = []
    for path in files:
        facts = facts_of(path)
        aged = rules.keep_days > 0 and facts.last_ms < now_ms - rules.keep_days * DAY_MS
        large = rules.keep_bytes > 0 and total > rules.keep_bytes
        if aged or large:
            doomed.append((path, facts))
            total -= sizes[path]
    if not doomed:
        return 0
    rows, whole = sum(facts.rows for _, facts in doomed), hashlib.sha256()
    for path, _ in doomed:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    telling(Expired(len(doomed), rows, max(facts.last_ms for _, facts in doomed), whole.hexdigest()))
    for path, _ in doomed:
        path.unlink(missing_ok=True)
    return rows


def forget(folder: Path, column: str, value: Any) -> Erased:
    """Erase the rows whose input `column` (or whose key, for ``key``) is `value`, also where it is kept hashed.

    Every writer must have closed its segments before: see `LogWriter.rotate`; and the log is to be held, see `keeping`.

    Raises
    ------
    NotReady
        A segment is still being written, so what stands in it cannot be erased yet.
    """
    compact(folder)
    rows = files = 0
    wanted = {str(value)}
    if (folder.parent / "mask.key").exists():
        wanted |= {hashed(given, mask_key(folder)) for given in (value, str(value), _number(value))}
    for path in sorted(folder.glob(f"[0-9]*{PARQUET_SUFFIX}")):
        part = read_part(path)
        if part is None:
            continue
        values: Any = part.keys if column in ("key", PREFIX + "key") else None
        if values is None:
            if column not in part.inputs:
                continue
            values = part.inputs[column].tolist()
        keep = [v is None or (str(v) not in wanted and _number(v) != _number(value)) for v in values]
        gone = keep.count(False)
        if gone:
            import numpy as np

            left = part.where(np.array(keep))
            facts = facts_of(path)
            write_part(path, left if len(left) else None, replace(facts, rows=facts.rows))
            rows, files = rows + gone, files + 1
    writing = [path.name for path in segment_paths(folder) if path.suffix == SEGMENT_SUFFIX]
    if writing:
        raise NotReady(
            f"{rows} rows are erased; {len(writing)} segments are still being written and may hold more.",
            hint="Ask again in a moment.",
        )
    return Erased(rows, files, tuple(sorted(str(path) for path in folder.glob(f"*{UNREADABLE}"))))


def _number(value: Any) -> Any:
    """A value as the number it may be written as, so that 7, 7.0 and "7" are one."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def main(folder: str) -> int:
    """Make Parquet of a log's closed segments."""
    where = Path(folder)
    os.umask(0o077)
    if len(segment_paths(where)) < MANY:
        os.nice(STAND_BACK)
    with keeping(where):
        compact(where)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
