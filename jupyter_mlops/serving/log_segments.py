"""Log segments as they are written: one server process's end of the inference log; what is answered is written first, or refused, or counted."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..domain.deployment import LogRules
from .log_frames import ANSWERED, GAP, SEGMENT_SUFFIX, Entry, first_frame, frame_of
from .log_masking import Mask
from .log_tail import TAIL_BYTES, TAIL_SUFFIX, Tail

__all__ = ["SEGMENT_BYTES", "Entry", "LogWriter"]

SEGMENT_BYTES = 16 << 20
PAUSE_SECONDS = 1.0  # how long a log that failed or was slow is left alone, where serving goes on without it


class LogWriter:
    """Writes the segments of one model version in one server process; may be used from several threads.

    Parameters
    ----------
    folder
        The deployment's log folder; made if it is not there.
    model
        The model version that answers: ``clf@7``.
    inputs
        The signature's inputs as MLflow writes them, empty for none.
    classes
        What the columns of the probabilities stand for.
    rules
        What to log, and what to do when it cannot be written.
    segment_bytes
        When to begin a new segment.
    tail_bytes
        How many bytes stand in the tail before they are written to the segment; a larger frame is written at once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: str,
        inputs: str,
        classes: Sequence[str] = (),
        rules: LogRules | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self.folder = folder
        self.model = model
        self.rules = rules or LogRules()
        self._mask = Mask.of(self.rules, folder)
        self._not_all = self.rules.sample < 1.0 or self._mask is not None
        self._refuses = self.rules.unwritable == "refuse"
        self._facts = (model, inputs if self._mask is None else self._mask.signature(inputs), tuple(classes))
        self._limit = segment_bytes
        self._lock = threading.Lock()
        self._file = -1
        self._path, self._used = folder, False
        self._tail: Tail
        self._tail_bytes = tail_bytes
        self._size = self._written = 0
        self._rows = 0
        self._missed = 0
        self._missed_since = 0
        self._why = ""
        self._pause_until = 0.0
        self.not_logged = 0
        self.refusing = False
        """Whether the newest entries were refused, because they could not be written."""
        self.written_ms = 0
        self.clock: Callable[[], float] = time.monotonic
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._begin()
        except OSError as error:  # the first entry tries again
            self.refusing = self._refuses
            if not self._refuses:
                self._miss((), str(error.strerror or error))

    def append(self, *entries: Entry) -> None:
        """Write entries, all at once.

        Raises
        ------
        OSError
            They could not be written whole, and the rules say to refuse; nothing of them is left.
        """
        if self._not_all:
            entries = self._kept(entries)
            if not entries:
                return
        began = self.clock()
        if began < self._pause_until:
            self._miss(entries, self._why)
            return
        try:
            with self._lock:
                self._write(entries)
        except OSError as error:
            if self._refuses:
                self.refusing = True
                raise
            self._miss(entries, str(error.strerror or error))
            self._pause_until = self.clock() + PAUSE_SECONDS
            return
        if self._refuses:
            self.refusing = False
            return
        took = self.clock() - began
        if took * 1000 > self.rules.slow_ms:
            self._why = f"the disk took {took * 1000:.0f} ms for a write"
            self._pause_until = self.clock() + PAUSE_SECONDS

    @property
    def unnoted(self) -> int:
        """How many predictions were not logged and are not told of in the log yet, because it cannot be written."""
        return self._missed

    def rotate(self) -> None:
        """Close the segment, so that it can be made Parquet; the next entry begins another."""
        self.close()

    def close(self) -> None:
        """Give the file back; a segment without an entry is removed."""
        with self._lock:
            self._close()

    def _kept(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Those of the sample, masked."""
        share = self.rules.sample
        if share < 1.0:
            entries = tuple(e for e in entries if zlib.crc32(e.id.encode()) < share * 4294967296)
        return entries if self._mask is None else tuple(self._mask.entry(entry) for entry in entries)

    def _miss(self, entries: Sequence[Entry], why: str) -> None:
        rows = sum(entry.counted for entry in entries)
        with self._lock:
            if not self._missed:
                self._missed_since = time.time_ns() // 1_000_000
            self._missed += rows
            self.not_logged += rows
            self._why = why

    def _gap(self) -> Entry:
        """What was not logged, to be written down once it can be."""
        now = time.time_ns() // 1_000_000
        told = json.dumps({"rows": self._missed, "since_ms": self._missed_since, "until_ms": now, "why": self._why})
        return Entry("", now, "application/json", b"", told.encode(), 0, 0.0, role=GAP)

    def _close(self) -> None:
        if self._file < 0:
            return
        if self._used:
            with contextlib.suppress(OSError):  # then the tail stays where it is, and is read there
                self._write_tail()
        self._tail.close()
        if not self._used:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1

    def _begin(self) -> None:
        self._close()
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}{SEGMENT_SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # others hold it for a moment at most, to see who does
            model, inputs, classes = self._facts
            first = first_frame(model, inputs, classes, self.rules.sample, time.time_ns() // 1_000_000)
            _write_whole(file, first, 0)
            self._tail = Tail(path.with_suffix(TAIL_SUFFIX), len(first), self._tail_bytes)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file, self._path, self._used = file, path, False
        self._size = self._written = len(first)
        self._rows = 0

    def _write(self, entries: Sequence[Entry]) -> None:
        if self._file < 0 or self._size >= self._limit:
            self._begin()
        missed = self._missed
        if missed:
            entries = (self._gap(), *entries)
        rows = 0
        for entry in entries:
            if entry.role == ANSWERED and entry.status == 200:  # as `counted`, without a call for each
                rows += entry.rows
        time_ms = entries[-1].time_ms
        frame = frame_of(rows, self._rows, time_ms, entries)
        if not self._tail.put(frame):
            self._write_tail()
            if not self._tail.put(frame):
                self._write_out(frame)
        self._size += len(frame)
        self._used = True
        self._rows += rows
        self.written_ms = time_ms
        if missed:
            self._missed -= missed

    def _write_tail(self) -> None:
        if len(self._tail):
            with self._tail.frames() as frames:
                self._write_out(frames)

    def _write_out(self, frames: bytes | memoryview) -> None:
        """Bring the tail's frames, or one that does not fit there while it is empty, to the segment's end."""
        _write_whole(self._file, frames, self._written)
        self._written += len(frames)
        self._tail.restart(self._written)


def _write_whole(file: int, frames: bytes | memoryview, at: int) -> None:
    """Write what is to be the end of a file, all or nothing."""
    try:
        if os.pwrite(file, frames, at) < len(frames):
            raise OSError(errno.ENOSPC, "no space left for the inference log")
    except OSError:
        with contextlib.suppress(OSError):  # else what stays is no whole frame, and the next write goes over it
            os.ftruncate(file, at)
        raise
