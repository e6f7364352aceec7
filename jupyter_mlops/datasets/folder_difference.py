"""Folder difference: which files came, went, changed and moved between two folders, saved ones or ones on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ..domain.folder_diff import FileChange, FolderDiff
from .folder import StoredFile, describe_folder
from .opened import Opened

__all__ = ["files_of", "folder_difference"]


def files_of(side: Opened | Path) -> tuple[StoredFile, ...]:
    """The files of a saved folder, out of its manifest, or of one on disk, read now."""
    return describe_folder(side)[1] if isinstance(side, Path) else side.files()


def folder_difference(before: Iterable[StoredFile], after: Iterable[StoredFile], names: tuple[str, str]) -> FolderDiff:
    """What changed from one folder to another.

    Files are the same where path and bytes are. One that is gone and has come again under another path with the same
    bytes has moved; of several equal ones the first by path.

    Examples
    --------
    >>> one = [StoredFile("a.png", 10, "x"), StoredFile("b.png", 20, "y")]
    >>> other = [StoredFile("b.png", 25, "z"), StoredFile("new/a.png", 10, "x")]
    >>> [(f.path, f.change, f.before, f.after) for f in folder_difference(one, other, ("v1", "v2")).files]
    [('b.png', 'changed', 20, 25), ('new/a.png', 'moved', 10, 10)]
    """
    olds, news = ({file.path: file for file in side} for side in (before, after))
    gone: dict[tuple[int, str], list[str]] = defaultdict(list)
    for path in sorted(olds.keys() - news.keys(), reverse=True):
        gone[olds[path].size, olds[path].digest].append(path)
    found = []
    for path in sorted(news):
        new, old = news[path], olds.get(path)
        if old is not None:
            if (old.size, old.digest) != (new.size, new.digest):
                found.append(FileChange(path, "changed", old.size, new.size))
        elif gone[new.size, new.digest]:
            found.append(FileChange(path, "moved", new.size, new.size, gone[new.size, new.digest].pop()))
        else:
            found.append(FileChange(path, "added", None, new.size))
    found += [FileChange(path, "removed", olds[path].size) for left in gone.values() for path in left]
    return FolderDiff(
        *names,
        files_before=len(olds),
        files_after=len(news),
        bytes_before=sum(file.size for file in olds.values()),
        bytes_after=sum(file.size for file in news.values()),
        files=tuple(sorted(found, key=lambda file: file.path)),
    )
