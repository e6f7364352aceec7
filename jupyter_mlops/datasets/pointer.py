"""Pointer: the small file by which DVC knows a data file, written as `dvc add` writes it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.data_version import DataVersion
from .files import write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_pointer"]


def write_pointer(frame: pd.DataFrame, version: DataVersion, target: Path) -> Path:
    """Write a table as Parquet and its ``.dvc`` file beside it, each whole or not at all; give the latter's path."""
    arriving = target.with_name(f".{target.name}.{os.getpid()}")
    pointer = target.with_name(f"{target.name}.dvc")
    try:
        write_table(frame, arriving)
        size = arriving.stat().st_size
        with arriving.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        arriving.replace(target)
        # JSON's texts are YAML's too: a name needs no other quoting.
        lines = ["outs:", f"- md5: {found}", f"  size: {size}", "  hash: md5", f"  path: {json.dumps(target.name)}"]
        lines += [
            "meta:",
            "  mlops:",
            f"    version: {json.dumps(version.ref)}",
            f"    digest: {json.dumps(version.digest)}",
        ]
        arriving.write_text("\n".join(lines) + "\n")
        arriving.replace(pointer)
    finally:
        arriving.unlink(missing_ok=True)
    return pointer
