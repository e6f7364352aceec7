"""Retrain choices: what `monitor` and `retrain` both take for the retrains that they ask for, checked before anything begins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..domain.command import Arg
from ..domain.length import parse_length
from ..errors import InvalidArgument

__all__ = ["Folder", "Frozen", "Length", "Target", "checked_choices"]

Folder = Annotated[str, Arg(value="path", metavar="DIR")]
"""The folder of an exported pipeline."""
Frozen = Annotated[str, Arg(complete="data", metavar="DATA")]
"""A labelled data version to compare on."""
Target = Annotated[str, Arg(metavar="COLUMN")]
"""The column of truth."""
Length = Annotated[str, Arg(metavar="LENGTH")]
"""A length of time: ``6h``."""


def checked_choices(pipeline: str, *lengths: str) -> str:
    """The absolute path of an exported pipeline's folder, empty for none; the lengths of time are read as well.

    Raises
    ------
    InvalidArgument
        The folder holds no exported pipeline, or a length is none.
    """
    for text in lengths:
        if text:
            parse_length(text)
    if not pipeline:
        return ""
    folder = Path(pipeline).expanduser()
    if not (folder / "pipeline.json").is_file():
        raise InvalidArgument(
            f"{pipeline} holds no exported pipeline.", hint="Make one: `%mlops export --to python -o DIR`."
        )
    return str(folder.absolute())
