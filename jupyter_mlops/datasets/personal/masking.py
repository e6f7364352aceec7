"""Masking: personal data is hashed under the workspace's key, or made coarse, before anything is stored.

A hash is HMAC-SHA256 cut to 16 hexadecimal digits: equal values stay equal within a workspace, so they can be counted and
joined, and without the key they cannot be looked up in a list of common values. The key stands in the workspace's home,
readable by its owner only, and is never stored with the data.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import IntegrityFailure, NotFound
from .kinds import KINDS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MASK_KEY", "mask_column", "mask_key", "mask_table", "masked_example", "redacted"]

MASK_KEY = "data-mask.key"
KEY_BYTES = 32


def mask_key(home: Path) -> bytes:
    """The workspace's key, made when it is first needed; of several processes the first one's stays.

    Raises
    ------
    IntegrityFailure
        The file is there and is no key: masking under another one would silently tear equal values apart.
    """
    path = home / MASK_KEY
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        arriving = home / f".{MASK_KEY}.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(arriving, path)
        arriving.unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise IntegrityFailure(
            f"{path} is no key for masking: it has {len(key)} bytes, not {KEY_BYTES}.",
            hint="Restore it from a backup; remove it only if nothing has to match what was masked before.",
        )
    return key


def hashed(value: Any, key: bytes) -> str:
    """The name under which a value is stored.

    Examples
    --------
    >>> hashed("Ada", b"k") == hashed("Ada", b"k") != hashed("Ada", b"another")
    True
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return hmac.new(key, str(value).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


def mask_table(
    frame: pd.DataFrame, columns: Sequence[str] | None, key: bytes, *, skip: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """A copy with masked columns, and which columns were masked as what.

    Dates of birth become the first of January of their year. A text that contains an address or a number among other words
    keeps the words. Everything else is hashed; missing cells stay missing. The given table is not changed.

    Parameters
    ----------
    columns
        Their names; None finds them.
    skip
        Columns that stay as they are.
    """
    from ..check import Subject
    from .searching import found_in

    subject = Subject(frame)
    known = [column.name for column in subject.columns]
    for name in columns or ():
        if str(name) not in known:
            raise NotFound.among("column", str(name), known)
    wanted = None if columns is None else {str(name) for name in columns}
    masked: dict[str, str] = {}
    changed: dict[int, Any] = {}
    for column in subject.columns:
        if column.name in skip or (wanted is not None and column.name not in wanted):
            continue
        found = found_in(column)
        if found is None and wanted is None:
            continue
        kind = found.kind if found is not None else "named"
        masked[column.name] = kind
        changed[column.place] = mask_column(column, kind, key, inside=found is not None and found.inside)
    if not changed:
        return frame, {}
    import pandas as pd

    parts = [changed.get(c.place, c.cells) for c in subject.columns]
    made = pd.concat(parts, axis=1)
    made.columns = frame.columns
    return made, masked


def masked_example(value: str, kind: str) -> str:
    """A value as a report may show it: its form without its content.

    Examples
    --------
    >>> masked_example("ada@example.org", "email"), masked_example("4111 1111", "card")
    ('a**@*******.***', '**** **11')
    """
    plain = value if len(value) <= 32 else value[:32]
    if kind == "card":
        return re.sub(r"\d", "*", plain[:-2]) + plain[-2:]
    return plain[:1] + re.sub(r"\w", "*", plain[1:])


def mask_column(column: Any, kind: str, key: bytes, *, inside: bool) -> pd.Series[Any]:
    """One column masked; `inside` where only parts of its texts are personal."""
    import numpy as np
    import pandas as pd

    if kind == "birth_date":
        return _years(column)
    names = [redacted(str(u), key) if inside else hashed(u, key) for u in column.uniques]
    cells = np.array([*names, None], dtype=object)[column.codes]
    return pd.Series(cells, index=column.cells.index, name=column.label, dtype="str")


def _years(column: Any) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    if column.kind == "moment":
        years = column.cells.dt.year
        first: pd.Series[Any] = pd.to_datetime(years.map(lambda y: f"{int(y)}-01-01", na_action="ignore"))
        return first.rename(column.label)
    years = [re.search(r"(19|20)\d{2}", str(u)) for u in column.uniques]
    names = [f"{year[0]}-01-01" if year else None for year in years]
    cells = np.array([*names, None], dtype=object)[column.codes]
    return pd.Series(cells, index=column.cells.index, name=column.label, dtype="str")


def redacted(text: str, key: bytes) -> str:
    """A text in which addresses and numbers that lead to a person are hashed."""
    for kind in KINDS:
        if kind.inside is not None:

            def put(found: re.Match[str], kind: Any = kind) -> str:
                return f"[{kind.name} {hashed(found[0], key)}]" if kind.valid(found[0]) else found[0]

            text = kind.inside.sub(put, text)
    return text
