"""Log frames: what a model server has answered, in append-only files that survive the server's death.

A segment belongs to one model version in one server process and is a row of frames. A frame is a head (magic, length,
checksum, rows, rows before it in the segment, time), the entries that were answered together as MessagePack, and its own
length again. The length at the end lets a reader find the last frame without reading the others; the checksum and the
length make a frame that was cut short invisible. The first frame of a segment names the model and its signature, so a log
can be read without the model, and by whoever comes later. A frame is handed to the system by one `os.write`, before the
answers are sent: what was answered is in the log even if the process is killed the moment after. Raw bodies are kept as
they came; reading types them. While it is written a segment is locked (``flock``), so others can tell a living one from
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

import msgspec

__all__ = [
    "ANSWERED",
    "GAP",
    "SCHEMA",
    "SEGMENT_SUFFIX",
    "SHADOW",
    "Entry",
    "Segment",
    "entries_frame",
    "first_frame",
    "segment_paths",
]

SCHEMA = 3
MAGIC, ALONE = b"mlf2", b"mlf1"  # until schema 2 every entry had a frame of its own
HEAD = struct.Struct("<4sIIIQQ")  # magic, payload length, checksum, rows, rows before, milliseconds since 1970
COUNTED = struct.Struct("<IQQ")  # the part of the head that the checksum covers besides the payload
TAIL = struct.Struct("<I")  # the frame's whole length
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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])
_decoder_alone = msgspec.msgpack.Decoder(Entry)


def frame_bytes(payload: bytes, rows: int, before: int, time_ms: int) -> bytes:
    """One frame as it stands in a segment."""
    counted = COUNTED.pack(rows, before, time_ms)
    head = HEAD.pack(MAGIC, len(payload), zlib.crc32(payload, zlib.crc32(counted)), rows, before, time_ms)
    return b"".join((head, payload, TAIL.pack(HEAD.size + len(payload) + TAIL.size)))


def entries_frame(entries: Sequence[Entry], before: int) -> tuple[bytes, int]:
    """Entries that are answered together as one frame, and how many predictions the segment then holds."""
    rows = 0
    for entry in entries:
        if entry.role == ANSWERED and entry.status == 200:  # as `counted`, without a call for each
            rows += entry.rows
    return frame_bytes(_encoder.encode(entries), rows, before, entries[-1].time_ms), before + rows


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
        facts = msgspec.msgpack.decode(frame.payload)
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
        with self.path.open("rb") as file:
            file.seek(offset)
            raw = file.read()
        at = 0
        if not offset:
            first = _frame(raw, 0)
            at = first.end if first else len(raw)
        found: list[tuple[int, Entry]] = []
        while (frame := _frame(raw, at)) is not None:
            before = frame.before
            for entry in _decoded(frame):
                found.append((before, entry))
                before += entry.counted
            at = frame.end
        return found, offset + at

    def gaps(self) -> list[Entry]:
        """The notes of what was answered and not logged; most segments have none, which is seen without decoding them."""
        if _encoder.encode(GAP) not in self.path.read_bytes():
            return []
        return [entry for _, entry in self.entries()[0] if entry.role == GAP]

    def last(self) -> tuple[int, int]:
        """How many rows it holds and when its last frame was written, without reading the rest where it is whole."""
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size > TAIL.size:
                file.seek(size - TAIL.size)
                (length,) = TAIL.unpack(file.read(TAIL.size))
                if HEAD.size + TAIL.size <= length <= size:
                    file.seek(size - length)
                    frame = _frame(file.read(length), 0)
                    if frame is not None:
                        return frame.before + frame.rows, frame.time_ms
            rows = time_ms = at = 0  # its writer was killed in the middle of a frame, or is writing one now
            file.seek(0)
            raw = file.read(size)
            while (frame := _frame(raw, at)) is not None:
                rows, time_ms, at = frame.before + frame.rows, frame.time_ms, frame.end
            return rows, time_ms
        return 0, 0


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
    return frame_bytes(_encoder.encode(facts), 0, 0, time_ms)


def segment_paths(folder: Path) -> list[Path]:
    """The files of the segments in a log, oldest first."""
    return sorted(folder.glob(f"*{SEGMENT_SUFFIX}")) if folder.is_dir() else []


@dataclass(frozen=True, slots=True)
class _Frame:
    magic: bytes
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
    if magic not in (MAGIC, ALONE) or end > len(raw):
        return None
    payload = raw[at + HEAD.size : at + HEAD.size + length]
    if zlib.crc32(payload, zlib.crc32(COUNTED.pack(rows, before, time_ms))) != checksum:
        return None
    return _Frame(magic, payload, rows, before, time_ms, end)


def _decoded(frame: _Frame) -> list[Entry]:
    if frame.magic == MAGIC:
        return _decoder.decode(frame.payload)
    try:
        return [_decoder_alone.decode(frame.payload)]
    except msgspec.ValidationError:  # schema 1: (id, content type, request, response, time taken)
        id_, kind, request, response, took = msgspec.msgpack.decode(frame.payload)
        return [Entry(id_, frame.time_ms, kind, request, response, frame.rows, took)]
