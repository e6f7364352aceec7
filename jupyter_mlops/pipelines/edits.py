"""Edits: what a user has changed in an exported pipeline, and how that and a new export come together.

Beside a pipeline stands what was generated, as it was generated (`BASE`): a file that is not that any more was edited.
"""

from __future__ import annotations

import difflib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ..errors import Conflict, NotReady

__all__ = ["BASE", "Edited", "Previous", "keep_base", "previous"]

BASE = ".generated"
DATA = ("expected.json", "pipeline.json", "pipeline.svg", "verification.json", "random_state.json")
"""Files that are made anew each time, and are nobody's to edit."""
FOLDERS = ("expected", "__pycache__", BASE)
MOST_LINES = 40

Edited = Literal["", "merge", "overwrite", "beside"]


class Previous:
    """An earlier export: a copy of it, taken before a new one takes its place.

    Parameters
    ----------
    folder
        The copy.
    shown
        The directory as the user would type it.
    """

    def __init__(self, folder: Path, shown: str) -> None:
        self.folder = folder
        self.shown = shown
        self.base = folder / BASE
        self.edited = [name for name in _files(self.base) if self._text(folder, name) != self._text(self.base, name)]
        self.own = [name for name in _files(folder) if not (self.base / name).exists() and name not in DATA]
        """Files that no export has made."""

    @staticmethod
    def _text(folder: Path, name: str) -> bytes | None:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return None

    def diff(self) -> str:
        """The user's edits, as a unified diff of bounded length."""
        lines: list[str] = []
        for name in self.edited:
            was, now = ((self._text(place, name) or b"").decode(errors="replace") for place in (self.base, self.folder))
            lines += difflib.unified_diff(
                was.splitlines(), now.splitlines(), f"{name} as exported", f"{name} as edited", n=1, lineterm=""
            )
        left = len(lines) - MOST_LINES
        return "\n".join([*lines[:MOST_LINES], *([f"... {left} more lines"] if left > 0 else [])])

    def refuse(self) -> None:
        """Say what was edited, and what can be done.

        Raises
        ------
        Conflict
            Something was.
        """
        if self.edited:
            raise Conflict(
                f"{self.shown}: {', '.join(self.edited)} edited since it was exported:\n{self.diff()}",
                hint="`--merge` brings the edits into the new export, `--beside` writes it to "
                f"{self.shown}.new and leaves this one alone, `--overwrite` gives the edits up.",
            )

    def bring_along(self, new: Path, *, merge: bool) -> list[str]:
        """Put what is the user's into a new export; returns what is worth saying.

        Raises
        ------
        Conflict
            An edit and the new export change the same lines.
        """
        for name in self.own:
            if not (new / name).exists():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.folder / name, new / name)
        notes: list[str] = []
        clashes: list[str] = []
        for name in self.edited if merge else ():
            if self._text(new, name) == self._text(self.folder, name):
                continue
            told = self._merged(new, name)
            (clashes if told else notes).append(told or f"your edits of {name} are merged into the new export")
        if clashes:
            raise Conflict(
                "the edits and the new export change the same lines:\n" + "\n".join(clashes),
                hint="Make the change in the notebook, or `--beside` writes the new export beside this one.",
            )
        return notes

    def _merged(self, new: Path, name: str) -> str:
        """Merge one file in three ways; gives the lines that clash."""
        edited, base, made = self.folder / name, self.base / name, new / name
        if not edited.exists() or not made.exists():
            return f"{name}: {'deleted' if not edited.exists() else 'edited'} here, {'changed' if made.exists() else 'no longer made'} by the export"
        command = ["git", "merge-file", "-p", "-L", "edited", "-L", "exported before", "-L", "exported now", edited, base, made]  # fmt: skip
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
        except OSError as error:
            raise NotReady("--merge needs git, and there is none.", hint="`--beside` writes beside it.") from error
        if done.returncode == 0:
            made.write_bytes(done.stdout)
            return ""
        marks = [i for i, line in enumerate(done.stdout.splitlines()) if line.startswith((b"<<<<<<<", b">>>>>>>"))]
        lines = done.stdout.decode(errors="replace").splitlines()
        pieces = [line for a, b in zip(marks[::2], marks[1::2], strict=False) for line in lines[a : b + 1]]
        return "\n".join([f"{name}:", *(pieces or lines)[:MOST_LINES]])


@contextmanager
def previous(directory: Path, shown: str) -> Iterator[Previous | None]:
    """A copy of the export that stands in a directory, if one does, for as long as the block lasts."""
    if not (directory / "pipeline.json").is_file():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mlops-previous-") as temporary:
        copy = Path(temporary) / "pipeline"
        shutil.copytree(directory, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        yield Previous(copy, shown)


def keep_base(folder: Path) -> None:
    """Keep what was generated as it was generated."""
    for name in _files(folder):
        if name not in DATA:
            (folder / BASE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, folder / BASE / name)


def _files(folder: Path) -> list[str]:
    """The files of an export by their paths in it; neither values nor what is kept of it."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        inside = path.relative_to(folder)
        if not any(part in FOLDERS for part in inside.parts) and path.is_file() and ".git" not in inside.parts:
            found.append(inside.as_posix())
    return found
