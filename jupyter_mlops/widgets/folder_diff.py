"""What changed between two folders: files that came, went, changed and moved, with their sizes."""

from __future__ import annotations

from ..domain.display import byte_size, several
from ..domain.folder_diff import FileChange, FolderDiff
from .markup import Markup, facts, grid, more, page, pill, short, tag

__all__ = ["folder_diff"]

TONES = {"added": "good", "removed": "bad", "changed": "warn"}
SHOWN = 20
LISTED = 500


def folder_diff(diff: FolderDiff) -> Markup:
    """How many files came, went, changed and moved, and which."""
    head = tag("div", diff.before, " → ", diff.after, class_="mlops-title")
    if diff.identical:
        return page(head, pill("identical", "good"), f" {several(diff.files_before, 'file')}")
    counts = [
        pill(f"{count:,} {change}", TONES.get(change, ""))
        for change in ("added", "removed", "changed", "moved")
        if (count := diff.count(change))
    ]
    rest = diff.files[SHOWN:LISTED]
    return page(
        head,
        facts([("files", f"{diff.files_before:,} → {diff.files_after:,}"),
               ("size", f"{byte_size(diff.bytes_before)} → {byte_size(diff.bytes_after)}")]),
        tag("div", *(part for count in counts for part in (count, " "))),
        _listed(diff.files[:SHOWN]),
        more(f"{several(len(diff.files) - SHOWN, 'file')} more", _listed(rest)) if rest else "",
    )  # fmt: skip


def _listed(files: tuple[FileChange, ...]) -> Markup:
    rows = [
        [
            short(file.path, 60),
            pill(file.change, TONES.get(file.change, "")),
            _size(file.before),
            _size(file.after),
            short(f"from {file.moved_from}", 60) if file.moved_from else "",
        ]
        for file in files
    ]
    return grid(["file", "change", "before", "after", ""], rows)


def _size(size: int | None) -> object:
    return "" if size is None else tag("span", byte_size(size), title=f"{size:,} bytes")
