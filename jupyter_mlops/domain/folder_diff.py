"""Folder diff: what changed between two folders of files, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .display import Displayed, byte_size, several, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FileChange", "FolderDiff"]

SHOWN = 40


@dataclass(frozen=True)
class FileChange(Record):
    """What happened to one file.

    Parameters
    ----------
    path
        Inside the folder, with ``/`` between parts; of a moved file where it is now.
    before, after
        Its size in bytes; None where it is not there.
    moved_from
        Where a file with the same bytes was before.
    """

    path: str
    change: Literal["added", "removed", "changed", "moved"]
    before: int | None = None
    after: int | None = None
    moved_from: str = ""

    @property
    def grown(self) -> int:
        """By how many bytes the folder has grown by it; negative where it shrank."""
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True)
class FolderDiff(Displayed, Record):
    """What changed between two folders, files matched by their paths, moved ones by their bytes.

    Parameters
    ----------
    files_before, files_after, bytes_before, bytes_after
        How many files there are on each side, and how many bytes they have together.
    files
        Those that are not the same, by path.
    """

    before: str
    after: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    files: tuple[FileChange, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether every path holds the same bytes."""
        return not self.files

    def count(self, change: str) -> int:
        """How many files were added, removed, changed or moved."""
        return sum(file.change == change for file in self.files)

    @property
    def counts(self) -> str:
        """How many files came, went, changed and moved, in words."""
        told = [f"{self.count(change):,} {change}" for change in ("added", "removed", "changed")]
        return ", ".join([*told, *([f"{self.count('moved'):,} moved"] if self.count("moved") else [])])

    @property
    def sizes(self) -> str:
        """Files and bytes of both sides, in words."""
        return (
            f"{several(self.files_before, 'file')}, {byte_size(self.bytes_before)} -> "
            f"{several(self.files_after, 'file')}, {byte_size(self.bytes_after)}"
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row a file that is not the same; sizes in bytes."""
        import pandas as pd

        names = ["path", "change", "before", "after", "moved_from"]
        frame = pd.DataFrame([file.to_dict() for file in self.files], columns=names)
        return frame.astype({"before": "Int64", "after": "Int64"})

    def text(self) -> str:
        if self.identical:
            return f"{self.before} and {self.after} are identical: {several(self.files_before, 'file')}."
        rows = [
            [f.path, f.change, _size(f.before), _size(f.after), f.moved_from and f"from {f.moved_from}"]
            for f in self.files[:SHOWN]
        ]
        more = [f"... and {several(len(self.files) - SHOWN, 'file')} more"] if len(self.files) > SHOWN else []
        head = [f"{self.before} -> {self.after}: {self.counts}", self.sizes]
        return "\n".join([*head, table(["file", "change", "before", "after", ""], rows), *more])


def _size(size: int | None) -> str:
    return "" if size is None else byte_size(size)
