"""Inputs: a notebook's folder as it was before the notebook ran, for a pipeline to run in without the files it made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["keep_inputs", "lay_out"]

COPIED_BYTES = 32_000_000
"""Files up to this size are copied; larger ones are linked to, and a notebook that writes into them is not protected."""
MOST_BYTES = 1_000_000_000
MOST_FILES = 20_000
_LEFT = frozenset((".git", ".mlops", ".venv", "venv", "node_modules", "__pycache__", ".ipynb_checkpoints", ".cache"))


def keep_inputs(folder: Path, to: Path) -> bool:
    """Copy a folder's files; gives False, and copies nothing, when it holds more than can be copied in passing.

    Parameters
    ----------
    to
        A new folder.
    """
    files = 0
    size = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if name not in _LEFT and not (Path(place) / name / "pipeline.json").exists()
        ]
        files += len(names)
        sizes = [_size(Path(place) / name) for name in names]
        size += sum(s for s in sizes if s <= COPIED_BYTES)
        if files > MOST_FILES or size > MOST_BYTES:
            return False
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if name not in _LEFT and not (Path(place) / name / "pipeline.json").exists()
        ]
        inside = to / Path(place).relative_to(folder)
        inside.mkdir(parents=True, exist_ok=True)
        for name in names:
            source = Path(place) / name
            if source.is_symlink() or not source.is_file() or _size(source) > COPIED_BYTES:
                (inside / name).symlink_to(source.resolve())
            else:
                shutil.copy2(source, inside / name)
    return True


def lay_out(kept: Path, to: Path) -> Path:
    """A fresh copy of kept inputs, for one run."""
    return Path(shutil.copytree(kept, to, symlinks=True))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
