"""A folder written whole or not at all: what was there before is replaced in one step, once the new one is on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.on_disk import sync
from ..errors import InvalidArgument

__all__ = ["new_folder"]


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `directory` at the end; after an error that stays as it was.

    Raises
    ------
    InvalidArgument
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "report"
    >>> with new_folder(place) as folder:
    ...     written = (folder / "a.txt").write_text("whole")
    >>> [path.name for path in place.parent.iterdir()], (place / "a.txt").read_text()
    (['report'], 'whole')
    """
    new = directory.with_name(f".{directory.name}.{os.getpid()}.new")
    old = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        yield new
        for path in (*new.rglob("*"), new):
            sync(path)
        if directory.exists():
            directory.rename(old)
        new.rename(directory)
    except OSError as error:
        raise InvalidArgument(
            f"{directory} cannot be written: {error.strerror or error}.", hint="Choose another directory with `-o DIR`."
        ) from error
    finally:
        if old.exists() and not directory.exists():
            old.rename(directory)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
