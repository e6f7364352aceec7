"""Data seal: that a test set's looks are counted, and each look: who, when, what for, and at which model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import Displayed, clock, table
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataSeal", "Look"]


@dataclass(frozen=True)
class Look(Record):
    """One time that the values of a sealed data version were handed out.

    Parameters
    ----------
    purpose
        The command's word for it: ``load``, ``evaluate``, ``diff``, ``check``, ``export``.
    model
        The candidate it was made for, as it was called then; empty where none was named.
    model_id, key, digest
        By what the candidate is known once it has a version: its logged model's id, the key under which its run has
        logged it, or the SHA-256 of its file.
    """

    at_ms: int
    by: str
    via: str = ""
    purpose: str = "load"
    model: str = ""
    model_id: str = ""
    key: str = ""
    digest: str = ""
    notebook: str = ""

    def made_for(self, *, ref: str, model_id: str = "", key: str = "", digest: str = "") -> bool:
        """Whether it was made for a candidate.

        Examples
        --------
        >>> Look(0, "ann", model="clf@7").made_for(ref="clf@7"), Look(0, "ann", model_id="m-1").made_for(ref="clf@7")
        (True, False)
        """
        pairs = ((self.model, ref), (self.model_id, model_id), (self.key, key), (self.digest, digest))
        return any(bool(mine) and mine == theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class DataSeal(Displayed, Record):
    """A data version's seal and every look at it since, newest first.

    Parameters
    ----------
    sealed_ms
        Since when looks are counted; 0 where the version is not sealed.
    """

    ref: str
    sealed_ms: int = 0
    sealed_by: str = ""
    looks: tuple[Look, ...] = ()

    def __iter__(self) -> Iterator[Look]:
        return iter(self.looks)

    def __len__(self) -> int:
        return len(self.looks)

    def to_pandas(self) -> pd.DataFrame:
        """One row a look."""
        import pandas as pd

        return pd.DataFrame([look.to_dict() for look in self.looks])

    def text(self) -> str:
        if not self.sealed_ms:
            return f"{self.ref} is not sealed; seal it with `%mlops data seal {self.ref}`."
        count = len(self.looks)
        head = (
            f"{self.ref}: sealed {clock(self.sealed_ms)} by {self.sealed_by}, looked at {count:,} "
            f"{'time' if count == 1 else 'times'} since"
        )
        rows = [
            [clock(k.at_ms), k.by, k.purpose, k.model or k.model_id or "-", k.notebook or k.via] for k in self.looks
        ]
        return "\n".join([head, table(["when", "who", "for", "model", "from"], rows)] if rows else [head])
