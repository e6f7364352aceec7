"""Log segments: what a model server has answered, in append-only files that survive the server's death.

A segment belongs to one server process and is a row of frames. A frame is a head (magic, length, checksum, rows, rows
before it in the segment, time), a MessagePack payload and its own length again. The length at the end lets a reader find
the last frame without reading the others; the checksum and the length make a frame that was cut short invisible. The
first frame of a segment names the model and its signature, so a log can be read without the model, and by whoever comes
later. Frames are written by one `os.write` each, before the answer is sent: what was answered is in the log even if the
process is killed the moment after. Raw bodies are kept as they came; reading types them.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

__all__ = ["SCHEMA", "Entry", "LogWriter", "Segment", "count", "entries", "segments"]

SCHEMA = 1
MAGIC = b"mlf1"
HEAD = struct.Struct("<4sIIIQQ")  # magic, payload length, checksum, rows, rows before, milliseconds since 1970
COUNTED = struct.Struct("<IQQ")  # the part of the head that the checksum covers besides the payload
TAIL = struct.Struct("<I")  # the frame's whole length
SEGMENT_BYTES = 16 << 20
SUFFIX = ".seg"


@dataclass(frozen=True)
class Entry:
    """One answered request.

    Parameters
    ----------
    id
        The request's id; its rows are ``<id>-0``, ``<id>-1`` and so on.
    took_ms
        From the body's arrival to the answer.
    """

    id: str
    time_ms: int
    content_type: str
    request: bytes
    response: bytes
    rows: int
    took_ms: float


class LogWriter:
    """Writes one server process's segments; may be used from several threads.

    Parameters
    ----------
    folder
        The deployment's log folder; made if it is not there.
    model
        The model version that answers: ``clf@7``.
    inputs
        The signature's inputs as MLflow writes them, empty for none.
    segment_bytes
        When to begin a new segment.
    """

    def __init__(self, folder: Path, *, model: str, inputs: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._facts = {"schema": SCHEMA, "model": model, "inputs": inputs, "pid": os.getpid()}
        self._limit = segment_bytes
        self._lock = threading.Lock()
        self._file = -1
        self._size = 0
        self._rows = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._begin()

    def append(self, entry: Entry) -> None:
        """Write one entry.

        Raises
        ------
        OSError
            It could not be written whole; nothing of it is left.
        """
        payload = msgspec.msgpack.encode((entry.id, entry.content_type, entry.request, entry.response, entry.took_ms))
        with self._lock:
            if self._file < 0 or self._size >= self._limit:
                self._begin()
            self._write(payload, entry.rows, entry.time_ms)
            self._rows += entry.rows

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _begin(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._size = self._rows = 0
        try:
            self._write(msgspec.msgpack.encode(self._facts), 0, time.time_ns() // 1_000_000)
        except OSError:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1
            path.unlink(missing_ok=True)
            raise

    def _write(self, payload: bytes, rows: int, time_ms: int) -> None:
        counted = COUNTED.pack(rows, self._rows, time_ms)
        head = HEAD.pack(MAGIC, len(payload), zlib.crc32(payload, zlib.crc32(counted)), rows, self._rows, time_ms)
        frame = b"".join((head, payload, TAIL.pack(HEAD.size + len(payload) + TAIL.size)))
        written = 0
        try:
            written = os.write(self._file, frame)
        finally:
            if written < len(frame):
                self._take_back()
        if written < len(frame):
            raise OSError(28, "no space left for the inference log")
        self._size += len(frame)

    def _take_back(self) -> None:
        """Cut off a frame that was written in part; if even that fails, go on in a new segment."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            os.close(self._file)
            self._file = -1


@dataclass(frozen=True)
class Segment:
    """One segment on disk.

    Parameters
    ----------
    model, inputs
        The model version that answered, and its signature's inputs.
    """

    path: Path
    model: str
    inputs: str

    @classmethod
    def open(cls, path: Path) -> Segment | None:
        """Read who wrote the segment; None while its first frame is not whole."""
        with path.open("rb") as file:
            frame = _frame(file.read(1 << 16), 0) or _frame(path.read_bytes(), 0)
        if frame is None:
            return None
        facts = msgspec.msgpack.decode(frame.payload)
        return cls(path, facts["model"], facts["inputs"])

    def entries(self) -> list[Entry]:
        """Its entries, oldest first."""
        raw = self.path.read_bytes()
        first = _frame(raw, 0)
        found: list[Entry] = []
        at = first.end if first else len(raw)
        while (frame := _frame(raw, at)) is not None:
            id_, kind, request, response, took = msgspec.msgpack.decode(frame.payload)
            found.append(Entry(id_, frame.time_ms, kind, request, response, frame.rows, took))
            at = frame.end
        return found

    def last(self) -> tuple[int, int]:
        """How many rows it holds and when its last frame was written, without reading the rest where it is whole."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            if size > TAIL.size:
                file.seek(size - TAIL.size)
                (length,) = TAIL.unpack(file.read(TAIL.size))
                if HEAD.size + TAIL.size <= length <= size:
                    file.seek(size - length)
                    frame = _frame(file.read(length), 0)
                    if frame is not None:
                        return frame.before + frame.rows, frame.time_ms
        rows = time_ms = 0  # its writer was killed in the middle of a frame, or is writing one now
        raw, at = self.path.read_bytes(), 0
        while (frame := _frame(raw, at)) is not None:
            rows, time_ms, at = frame.before + frame.rows, frame.time_ms, frame.end
        return rows, time_ms


def segments(folder: Path) -> list[Segment]:
    """The segments of a log, oldest first."""
    paths = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    return [segment for path in paths if (segment := Segment.open(path)) is not None]


def count(folder: Path) -> int:
    """How many rows have been answered."""
    return sum(Segment(path, "", "").last()[0] for path in folder.glob(f"*{SUFFIX}")) if folder.is_dir() else 0


def entries(
    folder: Path, *, last: int | None = None, since_ms: int | None = None
) -> Iterator[tuple[Segment, list[Entry]]]:
    """The newest segments that hold the wanted rows, newest segment first, with the wanted entries, oldest first.

    Parameters
    ----------
    last
        Stop when as many rows have been given; the oldest entry may bring some more.
    since_ms
        Leave out what is older.
    """
    rows = 0
    for segment in reversed(segments(folder)):
        if since_ms is not None and segment.last()[1] < since_ms:
            continue
        found = [e for e in segment.entries() if since_ms is None or e.time_ms >= since_ms]
        if last is not None:
            kept: list[Entry] = []
            while found and rows < last:
                kept.append(found.pop())
                rows += kept[-1].rows
            found = kept[::-1]
        yield segment, found
        if last is not None and rows >= last:
            return


@dataclass(frozen=True)
class _Frame:
    payload: bytes
    rows: int
    before: int
    time_ms: int
    end: int


def _frame(raw: bytes, at: int) -> _Frame | None:
    """The frame that begins at `at`, None where there is no whole one."""
    if at + HEAD.size > len(raw):
        return None
    magic, length, checksum, rows, before, time_ms = HEAD.unpack_from(raw, at)
    end = at + HEAD.size + length + TAIL.size
    if magic != MAGIC or end > len(raw):
        return None
    payload = raw[at + HEAD.size : at + HEAD.size + length]
    if zlib.crc32(payload, zlib.crc32(COUNTED.pack(rows, before, time_ms))) != checksum:
        return None
    return _Frame(payload, rows, before, time_ms, end)
