"""Documents: JSON that is about to be stored, such as a figure's, with the personal data in its texts hashed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .kinds import KINDS
from .masking import mask_column, redacted

__all__ = ["masked_document"]

MAY_HOLD = re.compile(r'"[^"]*(?:@|\d[\d ().\-]{5,}\d|[A-Z][a-z])')
FEWEST = 3  # texts in a row that are looked at as a column


def masked_document(text: str, key: Callable[[], bytes]) -> str:
    """A JSON text with its personal data hashed: lists of texts as columns are masked, single texts where they contain it.

    Parameters
    ----------
    key
        Gives the workspace's key for hashes.

    Examples
    --------
    >>> masked_document('{"name": "ask ada@example.org", "y": [1, 2]}', lambda: b"k")
    '{"name": "ask [email 348da1b5be80b40c]", "y": [1, 2]}'
    """
    if not MAY_HOLD.search(text):
        return text
    data = json.loads(text)
    masked = _masked(data, key)
    return text if masked == data else json.dumps(masked)


def _masked(data: Any, key: Callable[[], bytes]) -> Any:
    if isinstance(data, dict):
        return {name: _masked(value, key) for name, value in data.items()}
    if isinstance(data, str):
        found = any(kind.inside is not None and kind.inside.search(data) for kind in KINDS)
        return redacted(data, key()) if found else data
    if not isinstance(data, list):
        return data
    if data and all(isinstance(row, list) and len(row) == len(data[0]) for row in data):  # rows: column by column
        columns = [_masked(list(column), key) for column in zip(*data, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)] if columns else data
    if sum(isinstance(item, str) for item in data) < FEWEST or any(isinstance(item, (dict, list)) for item in data):
        return [_masked(item, key) for item in data]
    return _column(data, key)


def _column(cells: list[Any], key: Callable[[], bytes]) -> list[Any]:
    import pandas as pd

    from ..check import Subject
    from .searching import found_in

    (column,) = Subject(pd.DataFrame({"": pd.Series(cells, dtype=object)})).columns
    found = found_in(column) if column.kind == "text" else None
    if found is None:
        return cells
    kept = mask_column(column, found.kind, key(), inside=found.inside).tolist()
    return [new if isinstance(old, str) else old for old, new in zip(cells, kept, strict=True)]
