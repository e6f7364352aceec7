"""Log frames: what a model server has answered, in append-only files that survive the server's death.

A segment belongs to one model version in one server process and is a row of frames. A frame is a head (magic, length,
checksum), a payload in MessagePack, and its own length again. The payload is how many predictions the frame holds, how
many the segment held before it, the time of the newest, and the entries that were answered together. The length at the
end lets a reader find the last frame without reading the others; the checksum and the length make a frame that was cut
short invisible. In place of entries the first frame of a segment names the model and its signature, so a log can be read
without the model, and by whoever comes later. A frame is in the system's hands before the answers are sent, in the
segment itself or in its tail (see `log_tail`): what was answered is in the log even if the process is killed the moment
after. Raw bodies are kept as they came; reading types them. While it is written a segment is locked (``flock``), so others can tell a living one from
one that is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .log_tail import TAIL_SUFFIX, Held, held

__all__ = [
    "ANSWERED",
    "GAP",
    "SCHEMA",
    "SEGMENT_SUFFIX",
    "SHADOW",
    "Entry",
    "Segment",
    "first_frame",
    "frame_of",
    "never_begun",
    "remove_segment",
    "segment_paths",
]

SCHEMA = 4
MAGIC = b"mlf4"
HEAD = struct.Struct("<4sII")  # magic, payload length, checksum
TAIL = struct.Struct("<I")  # the frame's whole length
AROUND = HEAD.size + TAIL.size
SEGMENT_SUFFIX = ".seg"

ANSWERED, SHADOW, GAP = "", "shadow", "gap"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One answered request.

    Parameters
    ----------
    id
        The request's id; its rows are ``<id>-0``, ``<id>-1`` and so on.
    time_ms
        When it was answered, in milliseconds since 1970.
    rows
        How many predictions the answer holds.
    took_ms
        From the body's arrival to the answer.
    key
        By what the choice of the version was made sticky; empty for none.
    propensity
        With which probability this version was chosen, from above 0 to 1.
    probabilities
        The class probabilities as little-endian float64, row after row, in the order of the segment's classes; empty
        where the model gives none.
    status
        The HTTP status that was answered.
    role
        Empty for what was answered; ``shadow`` for a copy that was asked and never answered; ``gap`` for a note that
        predictions were answered and not logged (`response` says how many and why, as JSON).
    """

    id: str
    time_ms: int
    content_type: str
    request: bytes
    response: bytes
    rows: int
    took_ms: float
    key: str = ""
    propensity: float = 1.0
    probabilities: bytes = b""
    status: int = 200
    role: str = ANSWERED

    @property
    def counted(self) -> int:
        """How many predictions it adds to the log's count."""
        return self.rows if self.role == ANSWERED and self.status == 200 else 0


Payload = tuple[int, int, int, list[Entry]]
"""Predictions in the frame, predictions in the segment before it, milliseconds since 1970, entries."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Payload)
_counts = msgspec.msgpack.Decoder(tuple[int, int, int, msgspec.Raw])


def frame_of(rows: int, before: int, time_ms: int, content: Any) -> bytes:
    """One frame as it stands in a segment."""
    payload = _encoder.encode((rows, before, time_ms, content))
    length = len(payload)
    return HEAD.pack(MAGIC, length, zlib.crc32(payload)) + payload + TAIL.pack(AROUND + length)


@dataclass(frozen=True)
class Segment:
    """One segment on disk.

    Parameters
    ----------
    model, inputs
        The model version that answered, and its signature's inputs as MLflow writes them.
    classes
        What the columns of the probabilities stand for.
    sample
        Which share of the requests is logged.
    """

    path: Path
    model: str
    inputs: str
    classes: tuple[str, ...] = ()
    sample: float = 1.0

    @classmethod
    def open(cls, path: Path) -> Segment | None:
        """Read who wrote the segment; None while its first frame is not whole, and where it is gone."""
        try:
            with path.open("rb") as file:
                frame = _frame(file.read(1 << 16), 0) or _frame(path.read_bytes(), 0)
        except FileNotFoundError:
            return None
        if frame is None:
            return None
        _, _, _, facts = msgspec.msgpack.decode(frame.payload)
        return cls(
            path, facts["model"], facts["inputs"], tuple(facts.get("classes") or ()), float(facts.get("sample", 1.0))
        )

    @property
    def name(self) -> str:
        """The segment's name, which it keeps as Parquet: when it was begun, and by which process."""
        return self.path.stem

    def writing(self) -> bool:
        """Whether a living process writes it."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except OSError:
            return True
        finally:
            os.close(descriptor)

    def entries(self, offset: int = 0) -> tuple[list[tuple[int, Entry]], int]:
        """Its entries from byte `offset` on, each with the row number of its first prediction, and where they end."""
        raw = self._read(offset)
        at = 0
        if not offset:
            first = _frame(raw, 0)
            at = first.end if first else len(raw)
        found: list[tuple[int, Entry]] = []
        while (frame := _frame(raw, at)) is not None:
            _, before, _, entries = _decoder.decode(frame.payload)
            for entry in entries:
                found.append((before, entry))
                before += entry.counted
            at = frame.end
        return found, offset + at

    def gaps(self) -> list[Entry]:
        """The notes of what was answered and not logged; most segments have none, which is seen without decoding them."""
        if _encoder.encode(GAP) not in self._read():
            return []
        return [entry for _, entry in self.entries()[0] if entry.role == GAP]

    def last(self) -> tuple[int, int]:
        """How many rows it holds and when its last frame was written, without reading the rest where it is whole."""
        with contextlib.suppress(OSError):
            tail = self._tail()
            if tail is not None and (frame := _last_of(tail.frames)) is not None:
                return _counts_of(frame)
            return self._last_written()
        return 0, 0

    def _last_written(self) -> tuple[int, int]:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size > TAIL.size:
                file.seek(size - TAIL.size)
                (length,) = TAIL.unpack(file.read(TAIL.size))
                if AROUND <= length <= size:
                    file.seek(size - length)
                    frame = _frame(file.read(length), 0)
                    if frame is not None:
                        return _counts_of(frame)
            # its writer was killed in the middle of a frame, or is writing one now
            file.seek(0)
            last = _last_of(file.read(size))
            return (0, 0) if last is None else _counts_of(last)

    def _tail(self) -> Held | None:
        """The frames that stand in its tail and not in itself."""
        tail = held(self.path.with_suffix(TAIL_SUFFIX))
        if tail is None:
            return None
        last = _last_of(tail.frames)
        # What is longer than it was before the tail's first frame has been written since, whole if it is as long.
        if last is None or self.path.stat().st_size - tail.base >= last.end:
            return None
        return Held(tail.base, tail.frames[: last.end])

    def _read(self, offset: int = 0) -> bytes:
        """Its bytes from `offset` on, with those of its tail; the tail first, for it goes to the segment's end."""
        tail = self._tail()
        with self.path.open("rb") as file:
            file.seek(offset)
            if tail is None:
                return file.read()
            return file.read(max(tail.base - offset, 0)) + tail.frames[max(offset - tail.base, 0) :]


def first_frame(model: str, inputs: str, classes: Sequence[str], sample: float, time_ms: int) -> bytes:
    """The frame that a segment begins with."""
    facts = {
        "schema": SCHEMA,
        "model": model,
        "inputs": inputs,
        "classes": list(classes),
        "sample": sample,
        "pid": os.getpid(),
    }
    return frame_of(0, 0, time_ms, facts)


def never_begun(path: Path) -> bool:
    """Whether a segment ends within its first frame, and so holds no prediction; one that cannot be read may hold some."""
    with path.open("rb") as file:
        head = file.read(HEAD.size)
        size = file.seek(0, os.SEEK_END)
    if size < HEAD.size:
        return True
    magic, length, _ = HEAD.unpack(head)
    return bool(magic == MAGIC) and size < AROUND + int(length)


def remove_segment(path: Path) -> None:
    """Remove a segment that is Parquet by now or was never begun."""
    path.with_suffix(TAIL_SUFFIX).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def segment_paths(folder: Path) -> list[Path]:
    """The files of the segments in a log, oldest first."""
    return sorted(folder.glob(f"*{SEGMENT_SUFFIX}")) if folder.is_dir() else []


class _Frame(NamedTuple):
    payload: bytes
    end: int


def _frame(raw: bytes, at: int) -> _Frame | None:
    """The frame that begins at `at`, None where there is no whole one."""
    if at + AROUND > len(raw):
        return None
    magic, length, checksum = HEAD.unpack_from(raw, at)
    end = at + AROUND + length
    if magic != MAGIC or end > len(raw):
        return None
    payload = raw[at + HEAD.size : at + HEAD.size + length]
    return _Frame(payload, end) if zlib.crc32(payload) == checksum else None


def _last_of(raw: bytes) -> _Frame | None:
    last, at = None, 0
    while (frame := _frame(raw, at)) is not None:
        last, at = frame, frame.end
    return last


def _counts_of(frame: _Frame) -> tuple[int, int]:
    """How many predictions the segment holds with this frame, and the time of the newest."""
    rows, before, time_ms, _ = _counts.decode(frame.payload)
    return before + rows, time_ms
